"""The pictures that the generator is asked for when it is scored: the same situations for every character."""
from __future__ import annotations

import random

from .caption import caption
from .identity import Identity
from .situation import Scene, Situation

SHOTS = [  # shot, garment, its colour, expression, place, time
    ("close", "turtleneck", "blue", "neutral", "laboratory", "night"),
    ("medium", "t-shirt", "red", "smiling", "laboratory", "day"),
    ("close", "coat", "white", "neutral", "forest", "day"),
    ("medium", "suit", "black", "sad", "city", "sunset"),
]


class Everything(random.Random):
    """Numbers that make a caption name every attribute, in order."""

    def random(self) -> float:
        return 0.5


def prompts(who: Identity) -> list[tuple[str, Situation, Scene, str]]:
    """Shot size, situation, scene, and the caption that names all of it."""
    out = []
    for shot, garment, colour, expression, place, time in SHOTS:
        seen, scene = Situation(0, 0, 0, expression, garment, colour, 1, 0.5, 0.46, 30), Scene(place, time, 0)
        out.append((shot, seen, scene, caption(Everything(), who, seen, scene, shot, keep=1)))
    return out
