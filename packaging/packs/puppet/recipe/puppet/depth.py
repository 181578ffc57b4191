"""Draws how far away everything is, as a renderer's depth pass would: what the ControlNet is steered by.

Grey by nearness, black is far: bodies and bare heads of people, nearer ones lighter, without hair and clothes, as an artist
would block them out. The nose stands out and the eyes lie back, so a head's turn can be read.
"""
from __future__ import annotations

import numpy as np
import skia

from .head import head_outline
from .identity import Identity
from .pen import Pen, paint, smooth
from .situation import Situation

LARGEST_HEAD = 0.27  # of the picture's height: what is drawn white


def depth(width: int, height: int, people: list[tuple[Identity, Situation]]) -> np.ndarray:
    """uint8 (H, W), 0 far to 255 near."""
    pixels = np.zeros((height, width, 4), np.uint8)
    canvas = skia.Surface(pixels, colorType=skia.kRGBA_8888_ColorType).getCanvas()
    for who, seen in sorted(people, key=lambda p: p[1].size):
        draw_block(Pen(canvas, width, height, who, seen, (1, 1, 1)), 90 + 150 * min(1.0, seen.size / height / LARGEST_HEAD))
    return pixels[..., 0].copy()


def draw_block(pen: Pen, near: float) -> None:
    """One person whose head is `near`."""
    body, top = pen.body, 1.52 * pen.shape.face_h / 1.3
    broad = 1.75 if pen.who.sex == "man" else 1.5
    pen.fill([body(-0.46, 0.7), body(0.46, 0.7), body(0.5, top + 0.25), body(-0.5, top + 0.25)], grey(near * 0.76))
    right = [(0.5, top - 0.12), (broad * 0.82, top + 0.16), (broad, top + 0.7), (broad * 1.06, top + 4.5)]
    left = [(-x, y) for x, y in reversed(right)]
    pen.fill([body(*p) for p in [left[-1], *right, *left[:-1]]], grey(near * 0.84))
    head = smooth(head_outline(pen))
    pen.canvas.drawPath(head, paint(grey(near * 0.86)))
    with pen.inside(head):
        for share, lightness in ((0.8, 0.91), (0.55, 0.95)):
            pen.fill([pen.face(share * x, share * y) for x, y in EGG], grey(near * lightness))
        for side in (-1, 1):
            pen.disc(pen.face(side * pen.shape.eye_x, pen.shape.eye_y), pen.unit * 0.13, grey(near * 0.88))
    pen.disc(pen.face(0, pen.shape.eye_y + 0.12 + pen.shape.nose_len, 0.14), pen.unit * 0.13, grey(near * 1.04))


EGG = [(0, -1.2), (0.75, -0.85), (0.95, 0), (0.7, 0.75), (0, 1.2), (-0.7, 0.75), (-0.95, 0), (-0.75, -0.85)]


def grey(value: float) -> tuple[float, float, float]:
    return (value, value, value)
