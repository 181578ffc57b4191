"""Draws the clips that the gate's figures are measured on, of puppets that nothing was trained or tuned on, with their truth.

    python -m puppet.gate OUT [--ids 200] [--scenes 120] [--first 3000000]

OUT gets PNG files and truth.json. `references`: five large pictures of each identity, as heldout.py draws them. `clips`: a PNG each
with the frames one below the other, at the generator's wide size: two of each identity, one of a look-alike of each (`like` says of
whom), and `--scenes` of two to four of the identities together. For every frame a clip tells the box of each of its people.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from PIL import Image

from .clips import clip
from .heldout import FIRST, FIRST_ALIKE, reference
from .identity import identity, look_alike
from .picture import WIDE

REFERENCES, CLIPS, FRAMES = 5, 2, 16


def clips(first: int, count: int, scenes: int):
    """(set, name, frames, whom the puppet looks like) of every clip."""
    for i in range(count):
        who = identity(first + i)
        for n in range(CLIPS):
            yield "clips", f"{who.seed}-{n}", clip(who.seed * 13 + n, [who], FRAMES), None
        other = look_alike(who, FIRST_ALIKE - FIRST + first + i)
        yield "lookalikes", f"{other.seed}", clip(other.seed * 13, [other], FRAMES), who.seed
    for i in range(scenes):
        people = [identity(first + (i * 5 + k * 7) % count) for k in range(min(2 + i % 3, count))]
        yield "scenes", f"{i}", clip(700_000_000 + i, people, FRAMES), None


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("out", type=Path)
    a.add_argument("--ids", type=int, default=200)
    a.add_argument("--scenes", type=int, default=120)
    a.add_argument("--first", type=int, default=FIRST, help="another first identity, to choose settings on: 1000000")
    a = a.parse_args()
    for kind in ("references", "clips", "lookalikes", "scenes"):
        (a.out / kind).mkdir(parents=True, exist_ok=True)
    truth: dict = {"frame_height": WIDE[1], "references": [], "clips": []}
    for i in range(a.ids):
        who = identity(a.first + i)
        for n in range(REFERENCES):
            file = f"references/{who.seed}-{n}.png"
            Image.fromarray(reference(who, n).rgb).save(a.out / file)
            truth["references"].append({"file": file, "identity": who.seed})
    for kind, name, frames, like in clips(a.first, a.ids, a.scenes):
        file = f"{kind}/{name}.png"
        Image.fromarray(np.concatenate([s.rgb for s in frames])).save(a.out / file)
        people = [
            {"identity": who.seed, "like": like, "boxes": [s.boxes[k].round(2).tolist() for s in frames]}
            for k, (who, _) in enumerate(frames[0].people)
        ]
        truth["clips"].append({"file": file, "set": kind, "people": people})
    (a.out / "truth.json").write_text(json.dumps(truth))


if __name__ == "__main__":
    main()
