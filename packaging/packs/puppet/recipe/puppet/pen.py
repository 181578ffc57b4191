"""Drawing with Skia: smooth shapes in plain colours, and the one projection that every part of a face goes through.

A point of the face plane gets its depth from an ellipsoid, is turned by yaw, pitch and roll, and lands in pixels. So features
foreshorten by themselves, and the landmarks are exact.
"""
from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import contextmanager

import skia

from .identity import Identity
from .situation import Situation

Point = tuple[float, float]
Colour = tuple[float, float, float]


def paint(rgb: Colour, alpha: float = 1.0, stroke: float = 0.0) -> skia.Paint:
    """A filling colour, or a round pen where `stroke` (pixels) is given."""
    colour = skia.ColorSetARGB(int(255 * alpha), *[int(max(0, min(255, c))) for c in rgb])
    p = skia.Paint(AntiAlias=True, Color=colour)
    if stroke > 0:
        p.setStyle(skia.Paint.kStroke_Style)
        p.setStrokeWidth(stroke)
        p.setStrokeCap(skia.Paint.kRound_Cap)
        p.setStrokeJoin(skia.Paint.kRound_Join)
    return p


def smooth(points: list[Point], closed: bool = True) -> skia.Path:
    """A Catmull-Rom curve through pixel points."""
    n = len(points)
    path = skia.Path()
    path.moveTo(*points[0])
    for i in range(n if closed else n - 1):
        before = points[(i - 1) % n] if closed or i > 0 else points[i]
        start, end = points[i], points[(i + 1) % n]
        after = points[(i + 2) % n] if closed or i + 2 < n else end
        path.cubicTo(
            start[0] + (end[0] - before[0]) / 6, start[1] + (end[1] - before[1]) / 6,
            end[0] - (after[0] - start[0]) / 6, end[1] - (after[1] - start[1]) / 6, *end,
        )
    if closed:
        path.close()
    return path


def polygon(points: Iterable[Point]) -> skia.Path:
    """Straight lines between pixel points, closed."""
    path = skia.Path()
    path.addPoly([skia.Point(*q) for q in points], True)
    return path


def scaled(rgb: Colour, k: float | Colour) -> Colour:
    """A colour made darker or lighter, channel by channel where `k` is a colour."""
    factors = (k, k, k) if isinstance(k, (int, float)) else k
    return tuple(max(0, min(255, c * q)) for c, q in zip(rgb, factors))


def mixed(a: Colour, b: Colour, t: float) -> Colour:
    """`a` for t = 0, `b` for t = 1."""
    return tuple(x + (y - x) * t for x, y in zip(a, b))


class Pen:
    """Draws one puppet: its place in the picture, its colours under the light, and the projections of its points."""

    def __init__(self, canvas: skia.Canvas, width: int, height: int, who: Identity, seen: Situation, light: Colour):
        self.canvas, self.who, self.seen, self.light = canvas, who, seen, light
        self.shape, self.unit = who.shape, seen.size
        self.centre = (seen.x * width, seen.y * height)
        yaw, pitch, roll = (math.radians(a) for a in (seen.yaw, seen.pitch, seen.roll))
        self.sin_yaw, self.cos_yaw = math.sin(yaw), math.cos(yaw)
        self.sin_pitch, self.cos_pitch = math.sin(pitch), math.cos(pitch)
        self.sin_roll, self.cos_roll = math.sin(roll), math.cos(roll)
        self.turn_x, self.turn_y = 0.20 * self.sin_yaw, 0.26 * self.sin_pitch  # how far the front of the head has turned
        self.skin, self.hair = self.lit(who.skin_rgb), self.lit(who.hair_rgb)
        self.shade, self.crease = scaled(self.skin, 0.82), scaled(self.skin, 0.52)
        self.dark_hair = scaled(self.hair, 0.74)

    def lit(self, rgb: Colour) -> Colour:
        """A colour under the scene's light."""
        return scaled(rgb, self.light)

    def gleaming(self, rgb: Colour, share: float) -> Colour:
        """A colour that keeps `share` of its own brightness in the dark: eyes and teeth."""
        return scaled(rgb, mixed(self.light, (1, 1, 1), share))

    # Points, in head half-widths around the head's centre, to pixels.

    def face(self, x: float, y: float, lift: float = 0.0) -> Point:
        """A point on the face, `lift` above its surface."""
        w, h = self.shape.face_w, self.shape.face_h
        z = math.sqrt(max(0.02, 1 - (x / (w * 1.08)) ** 2 - (y / (h * 1.12)) ** 2)) * 0.92 + lift
        x1, z1 = x * self.cos_yaw + z * self.sin_yaw, -x * self.sin_yaw + z * self.cos_yaw
        return self.outline(x1, y * self.cos_pitch + z1 * self.sin_pitch)

    def outline(self, x: float, y: float) -> Point:
        """A point of the silhouette: no depth, only roll."""
        (cx, cy), r, s, c = self.centre, self.unit, self.sin_roll, self.cos_roll
        return cx + r * (x * c - y * s), cy + r * (x * s + y * c)

    def jaw(self, x: float, y: float) -> Point:
        """A point of the head's edge: the lower it lies, the more it turns with the face."""
        low = max(0, y / self.shape.face_h)
        return self.outline(x + self.turn_x * 0.75 * low, y + self.turn_y * 0.5 * low)

    def body(self, x: float, y: float) -> Point:
        """A point of the body, which never turns."""
        return self.centre[0] + self.unit * x, self.centre[1] + self.unit * y

    def faces(self, points: Iterable[tuple[float, ...]]) -> list[Point]:
        """Several points of the face."""
        return [self.face(*p) for p in points]

    # Strokes, in pixels.

    def fill(self, points: list[Point], colour: Colour, alpha: float = 1.0) -> None:
        """A smooth closed shape."""
        self.canvas.drawPath(smooth(points), paint(colour, alpha))

    def fill_polygon(self, points: Iterable[Point], colour: Colour) -> None:
        """A closed shape with straight edges."""
        self.canvas.drawPath(polygon(points), paint(colour))

    def line(self, points: list[Point], colour: Colour, alpha: float, width: float) -> None:
        """A smooth open line, `width` pixels wide."""
        self.canvas.drawPath(smooth(points, False), paint(colour, alpha, width))

    def straight(self, start: Point, end: Point, colour: Colour, alpha: float, width: float) -> None:
        """A straight line."""
        self.canvas.drawLine(*start, *end, paint(colour, alpha, width))

    def disc(self, centre: Point, radius: float, colour: Colour, alpha: float = 1.0) -> None:
        """A filled circle."""
        self.canvas.drawCircle(*centre, radius, paint(colour, alpha))

    @contextmanager
    def inside(self, path: skia.Path):
        """What is drawn meanwhile shows only inside `path`."""
        self.canvas.save()
        self.canvas.clipPath(path, True)
        yield
        self.canvas.restore()
