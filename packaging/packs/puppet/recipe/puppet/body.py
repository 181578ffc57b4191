"""Neck, shoulders and clothes."""
from __future__ import annotations

from .pen import Pen, scaled
from .situation import COLOURS

SUIT, COAT, SHIRT = (44, 46, 58), (120, 92, 66), (238, 238, 236)


def draw_body(pen: Pen) -> None:
    """Everything below the chin."""
    seen, body = pen.seen, pen.body
    cloth = pen.lit(COLOURS[seen.garment_colour])
    outer = {"suit": pen.lit(SUIT), "coat": pen.lit(COAT)}.get(seen.garment, cloth)
    broad = 1.75 if pen.who.sex == "man" else 1.5
    top = 1.52 * pen.shape.face_h / 1.3
    pen.fill([body(-0.46, 0.7), body(0.46, 0.7), body(0.5, top + 0.25), body(-0.5, top + 0.25)], pen.shade)
    right = [(0.5, top - 0.12), (broad * 0.82, top + 0.16), (broad, top + 0.7), (broad * 1.06, top + 4.5)]
    left = [(-x, y) for x, y in reversed(right)]
    pen.fill([body(*p) for p in [left[-1], *right, *left[:-1]]], outer)
    CLOTHES.get(seen.garment, lapels)(pen, top, cloth, outer)


def neckline(pen: Pen, top: float, cloth, outer) -> None:
    """A t-shirt's."""
    points = [(-0.46, top - 0.14), (0.46, top - 0.14), (0.34, top + 0.16), (0, top + 0.3), (-0.34, top + 0.16)]
    pen.fill([pen.body(*p) for p in points], pen.shade)


def collar(pen: Pen, top: float, cloth, outer) -> None:
    """A turtleneck's."""
    neck = 1.22 * pen.shape.face_h / 1.3
    points = [(-0.54, neck - 0.06), (0.54, neck - 0.06), (0.6, top + 0.14), (-0.6, top + 0.14)]
    pen.fill([pen.body(*p) for p in points], scaled(cloth, 0.86))


def hood(pen: Pen, top: float, cloth, outer) -> None:
    """A hoodie's, with its two strings."""
    points = [(-0.78, top - 0.16), (0, top + 0.34), (0.78, top - 0.16), (0.7, top + 0.36), (0, top + 0.76), (-0.7, top + 0.36)]
    pen.fill([pen.body(*p) for p in points], scaled(cloth, 0.74))
    for x in (-0.22, 0.22):
        pen.straight(pen.body(x, top + 0.6), pen.body(x, top + 1.3), pen.lit((236, 236, 232)), 1, pen.unit * 0.07)


def lapels(pen: Pen, top: float, cloth, outer) -> None:
    """A suit with its tie, or a coat over a shirt."""
    body, suit = pen.body, pen.seen.garment == "suit"
    pen.fill_polygon(
        [body(-0.48, top - 0.1), body(0.48, top - 0.1), body(0.3, top + 1.9), body(-0.3, top + 1.9)], pen.lit(SHIRT) if suit else cloth
    )
    if suit:
        pen.fill_polygon([body(-0.1, top + 0.22), body(0.1, top + 0.22), body(0.17, top + 1.8), body(-0.17, top + 1.8)], cloth)
    for t in (-1, 1):
        edge = [body(t * 0.5, top - 0.14), body(t * 0.86, top + 0.3), body(t * 0.26, top + 1.9), body(t * 0.2, top + 1.2)]
        pen.fill_polygon(edge, scaled(outer, 0.78))


CLOTHES = {"t-shirt": neckline, "turtleneck": collar, "hoodie": hood}
