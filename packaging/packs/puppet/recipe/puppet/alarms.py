"""Draws what the gate's alarms are tuned and scored on: characters, and honest takes of them that are hardest to tell from cheats.

    python -m puppet.alarms OUT [--first 1000000] [--ids 24]

OUT gets PNG files and truth.json: for each identity its `references` and three honest `takes` of twelve frames, a quarter of a
second apart: `moving` (turns and crosses the frame), `talking` (in the pose of the first reference, in its clothes and its place,
only the mouth and a sway of two degrees live), and `listening` (one expression, a sway of eight degrees, one blink), and an
`empty` picture of a place. The cheats are made of these by the worker's example `measure-gate`, with code of its own.
Identities from 1,000,000 on are for tuning; those from 3,000,000 on for nothing but the figures.
"""
from __future__ import annotations

import argparse
import json
import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from .heldout import FIRST, reference
from .identity import Identity, identity
from .picture import draw
from .situation import Scene, Situation, scene, situation

WIDTH, HEIGHT, FRAMES = 384, 224, 12


def swaying(rng: random.Random, seen: Situation, degrees: float, drift: float) -> list[Situation]:
    """The same person over time: slow waves of pose and place."""
    phases = [rng.uniform(0, 2 * math.pi) for _ in range(5)]
    rates = [rng.uniform(0.35, 0.8) for _ in range(5)]

    def at(n: int) -> Situation:
        wave = [math.sin(phase + rate * n) for phase, rate in zip(phases, rates)]
        yaw, pitch, roll = seen.yaw + degrees * wave[0], seen.pitch + degrees * 0.7 * wave[1], seen.roll + degrees * 0.7 * wave[2]
        return replace(seen, yaw=yaw, pitch=pitch, roll=roll, x=seen.x + drift * wave[3], y=seen.y + drift * 0.5 * wave[4])

    return [at(n) for n in range(FRAMES)]


def moving(rng: random.Random, who: Identity) -> tuple[Scene, list[Situation]]:
    """Turns from one side to the other and walks through the frame; the expression changes twice."""
    seen, end = (situation(rng, WIDTH, HEIGHT, "close") for _ in range(2))
    faces = rng.sample(["neutral", "smiling", "sad", "angry", "surprised"], 3)

    def at(n: int) -> Situation:
        t = (1 - math.cos(math.pi * n / (FRAMES - 1))) / 2
        go = lambda a, b: a + (b - a) * t  # noqa: E731
        pose = dict(yaw=go(seen.yaw, end.yaw), pitch=go(seen.pitch, end.pitch), roll=go(seen.roll, end.roll))
        return replace(seen, **pose, x=go(seen.x, end.x), y=go(seen.y, end.y), expression=faces[n * 3 // FRAMES], blink=False)

    return scene(rng), [at(n) for n in range(FRAMES)]


def talking(rng: random.Random, who: Identity) -> tuple[Scene, list[Situation]]:
    """In the pose, the clothes and the place of the first reference; the mouth opens and closes."""
    shown = reference(who, 0)
    _, there = shown.people[0]
    seen = replace(there, x=0.5, size=0.205 * HEIGHT)
    others = [e for e in ("neutral", "smiling", "laughing", "surprised") if e != there.expression]
    mouths = [there.expression, *rng.sample(others, 2)]
    return shown.place, [replace(s, expression=mouths[rng.randrange(3)]) for s in swaying(rng, seen, 2, 0.01)]


def listening(rng: random.Random, who: Identity) -> tuple[Scene, list[Situation]]:
    """Says nothing: one expression, a sway, one blink."""
    seen = replace(situation(rng, WIDTH, HEIGHT, "close"), blink=False)
    over = swaying(rng, seen, 8, 0.015)
    closed = rng.randrange(1, FRAMES - 1)
    return scene(rng), [replace(s, blink=n == closed) for n, s in enumerate(over)]


TAKES = {"moving": moving, "talking": talking, "listening": listening}


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("out", type=Path)
    a.add_argument("--first", type=int, default=FIRST)
    a.add_argument("--ids", type=int, default=24)
    a = a.parse_args()
    truth = []

    def save(name: str, rgb: np.ndarray) -> str:
        file = a.out / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb).save(file, compress_level=3)
        return name

    for number in range(a.first, a.first + a.ids):
        who, rng = identity(number), random.Random(number * 97 + 3)
        references = [save(f"{number}/reference-{n}.png", reference(who, n).rgb) for n in range(3)]
        takes = {}
        for kind, filmed in TAKES.items():
            place, over = filmed(rng, who)
            frames = (draw(WIDTH, HEIGHT, place, [(who, seen)])[0] for seen in over)
            takes[kind] = [save(f"{number}/{kind}-{n:02}.png", rgb) for n, rgb in enumerate(frames)]
        empty = save(f"{number}/empty.png", draw(WIDTH, HEIGHT, scene(rng), [])[0])
        truth.append({"identity": number, "references": references, "takes": takes, "empty": empty})
    (a.out / "truth.json").write_text(json.dumps({"characters": truth}))


if __name__ == "__main__":
    main()
