"""Ears, the head itself, and the marks of a skin."""
from __future__ import annotations

import random

import skia

from .hair import draw_stubble
from .pen import Pen, Point, mixed, paint, scaled, smooth


def head_outline(pen: Pen) -> list[Point]:
    """The edge of the head in pixels: an egg with a jaw."""
    s = pen.shape
    w, h, jaw = s.face_w, s.face_h, s.face_w * (s.jaw * 0.55 + 0.36)
    right = [(w * 0.74, -h * 0.78), (w, -h * 0.1), (w * s.cheek * 0.985, h * 0.26), (jaw, h * 0.68), (s.chin, h * 0.965)]
    return [pen.jaw(*p) for p in [(0, -h), *right, *((-x, y) for x, y in reversed(right))]]


def draw_ears(pen: Pen) -> None:
    """Both ears, but the far one only while it shows, and their rings."""
    ear, r = pen.shape.ear, pen.unit
    for t in (-1, 1):
        if t * pen.sin_yaw >= 0.34:
            continue
        x, y = pen.outline(t * (pen.shape.face_w + 0.03) - pen.turn_x * 0.6, 0.02 + pen.turn_y)
        pen.canvas.drawOval(skia.Rect.MakeXYWH(x - r * ear * 0.62, y - r * ear, r * ear * 1.24, r * ear * 2), paint(pen.shade))
        if pen.who.earrings:
            pen.disc((x, y + r * ear), max(1.0, r * 0.08), pen.lit((240, 204, 80)))


def draw_head(pen: Pen) -> None:
    """The head with its shaded side, and what grows on it no longer than stubble."""
    path = smooth(head_outline(pen))
    pen.canvas.drawPath(path, paint(pen.skin))
    with pen.inside(path):
        draw_shadow(pen)
        if pen.who.beard == "full beard":
            draw_full_beard(pen)
        if pen.who.hair == "buzz":
            draw_stubble(pen)


def draw_shadow(pen: Pen) -> None:
    w, h, t = pen.shape.face_w, pen.shape.face_h, pen.seen.light_side
    edge = [(w * 1.1, -h * 1.1), (w * 0.66, -h * 0.7), (w * 0.78, 0), (w * 0.58, h * 0.6), (w * 0.1, h * 1.1), (w * 1.2, h * 1.1)]
    pen.fill([pen.jaw(-t * x - t * 0.02, y) for x, y in edge], pen.shade, 0.8)


def draw_full_beard(pen: Pen) -> None:
    w, h, mouth = pen.shape.face_w, pen.shape.face_h, pen.shape.mouth_y
    edge = [
        (-w * 0.97, 0.12), (-w * 0.62, 0.42), (-0.3, mouth - 0.16), (0, mouth - 0.1), (0.3, mouth - 0.16), (w * 0.62, 0.42), (w * 0.97, 0.12),
    ]
    below = [pen.jaw(w * 1.15, h * 0.9), pen.jaw(0, h * 1.15), pen.jaw(-w * 1.15, h * 0.9)]
    pen.fill(pen.faces(edge) + below, mixed(pen.hair, pen.skin, 0.12))


def draw_marks(pen: Pen) -> None:
    """The lines of age, freckles, a scar, a mole: large enough to survive a picture of 128 pixels."""
    who, r = pen.who, pen.unit
    if who.age == "old":
        for t in (-1, 1):
            pen.line(pen.faces([(t * 0.26, 0.34), (t * 0.36, 0.5), (t * 0.40, 0.66)]), pen.crease, 0.6, r * 0.035)
        pen.line(pen.faces([(-0.34, -0.62), (0, -0.66), (0.34, -0.62)]), pen.crease, 0.45, r * 0.03)
    if who.freckles:
        rng = random.Random(who.seed)
        for t in (-1, 1):
            for _ in range(5):
                spot = pen.face(t * rng.uniform(0.2, 0.6), rng.uniform(0.14, 0.42))
                pen.disc(spot, max(0.9, r * 0.055), scaled(pen.skin, 0.58), 0.95)
    if who.scar:
        t = 1 if who.scar % 2 else -1
        pen.straight(pen.face(t * 0.38, 0.18), pen.face(t * 0.62, 0.56), pen.lit((176, 52, 60)), 1, max(2.0, r * 0.13))
    if who.mole:
        spot = pen.face((1 if who.mole % 2 else -1) * 0.4, 0.34 if who.mole < 3 else 0.58)
        pen.disc(spot, max(1.4, r * 0.09), pen.lit((44, 24, 20)))
