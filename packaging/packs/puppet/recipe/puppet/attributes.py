"""What can be told of a puppet by looking at it: the labels, and the square around a face that shows them."""
from __future__ import annotations

import cv2
import numpy as np

from .identity import BEARDS, EYES, GLASSES, HAIR_STYLES, HAIRS, SKINS, Identity
from .situation import COLOURS, EXPRESSIONS, GARMENTS, PLACES, TIMES, Scene, Situation

SIZE = 128  # of the square that the classifier sees
CROP, DOWN = 2.6, 0.25  # its side, and how far its centre lies below the face's, in longer sides of the face's box

ATTRIBUTES: dict[str, list[str]] = {
    "sex": ["man", "woman"],
    "age": ["young", "adult", "old"],
    "skin": list(SKINS),
    "hair_style": HAIR_STYLES,
    "hair_colour": ["none", *HAIRS],
    "eye_colour": ["hidden", *EYES],
    "beard": list(dict.fromkeys(BEARDS)),
    "glasses": list(dict.fromkeys(GLASSES)),
    "freckles": ["none", "freckles"],
    "scar": ["none", "left cheek", "right cheek"],
    "expression": EXPRESSIONS,
    "garment": GARMENTS,
    "garment_colour": list(COLOURS),
    "place": PLACES,
    "time": TIMES,
}

HEAD = ["in place", "elsewhere"]  # whether the face stands where a head belongs; learnt by misplaced.py
OUTPUTS = ATTRIBUTES | {"head": HEAD}


def labels(who: Identity, seen: Situation, scene: Scene) -> dict[str, str]:
    """Every attribute as a label. Sides are the picture's; a bald head's hair and the eyes behind sunglasses have no colour."""
    return {
        "sex": who.sex, "age": who.age, "skin": who.skin, "hair_style": who.hair,
        "hair_colour": "none" if who.hair == "bald" else who.hair_colour,
        "eye_colour": "hidden" if who.glasses == "sunglasses" else who.eye_colour,
        "beard": who.beard, "glasses": who.glasses, "freckles": "freckles" if who.freckles else "none",
        "scar": "none" if not who.scar else "right cheek" if who.scar % 2 else "left cheek",
        "expression": seen.expression, "garment": seen.garment, "garment_colour": seen.garment_colour,
        "place": scene.place, "time": scene.time,
    }


def columns(who: Identity, seen: Situation, scene: Scene) -> list[int]:
    """The labels as numbers, in the order of ATTRIBUTES."""
    said = labels(who, seen, scene)
    return [values.index(said[name]) for name, values in ATTRIBUTES.items()]


def square(rgb: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The square around a face as the classifier sees it, uint8 (SIZE, SIZE, 3); black where it leaves the picture."""
    longer = float(max(box[2] - box[0], box[3] - box[1]))
    side = max(1, round(CROP * longer))
    x0 = round(float(box[0] + box[2]) / 2 - side / 2)
    y0 = round(float(box[1] + box[3]) / 2 + DOWN * longer - side / 2)
    cut = np.zeros((side, side, 3), np.uint8)
    h, w = rgb.shape[:2]
    left, top, right, low = max(0, x0), max(0, y0), min(w, x0 + side), min(h, y0 + side)
    if right > left and low > top:
        cut[top - y0 : low - y0, left - x0 : right - x0] = rgb[top:low, left:right]
    return cv2.resize(cut, (SIZE, SIZE), interpolation=cv2.INTER_AREA if side > SIZE else cv2.INTER_LINEAR)
