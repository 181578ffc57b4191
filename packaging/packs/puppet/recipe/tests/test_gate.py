"""The clips that the gate is measured on: of nobody who was tuned on, with the truth of every frame, and moving as shots do."""
import json

import numpy as np
import pytest
from PIL import Image

from puppet import gate
from puppet.clips import clip
from puppet.identity import identity


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    out = tmp_path_factory.mktemp("gate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["gate", str(out), "--ids", "4", "--scenes", "3"])
        gate.main()
    return out, json.loads((out / "truth.json").read_text())


def test_every_set_is_drawn(truth):
    out, content = truth
    sets = [c["set"] for c in content["clips"]]
    assert {s: sets.count(s) for s in sets} == {"clips": 8, "lookalikes": 4, "scenes": 3}
    assert len(content["references"]) == 4 * gate.REFERENCES
    assert sorted(len(c["people"]) for c in content["clips"] if c["set"] == "scenes") == [2, 3, 4]
    for c in content["clips"]:
        assert Image.open(out / c["file"]).size == (192, gate.FRAMES * content["frame_height"])
        assert all(len(p["boxes"]) == gate.FRAMES for p in c["people"])


def test_nobody_was_trained_or_tuned_on(truth):
    assert min(p["identity"] for c in truth[1]["clips"] for p in c["people"]) >= 3_000_000
    assert all(p["like"] in {r["identity"] for r in truth[1]["references"]} for c in truth[1]["clips"] for p in c["people"] if p["like"])


def test_a_clip_keeps_its_place_and_moves_its_people_a_little():
    people = [identity(3_000_000 + i) for i in range(3)]
    frames = clip(1, people, 8)
    boxes = np.stack([s.boxes for s in frames])
    assert all([who.seed for who, _ in s.people] == [who.seed for who in people] for s in frames)
    assert (np.diff(boxes[:, :, 0].mean(0)) > 0).all(), "from left to right, and so does the truth"
    moved = np.abs(np.diff(boxes, axis=0)).max(2)
    assert moved.max() > 0.2 and moved.max() < 24
    assert len({s.place for s in frames}) == 1
    assert all((a.rgb == b.rgb).all() for a, b in zip(frames, clip(1, people, 8))), "the same every time"
