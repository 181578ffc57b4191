"""Draws the casts of the two films that come with Greenroom, of puppets that no model was trained or tuned on.

    python -m puppet.cast tests/fixtures

`hidden-lab` gets its cast, a second of each of them moving, and strangers for the gate to refuse; `three-faces` three characters
with ten pictures each, enough to learn them from.
"""
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from .heldout import reference
from .identity import identity
from .picture import draw
from .situation import Scene, Situation

SIZE = 384
MARA, TOBIN, OLD_STRANGER, YOUNG_STRANGER = 2_000_249, 2_000_131, 2_000_199, 2_000_147

# file: identity, (yaw, pitch, roll, expression, garment, its colour, light side, x, y, size), (place, time, furniture)
PICTURES = {
    "cast/mara/1.png": (MARA, (0, 0, 0, "neutral", "turtleneck", "green", 1, 0.50, 0.47, 0.235), ("studio", "day", 1)),
    "cast/mara/2.png": (MARA, (14, -3, 2, "smiling", "t-shirt", "white", -1, 0.49, 0.47, 0.225), ("library", "day", 2)),
    "cast/mara/3.png": (MARA, (-12, 3, -3, "neutral", "coat", "white", 1, 0.51, 0.47, 0.205), ("laboratory", "day", 3)),
    "cast/mara/4.png": (MARA, (22, 4, 3, "sad", "hoodie", "blue", -1, 0.48, 0.48, 0.215), ("city", "day", 11)),
    "cast/mara/5.png": (MARA, (-21, -4, 1, "laughing", "suit", "black", 1, 0.52, 0.47, 0.220), ("office", "day", 12)),
    "cast/tobin/1.png": (TOBIN, (0, 0, 0, "neutral", "coat", "white", -1, 0.50, 0.49, 0.235), ("studio", "day", 5)),
    "cast/tobin/2.png": (TOBIN, (-14, -2, -2, "smiling", "turtleneck", "black", 1, 0.51, 0.49, 0.225), ("office", "day", 6)),
    "cast/tobin/3.png": (TOBIN, (12, 3, 3, "neutral", "suit", "white", -1, 0.49, 0.49, 0.205), ("mountains", "day", 7)),
    "cast/tobin/4.png": (TOBIN, (-23, 3, 1, "neutral", "hoodie", "red", -1, 0.52, 0.48, 0.215), ("beach", "day", 13)),
    "cast/tobin/5.png": (TOBIN, (20, -3, -2, "laughing", "t-shirt", "blue", 1, 0.48, 0.49, 0.220), ("library", "day", 14)),
    "strangers/1.png": (OLD_STRANGER, (8, 0, 0, "neutral", "t-shirt", "purple", 1, 0.50, 0.48, 0.225), ("studio", "day", 8)),
    "strangers/2.png": (YOUNG_STRANGER, (-8, 0, 2, "neutral", "hoodie", "yellow", -1, 0.50, 0.50, 0.225), ("forest", "day", 9)),
}

# A head that turns and speaks: (yaw, pitch, roll, expression), in the clothes and the place of the first picture.
MOVING = [(-10, 2, -2, "neutral"), (-6, 0, -1, "surprised"), (-2, -3, 1, "smiling"), (4, -2, 3, "neutral"), (9, 1, 2, "surprised"), (13, 3, 0, "sad")]
PICTURES |= {
    f"moving/{name}/{n}.png": (seed, (*pose, *rest), place)
    for name in ("mara", "tobin")
    for seed, (_, _, _, _, *rest), place in [PICTURES[f"cast/{name}/1.png"]]
    for n, pose in enumerate(MOVING, 1)
}

# Whose references are drawn as those that the pack is measured with.
LEARNT = {"juno": 2_000_301, "iris": 2_000_302, "otis": 2_000_303}
REFERENCES = 10


def picture(name: str) -> np.ndarray:
    """One of PICTURES as rgb uint8 (SIZE, SIZE, 3)."""
    seed, (*pose, x, y, size), place = PICTURES[name]
    return draw(SIZE, SIZE, Scene(*place), [(identity(seed), Situation(*pose, x, y, size * SIZE))])[0]


def main(folder: Path) -> None:
    drawn = {f"hidden-lab/{name}": picture(name) for name in PICTURES}
    for name, seed in LEARNT.items():
        drawn |= {f"three-faces/cast/{name}/{n + 1}.png": reference(identity(seed), n).rgb for n in range(REFERENCES)}
    for name, rgb in drawn.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rgb).save(folder / name, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
