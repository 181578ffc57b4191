"""The pictures that figures are measured on: complete, true, and of nobody who was trained or tuned on."""
import json

import pytest

from puppet import heldout
from puppet.attributes import ATTRIBUTES


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    out = tmp_path_factory.mktemp("heldout")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["heldout", str(out), "--ids", "5", "--characters", "2"])
        heldout.main()
    return out, json.loads((out / "truth.json").read_text())


def test_every_set_is_drawn(truth):
    out, content = truth
    sets = [p["set"] for p in content["pictures"]]
    assert {s: sets.count(s) for s in sets} == {"references": 15, "faces": 30, "lookalikes": 10, "scenes": 5}
    assert all((out / p["file"]).stat().st_size > 500 for p in content["pictures"])
    assert len(content["prompts"]) == 8
    assert [g["identity"] - heldout.FIRST for g in content["guides"]] == [0, 0, 1, 1]
    assert all((out / g["file"]).is_file() for g in content["guides"])


def test_nobody_was_trained_or_tuned_on(truth):
    everybody = {f["identity"] for p in truth[1]["pictures"] for f in p["faces"]}
    assert min(everybody) >= 3_000_000


def test_scenes_show_nobody_up_to_four(truth):
    assert sorted(len(p["faces"]) for p in truth[1]["pictures"] if p["set"] == "scenes") == [0, 1, 2, 3, 4]


def test_every_face_has_every_attribute(truth):
    for p in truth[1]["pictures"]:
        for face in p["faces"]:
            assert list(face["attributes"]) == list(ATTRIBUTES)
            assert all(value in ATTRIBUTES[name] for name, value in face["attributes"].items())
