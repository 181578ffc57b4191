"""How a puppet is seen in one picture: pose, expression, light, clothes, framing and place."""
from __future__ import annotations

import random
from dataclasses import dataclass, replace

from .identity import Rgb

COLOURS: dict[str, Rgb] = {
    "red": (196, 44, 40), "orange": (232, 124, 32), "yellow": (226, 196, 60), "green": (48, 134, 66), "blue": (42, 88, 186),
    "purple": (122, 58, 160), "white": (232, 232, 230), "black": (40, 40, 46),
}
GARMENTS = ["t-shirt", "turtleneck", "hoodie", "suit", "coat"]
PLACES = ["studio", "office", "forest", "beach", "city", "library", "mountains", "laboratory"]
TIMES = ["day", "sunset", "night"]
EXPRESSIONS = ["neutral", "smiling", "laughing", "sad", "angry", "surprised"]
SHOTS = ["close", "medium", "wide"]

# Head half-width as a share of the picture's height, and where the head's centre stands, by shot.
SIZES = {"close": (0.205, 0.265), "medium": (0.15, 0.20), "wide": (0.095, 0.13)}
COMPANY_SIZES = {"close": (0.18, 0.235), "medium": (0.13, 0.18), "wide": (0.095, 0.13)}
HEIGHTS = {"close": (0.43, 0.52), "medium": (0.40, 0.50), "wide": (0.40, 0.5)}


@dataclass(frozen=True)
class Situation:
    """Angles in degrees; x and y are the head's centre as shares of width and height; size is its half-width in pixels."""

    yaw: float
    pitch: float
    roll: float
    expression: str
    garment: str
    garment_colour: str
    light_side: int
    x: float
    y: float
    size: float
    blink: bool = False


@dataclass(frozen=True)
class Scene:
    """Where and when; the seed moves the furniture."""

    place: str
    time: str
    seed: int


def situation(rng: random.Random, width: int, height: int, shot: str) -> Situation:
    """A random situation for a picture of this size."""
    size = drawn(rng, SIZES)[shot] * height
    x = rng.uniform(0.42, 0.58) if width == height else rng.uniform(0.28, 0.72)
    y = drawn(rng, HEIGHTS)[shot]
    return Situation(
        yaw=bounded(rng, 15, 32), pitch=bounded(rng, 6, 12), roll=bounded(rng, 5, 10), expression=rng.choice(EXPRESSIONS),
        garment=rng.choice(GARMENTS), garment_colour=rng.choice(list(COLOURS)), light_side=rng.choice([-1, 1]), x=x, y=y, size=size,
        blink=rng.random() < 0.03,
    )


def company(rng: random.Random, width: int, height: int, count: int) -> tuple[str, list[Situation]]:
    """A shot size and the situations of two to four people side by side, from left to right."""
    shot = rng.choices(SHOTS[:2] if count == 2 else SHOTS[1:], [1, 3])[0]
    low, high = COMPANY_SIZES[shot]
    size, room = rng.uniform(low, high) * height, width / count
    people = []
    for n in range(count):
        alone = situation(rng, width, height, shot)
        own = min(size * rng.uniform(0.9, 1.1), room * 0.4)
        x = (n + 0.5 + rng.uniform(-0.14, 0.14)) / count
        people.append(replace(alone, x=x, size=own, yaw=max(-24, min(24, alone.yaw))))
    return shot, people


def scene(rng: random.Random) -> Scene:
    """A random place at a random time."""
    return Scene(rng.choice(PLACES), rng.choices(TIMES, [5, 2, 2])[0], rng.randrange(1 << 30))


def framing(rng: random.Random, square: bool) -> str:
    """A random shot size: square pictures are mostly close, wide pictures mostly medium."""
    return rng.choices(SHOTS, [3, 3, 1] if square else [2, 4, 2])[0]


def drawn(rng: random.Random, ranges: dict[str, tuple[float, float]]) -> dict[str, float]:
    """One number from every range, so that what follows does not depend on the shot."""
    return {name: rng.uniform(*ends) for name, ends in ranges.items()}


def bounded(rng: random.Random, spread: float, most: float) -> float:
    """A normal number around 0 that never exceeds `most`."""
    return max(-most, min(most, rng.gauss(0, spread)))
