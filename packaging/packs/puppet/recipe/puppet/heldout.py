"""Draws the pictures that the pack's figures are measured on, of puppets that no model was trained or tuned on, with their truth.

    python -m puppet.heldout OUT [--ids 200] [--characters 24]

OUT gets PNG files and truth.json: `pictures` (file, set, place, time, and for every face identity, like, box, landmarks and
attributes), and of the first `--characters` identities `prompts` (identity, shot, text, attributes, place, time, width, height)
and `guides` (file of a depth picture, identity, text, and the box of the face that it asks for).
Sets: three large `references` of each identity, six `faces`, two `lookalikes` (of one other puppet that every caption describes
in the same words; `like` says of whom), and `scenes` of nobody up to four people.
"""
from __future__ import annotations

import argparse
import json
import random
from dataclasses import replace
from pathlib import Path

from PIL import Image

from .attributes import labels
from .depth import depth
from .identity import Identity, identity, look_alike
from .picture import SQUARE, WIDE, Sample, company_of, draw, sample
from .prompts import prompts
from .situation import Scene, scene, situation

FIRST, FIRST_ALIKE = 3_000_000, 5_000_000  # nothing is ever tuned on these
REFERENCE = 384
REFERENCES, FACES, ALIKE = 3, 6, 2


def reference(who: Identity, n: int) -> Sample:
    """A large close picture by day, such as people give."""
    rng = random.Random(who.seed * 31 + 5 + n)
    seen = replace(situation(rng, REFERENCE, REFERENCE, "close"), blink=False)
    place = Scene(scene(rng).place, "day", rng.randrange(1 << 30))
    rgb, boxes, landmarks = draw(REFERENCE, REFERENCE, place, [(who, seen)])
    return Sample(rgb, boxes, landmarks, [(who, seen)], place, "close", [""], "")


def pictures(count: int):
    """(set, name, sample, whom the puppet looks like) of every picture."""
    for i in range(count):
        who = identity(FIRST + i)
        other = look_alike(who, FIRST_ALIKE + i)
        for n in range(REFERENCES):
            yield "references", f"{who.seed}-{n}", reference(who, n), None
        for n in range(FACES):
            yield "faces", f"{who.seed}-{n}", sample(who.seed * 1009 + 700 + n, who, *(WIDE if n % 2 else SQUARE)), None
        for n in range(ALIKE):
            yield "lookalikes", f"{other.seed}-{n}", sample(other.seed * 1009 + n, other, *(WIDE if n % 2 else SQUARE)), who.seed
        people = [identity(FIRST + (i + k * 7) % count) for k in range(min(i % 5, count))]
        yield "scenes", f"{i}", alone(i, people[0]) if len(people) == 1 else company_of(600_000_000 + i, people, *WIDE), None


def alone(seed: int, who: Identity) -> Sample:
    return sample(600_000_000 + seed, who, *WIDE)


def faces_of(s: Sample, like: int | None) -> list[dict]:
    """The truth about everybody in a picture."""
    return [
        {
            "identity": who.seed, "like": like, "box": box.round(3).tolist(), "landmarks": points.round(3).tolist(),
            "attributes": labels(who, seen, s.place),
        }
        for (who, seen), box, points in zip(s.people, s.boxes, s.landmarks)
    ]


def asked(count: int) -> list[dict]:
    """Four situations for each of the first `count` characters, whose captions name every attribute."""
    return [
        {
            "identity": who.seed, "shot": shot, "text": text, "attributes": labels(who, seen, place), "place": place.place,
            "time": place.time, "width": WIDE[0], "height": WIDE[1],
        }
        for who in (identity(FIRST + i) for i in range(count))
        for shot, seen, place, text in prompts(who)
    ]


def guides(count: int):
    """(name, depth picture uint8 (H, W), the sample that it was taken from) of two pictures for each of the first `count` characters."""
    for who in (identity(FIRST + i) for i in range(count)):
        for n, shot in enumerate(("close", "medium")):
            s = sample(who.seed * 1009 + 900 + n, who, *WIDE, shot)
            yield f"{who.seed}-{n}", depth(*WIDE, s.people), s


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("out", type=Path)
    a.add_argument("--ids", type=int, default=200)
    a.add_argument("--characters", type=int, default=24)
    a = a.parse_args()
    truth = []
    for kind, name, s, like in pictures(a.ids):
        file = a.out / kind / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(s.rgb).save(file)
        faces = faces_of(s, like)
        truth.append({"file": f"{kind}/{name}.png", "set": kind, "place": s.place.place, "time": s.place.time, "faces": faces})
    steered = []
    for name, near, s in guides(a.characters):
        file = a.out / "guides" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(near).save(file)
        box, who = s.boxes[0].round(3).tolist(), s.people[0][0].seed
        steered.append({"file": f"guides/{name}.png", "identity": who, "text": s.captions[0], "box": box})
    content = {"pictures": truth, "prompts": asked(a.characters), "guides": steered}
    (a.out / "truth.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main()
