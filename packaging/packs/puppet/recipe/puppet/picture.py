"""Whole pictures: a place, the puppets in it, and the truth about their faces."""
from __future__ import annotations

import random

import numpy as np
import skia

from .body import draw_body
from .caption import caption
from .face import draw_face, draw_glasses
from .hair import draw_hair_behind, draw_hair_in_front
from .head import draw_ears, draw_head, draw_marks, head_outline
from .identity import Identity
from .pen import Pen
from .places import LIGHTS, draw_place
from .situation import Scene, Situation, framing, scene, situation

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


def sample(seed: int, who: Identity, width: int, height: int, shot: str | None = None):
    """One random picture of `who`: (rgb, box, landmarks, caption)."""
    rng = random.Random(seed)
    shot = shot or framing(rng, width == height)
    seen, place = situation(rng, width, height, shot), scene(rng)
    rgb, boxes, landmarks = draw(width, height, place, [(who, seen)])
    return rgb, boxes[0], landmarks[0], caption(rng, who, seen, place, shot)
