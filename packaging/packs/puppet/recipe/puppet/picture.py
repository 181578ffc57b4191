"""Whole pictures: a place, the puppets in it, and the truth about their faces."""
from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import skia

from .body import draw_body
from .caption import IN_COMPANY, caption, caption_of_nobody
from .face import draw_face, draw_glasses
from .hair import draw_hair_behind, draw_hair_in_front
from .head import draw_ears, draw_head, draw_marks, head_outline
from .identity import Identity
from .pen import Pen
from .places import LIGHTS, draw_place
from .situation import Scene, Situation, company, framing, scene, situation

SQUARE, WIDE = (128, 128), (192, 112)


def draw(width: int, height: int, place: Scene, people: list[tuple[Identity, Situation]]):
    """Renders one picture. Returns rgb uint8 (H, W, 3), boxes float32 (N, 4) and landmarks float32 (N, 5, 2), in pixels."""
    pixels = np.zeros((height, width, 4), np.uint8)
    canvas = skia.Surface(pixels, colorType=skia.kRGBA_8888_ColorType).getCanvas()
    draw_place(canvas, width, height, place)
    back_to_front = sorted(people, key=lambda p: p[1].size)
    truth = [draw_puppet(Pen(canvas, width, height, who, seen, LIGHTS[place.time])) for who, seen in back_to_front]
    boxes = np.array([box for box, _ in truth], np.float32).reshape(-1, 4)
    landmarks = np.array([points for _, points in truth], np.float32).reshape(-1, 5, 2)
    return pixels[..., :3].copy(), boxes, landmarks


def draw_puppet(pen: Pen) -> tuple[np.ndarray, np.ndarray]:
    """Draws one puppet. Returns its box x0 y0 x1 y1 (the face without hair) and its landmarks (5, 2), see draw_face."""
    draw_hair_behind(pen)
    draw_body(pen)
    draw_ears(pen)
    draw_head(pen)
    draw_marks(pen)
    landmarks = np.array(draw_face(pen), np.float32)
    draw_hair_in_front(pen)
    draw_glasses(pen)
    outline = np.array(head_outline(pen))
    brow = min(pen.face(0, pen.shape.eye_y - pen.shape.brow_y - 0.3)[1], outline[:, 1].max())
    return np.array([outline[:, 0].min(), brow, outline[:, 0].max(), outline[:, 1].max()], np.float32), landmarks


@dataclass(frozen=True)
class Sample:
    """A picture with its truth. People stand from left to right; `captions` has one each, `around` describes the rest.

    rgb uint8 (H, W, 3), boxes float32 (N, 4), landmarks float32 (N, 5, 2), in pixels.
    """

    rgb: np.ndarray
    boxes: np.ndarray
    landmarks: np.ndarray
    people: list[tuple[Identity, Situation]]
    place: Scene
    shot: str
    captions: list[str]
    around: str

    def edges(self) -> np.ndarray:
        """Where the strip of each person ends, as shares of the width (N,): midway to the next one, at last the border."""
        x = np.array([seen.x for _, seen in self.people], np.float32)
        return np.append((x[1:] + x[:-1]) / 2, np.float32(1)) if len(x) else x


def sample(seed: int, who: Identity, width: int, height: int, shot: str | None = None) -> Sample:
    """One random picture of `who`."""
    rng = random.Random(seed)
    shot, seen = posed(rng, width, height, shot)
    place = scene(rng)
    rgb, boxes, landmarks = draw(width, height, place, [(who, seen)])
    text = caption(rng, who, seen, place, shot)
    return Sample(rgb, boxes, landmarks, [(who, seen)], place, shot, [text], caption_of_nobody(rng, place, shot))


def posed(rng: random.Random, width: int, height: int, shot: str | None = None) -> tuple[str, Situation]:
    """What `sample` draws first: the shot size and how its puppet is seen."""
    shot = shot or framing(rng, width == height)
    return shot, situation(rng, width, height, shot)


def company_of(seed: int, people: list[Identity], width: int, height: int) -> Sample:
    """One random picture of nobody, or of two to four people from left to right."""
    rng = random.Random(seed)
    if people:
        shot, seen = company(rng, width, height, len(people))
    else:
        shot, seen = framing(rng, width == height), []
    place, pairs = scene(rng), list(zip(people, seen))
    rgb, boxes, landmarks = draw(width, height, place, pairs)
    drawn = np.argsort([s.size for s in seen], kind="stable")
    order = np.argsort(drawn)  # draw() gives the truth from back to front
    captions = [caption(rng, who, s, place, shot) + IN_COMPANY for who, s in pairs]
    return Sample(rgb, boxes[order], landmarks[order], pairs, place, shot, captions, caption_of_nobody(rng, place, shot))
