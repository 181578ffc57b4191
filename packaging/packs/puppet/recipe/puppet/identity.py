"""Who a puppet is: geometry, colours and marks, sampled from one seed.

Nothing in here changes between two pictures of the same puppet, and nothing in situation.py changes who it is.
Lengths are in head half-widths, x to the right of the picture, y down; angles are in degrees.
"""
from __future__ import annotations

import random
from dataclasses import dataclass, replace

Rgb = tuple[int, int, int]

SKINS: dict[str, Rgb] = {
    "pale": (247, 216, 196), "fair": (238, 190, 160), "olive": (208, 160, 112), "tan": (190, 130, 88), "brown": (140, 88, 58),
    "dark": (88, 56, 42),
}
HAIRS: dict[str, Rgb] = {
    "black": (26, 24, 30), "brown": (92, 56, 34), "auburn": (142, 66, 38), "red": (196, 72, 32), "blond": (222, 184, 92),
    "grey": (150, 152, 156), "white": (232, 232, 228), "blue": (46, 84, 190), "pink": (226, 110, 160), "green": (58, 142, 84),
}
EYES: dict[str, Rgb] = {
    "brown": (98, 60, 30), "green": (62, 138, 66), "blue": (46, 104, 196), "grey": (112, 124, 136), "amber": (190, 128, 30),
}
HAIR_STYLES = ["bald", "buzz", "short", "side part", "spiky", "afro", "curly", "bob", "long", "ponytail", "bun"]
BEARDS = ["none", "none", "none", "moustache", "goatee", "full beard"]
GLASSES = ["none"] * 6 + ["round glasses"] * 2 + ["square glasses"] * 2 + ["sunglasses"]
FRAMES: list[Rgb] = [(30, 30, 34), (150, 40, 36), (40, 60, 120), (150, 118, 60)]
LIPS: Rgb = (178, 66, 74)

# How often each hair style and colour is drawn, in the order of the tables above.
STYLE_WEIGHTS = {"man": [3, 3, 4, 4, 3, 2, 2, 1, 1, 1, 1], "woman": [0.4, 1, 2, 2, 1, 2, 3, 4, 5, 4, 3]}
COLOUR_WEIGHTS = {
    "young": [4, 4, 2, 2, 3, 0.2, 0.2, 1, 1, 0.7],
    "adult": [4, 4, 3, 2, 3, 1, 0.3, 0.5, 0.4, 0.4],
    "old": [1, 1, 0.5, 0.3, 0.6, 6, 5, 0.2, 0.1, 0.1],
}


@dataclass(frozen=True)
class Geometry:
    """The fine shape of a face. The fields are sampled in this order: never reorder them, or every puppet changes."""

    face_w: float
    face_h: float
    jaw: float
    chin: float
    cheek: float
    eye_x: float
    eye_y: float
    eye_w: float
    eye_h: float
    eye_tilt: float
    iris: float
    brow_y: float
    brow_len: float
    brow_thick: float
    brow_tilt: float
    nose_len: float
    nose_w: float
    nose_type: int
    mouth_y: float
    mouth_w: float
    lip: float
    ear: float
    hair_vol: float
    hair_line: float
    part: int


@dataclass(frozen=True)
class Identity:
    """One puppet. `scar` and `mole` are 0 for none, else 1 to 4: which cheek, and how high."""

    seed: int
    sex: str
    age: str
    skin: str
    skin_rgb: Rgb
    hair: str
    hair_colour: str
    hair_rgb: Rgb
    eye_colour: str
    beard: str
    glasses: str
    glasses_rgb: Rgb
    freckles: bool
    scar: int
    mole: int
    earrings: bool
    lip_rgb: Rgb | None
    shape: Geometry


def identity(seed: int) -> Identity:
    """Samples an identity; the same seed gives the same puppet on every machine."""
    rng = random.Random(seed * 7919 + 17)
    sex = rng.choice(["man", "woman"])
    age = rng.choices(["young", "adult", "old"], [3, 4, 2])[0]
    skin = rng.choice(list(SKINS))
    hair = rng.choices(HAIR_STYLES, STYLE_WEIGHTS[sex])[0]
    colour = rng.choices(list(HAIRS), COLOUR_WEIGHTS[age])[0]
    shape = geometry(rng, sex)
    return Identity(
        seed=seed, sex=sex, age=age, shape=shape,
        lip_rgb=jitter(rng, LIPS, 20) if sex == "woman" else None,
        skin=skin, skin_rgb=jitter(rng, SKINS[skin], 9),
        hair=hair, hair_colour=colour, hair_rgb=jitter(rng, HAIRS[colour], 12),
        eye_colour=rng.choice(list(EYES)),
        beard=rng.choice(BEARDS) if sex == "man" else "none",
        glasses=rng.choice(GLASSES), glasses_rgb=rng.choice(FRAMES),
        freckles=rng.random() < 0.18,
        scar=rng.randrange(1, 5) if rng.random() < 0.15 else 0,
        mole=rng.randrange(1, 5) if rng.random() < 0.15 else 0,
        earrings=sex == "woman" and rng.random() < 0.4,
    )


def look_alike(who: Identity, seed: int) -> Identity:
    """Another puppet that every caption describes in the same words."""
    rng = random.Random(seed)
    skin, hair = jitter(rng, SKINS[who.skin], 9), jitter(rng, HAIRS[who.hair_colour], 12)
    return replace(who, seed=seed, shape=geometry(rng, who.sex), skin_rgb=skin, hair_rgb=hair)


def geometry(rng: random.Random, sex: str) -> Geometry:
    """Samples the fine shape."""
    u = rng.uniform
    return Geometry(
        face_w=u(0.84, 1.08), face_h=u(1.16, 1.48), jaw=u(0.42, 0.86), chin=u(0.16, 0.44), cheek=u(0.94, 1.05),
        eye_x=u(0.33, 0.49), eye_y=u(-0.20, 0.02), eye_w=u(0.15, 0.235), eye_h=u(0.60, 0.98), eye_tilt=u(-16, 18),
        iris=u(0.52, 0.68), brow_y=u(0.20, 0.34), brow_len=u(0.20, 0.32), brow_thick=u(0.035, 0.105), brow_tilt=u(-16, 18),
        nose_len=u(0.28, 0.48), nose_w=u(0.11, 0.24), nose_type=rng.randrange(3), mouth_y=u(0.58, 0.76), mouth_w=u(0.24, 0.46),
        lip=u(0.05, 0.125) if sex == "woman" else u(0.035, 0.08), ear=u(0.16, 0.27), hair_vol=u(0.85, 1.25),
        hair_line=u(-0.82, -0.58), part=rng.choice([-1, 1]),
    )


def jitter(rng: random.Random, rgb: Rgb, amount: float) -> Rgb:
    """A colour near `rgb`, each channel moved by at most `amount`."""
    return tuple(int(min(255, max(0, c + rng.uniform(-amount, amount)))) for c in rgb)
