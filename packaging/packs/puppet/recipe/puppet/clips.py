"""Clips: one to four puppets for a few seconds in one place, whose heads turn, tilt and move as people's do while they talk.

A clip differs from as many random pictures in what a shot keeps: place, light, clothes and distance stay, and pose drifts
around where it began. Frames are spread over the clip as the gate samples them.
"""
from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np

from .identity import Identity
from .picture import WIDE, Sample, draw
from .situation import EXPRESSIONS, Situation, company, framing, scene, situation

TURN, NOD, TILT, DRIFT = 10.0, 4.0, 3.0, 0.02  # how far a head strays: degrees, and shares of the picture


def clip(seed: int, people: list[Identity], frames: int) -> list[Sample]:
    """The frames of one clip, at the generator's wide size. People stand from left to right, and so does their truth."""
    rng, (width, height) = random.Random(seed), WIDE
    if len(people) == 1:
        shot = framing(rng, False)
        seen = [situation(rng, width, height, shot)]
    else:
        shot, seen = company(rng, width, height, len(people))
    place = scene(rng)
    moves = [movement(rng, s) for s in seen]
    return [still(place, shot, list(zip(people, [move(n / max(1, frames - 1)) for move in moves]))) for n in range(frames)]


def movement(rng: random.Random, start: Situation):
    """How one head moves: a function of the time, 0 to 1, that gives its situation then."""
    phases = [rng.uniform(0, 2 * math.pi) for _ in range(5)]
    speeds = [rng.uniform(1, 3) * math.pi for _ in range(5)]
    second, turn_at, blink_at = rng.choice(EXPRESSIONS), rng.random(), rng.random()

    def at(time: float) -> Situation:
        sway = [math.sin(phase + speed * time) - math.sin(phase) for phase, speed in zip(phases, speeds)]
        return replace(
            start, yaw=limited(start.yaw + TURN * sway[0], 32), pitch=limited(start.pitch + NOD * sway[1], 12),
            roll=limited(start.roll + TILT * sway[2], 10), x=start.x + DRIFT * sway[3], y=start.y + DRIFT / 2 * sway[4],
            expression=start.expression if time < turn_at else second, blink=abs(time - blink_at) < 0.02,
        )

    return at


def limited(angle: float, most: float) -> float:
    return max(-most, min(most, angle))


def still(place, shot: str, pairs: list[tuple[Identity, Situation]]) -> Sample:
    """One frame, its truth in the order of the people."""
    rgb, boxes, landmarks = draw(*WIDE, place, pairs)
    order = np.argsort(np.argsort([s.size for _, s in pairs], kind="stable"))  # draw() gives the truth from back to front
    return Sample(rgb, boxes[order], landmarks[order], pairs, place, shot, [""] * len(pairs), "")
