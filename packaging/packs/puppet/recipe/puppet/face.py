"""Eyes, brows, nose, mouth, and what is worn on them: beard and glasses."""
from __future__ import annotations

import math

from .identity import EYES
from .pen import Pen, Point, mixed, paint, polygon, scaled, smooth

# What an expression does to the eyes' height, the brows and the mouth; what is missing stays as it is.
EYE_OPEN = {"surprised": 1.22, "laughing": 0.62, "smiling": 0.86, "angry": 0.84}
BROW_LIFT = {"surprised": -0.10, "angry": 0.05, "sad": -0.02}
BROW_TILT = {"angry": -18, "sad": 18}
MOUTH_CURVE = {"smiling": 0.11, "laughing": 0.12, "sad": -0.10, "angry": -0.05}
MOUTH_WIDTH = {"smiling": 1.12, "laughing": 1.14, "surprised": 0.62}
BEARDS_WITH_MOUSTACHE = ("moustache", "goatee", "full beard")


def draw_face(pen: Pen) -> list[Point]:
    """All features but hair and glasses. Returns the five landmarks in pixels, in InsightFace's order: left eye, right eye
    (as seen), tip of the nose, left and right corner of the mouth."""
    eyes = [draw_eye(pen, t) for t in (-1, 1)]
    tip = draw_nose(pen)
    left, right = draw_mouth(pen)
    draw_beard(pen)
    return [*eyes, tip, left, right]


def draw_eye(pen: Pen, t: int) -> Point:
    """The eye on side `t` (-1 left, 1 right in the picture) with its brow; returns its centre."""
    s = pen.shape
    x, y = t * s.eye_x, s.eye_y
    if pen.who.glasses != "sunglasses":
        draw_eyeball(pen, t, x, y)
    draw_brow(pen, t, x, y)
    return pen.face(x, y)


def draw_eyeball(pen: Pen, t: int, x: float, y: float) -> None:
    s, w = pen.shape, pen.shape.eye_w
    h = w * s.eye_h * EYE_OPEN.get(pen.seen.expression, 1.0) * (0.12 if pen.seen.blink else 1)
    a = math.radians(t * s.eye_tilt) * -1

    def tilted(dx: float, dy: float) -> Point:
        return pen.face(x + dx * math.cos(a) - dy * math.sin(a), y + dx * math.sin(a) + dy * math.cos(a))

    edge = [(-w, 0), (-w * 0.5, -h * 0.8), (w * 0.2, -h), (w, 0), (w * 0.4, h * 0.75), (-w * 0.4, h * 0.75)]
    almond = smooth([tilted(*p) for p in edge])
    pen.canvas.drawPath(almond, paint(pen.gleaming((250, 250, 248), 0.35)))
    with pen.inside(almond):
        iris, radius = pen.face(x + 0.10 * pen.sin_yaw * w, y), pen.unit * w * s.iris
        pen.disc(iris, radius, pen.gleaming(EYES[pen.who.eye_colour], 0.35))
        pen.disc(iris, radius * 0.5, (16, 14, 16))
        pen.disc((iris[0] + radius * 0.35, iris[1] - radius * 0.35), radius * 0.26, (255, 255, 255))
    lid = [(-w * 1.05, 0.02), (-w * 0.5, -h * 0.84), (w * 0.2, -h * 1.04), (w * 1.05, 0.02)]
    pen.line([tilted(*p) for p in lid], (30, 22, 22), 0.95, pen.unit * (0.075 if pen.who.sex == "woman" else 0.045))


def draw_brow(pen: Pen, t: int, x: float, y: float) -> None:
    s, mood = pen.shape, pen.seen.expression
    top, length = y - s.brow_y + BROW_LIFT.get(mood, 0), s.brow_len
    a = math.radians(t * (s.brow_tilt + BROW_TILT.get(mood, 0)))
    points = [(x + d * math.cos(a), top + d * math.sin(a) - arch) for d, arch in ((-length, 0), (0, 0.045), (length, 0))]
    fair = pen.who.hair_colour in ("white", "grey")
    colour = pen.lit((130, 130, 132)) if fair else mixed(pen.dark_hair, (60, 44, 36), 0.35)
    pen.line(pen.faces(points), colour, 1, pen.unit * s.brow_thick * 1.25)


def draw_nose(pen: Pen) -> Point:
    """One of three kinds of nose; returns its tip."""
    s, r, w = pen.shape, pen.unit, pen.shape.nose_w
    y = s.eye_y + 0.12 + s.nose_len
    tip = pen.face(0, y, 0.14)
    side = -pen.seen.light_side
    if s.nose_type == 0:
        ridge = [(side * 0.07, s.eye_y + 0.1, 0.04), (side * w * 0.5, y - 0.14, 0.1), (side * w, y, 0.06), (0, y + 0.05, 0.1)]
        pen.line(pen.faces(ridge), pen.crease, 0.85, r * 0.05)
    elif s.nose_type == 1:
        wings = [(-w, y - 0.02, 0.05), (-w * 0.5, y + 0.05, 0.1), (0, y + 0.03, 0.12), (w * 0.5, y + 0.05, 0.1), (w, y - 0.02, 0.05)]
        pen.line(pen.faces(wings), pen.crease, 0.85, r * 0.055)
    else:
        pen.disc(tip, r * w * 0.82, mixed(pen.shade, (214, 120, 100), 0.28))
    return tip


def mouth_width(pen: Pen) -> float:
    """Half the width of the mouth in this expression."""
    return pen.shape.mouth_w * MOUTH_WIDTH.get(pen.seen.expression, 1)


def draw_mouth(pen: Pen) -> tuple[Point, Point]:
    """The mouth; returns its left and right corners."""
    y, w, curve = pen.shape.mouth_y, mouth_width(pen), MOUTH_CURVE.get(pen.seen.expression, 0.012)
    lips = pen.lit(pen.who.lip_rgb) if pen.who.lip_rgb else mixed(pen.skin, (150, 66, 60), 0.42)
    corners = pen.face(-w, y - curve), pen.face(w, y - curve)
    draw = draw_open_mouth if pen.seen.expression in ("laughing", "surprised") else draw_closed_mouth
    draw(pen, corners, w, curve, lips)
    return corners


def draw_open_mouth(pen: Pen, corners, w: float, curve: float, lips) -> None:
    y, laughing = pen.shape.mouth_y, pen.seen.expression == "laughing"
    depth = 0.2 if laughing else 0.22
    top = y - curve * 0.7 if laughing else y - depth * 0.7
    below = pen.faces([(w * 0.55, y + depth * 0.8), (0, y + depth, 0.03), (-w * 0.55, y + depth * 0.8)])
    mouth = smooth([corners[0], pen.face(0, top, 0.03), corners[1], *below])
    pen.canvas.drawPath(mouth, paint(pen.lit((92, 26, 30))))
    if laughing:
        teeth = [(-w, y - 0.16), (w, y - 0.16), (w * 0.7, y + 0.03), (0, y + 0.07, 0.03), (-w * 0.7, y + 0.03)]
        with pen.inside(mouth):
            pen.fill(pen.faces(teeth), pen.gleaming((250, 248, 244), 0.3))
    pen.canvas.drawPath(mouth, paint(lips, 1, pen.unit * max(0.05, pen.shape.lip * 0.8)))


def draw_closed_mouth(pen: Pen, corners, w: float, curve: float, lips) -> None:
    y, lip = pen.shape.mouth_y, pen.shape.lip
    edge_y, middle_y = y - lip * 0.8 + curve * 0.2, y - lip * 0.55 + curve * 0.3
    upper = pen.faces([(-w * 0.3, edge_y), (0, middle_y), (w * 0.3, edge_y)])
    low_y, lowest_y = y + lip + curve * 0.6, y + lip * 1.25 + curve * 0.7
    lower = pen.faces([(w * 0.45, low_y), (0, lowest_y), (-w * 0.45, low_y)])
    pen.fill([corners[0], *upper, corners[1], *lower], lips)
    between = [corners[0], pen.face(0, y + curve * 0.55, 0.02), corners[1]]
    pen.line(between, scaled(lips, 0.5), 0.9, pen.unit * 0.035)


def draw_beard(pen: Pen) -> None:
    """Moustache and goatee; a full beard's lower part is drawn with the head."""
    y, w, beard = pen.shape.mouth_y, mouth_width(pen), pen.who.beard
    if beard in BEARDS_WITH_MOUSTACHE:
        m = y - pen.shape.lip - 0.09
        edge = [
            (-w * 1.05, m + 0.1), (-w * 0.5, m - 0.05), (0, m - 0.02, 0.04), (w * 0.5, m - 0.05), (w * 1.05, m + 0.1), (w * 0.4, m + 0.09),
            (0, m + 0.06, 0.04), (-w * 0.4, m + 0.09),
        ]
        pen.fill(pen.faces(edge), pen.hair)
    if beard == "goatee":
        low = min(pen.shape.face_h * 0.96, y + 0.5)
        pen.fill(pen.faces([(-0.2, y + 0.2), (0, y + 0.16, 0.03), (0.2, y + 0.2), (0.16, low), (-0.16, low)]), pen.hair)


def draw_glasses(pen: Pen) -> None:
    """Drawn last, over the hair."""
    kind, s, r = pen.who.glasses, pen.shape, pen.unit
    if kind == "none":
        return
    colour, half, high = pen.lit(pen.who.glasses_rgb), s.eye_x * 0.80, 0.25
    square = kind == "square glasses"
    rim = [(-0.95, -0.8), (0.95, -0.8), (0.95, 0.8), (-0.95, 0.8)] if square else [(math.cos(a), math.sin(a)) for a in EIGHTHS]
    for t in (-1, 1):
        ring = [pen.face(t * s.eye_x + half * x, s.eye_y + 0.02 + high * y, 0.06) for x, y in rim]
        path = polygon(ring) if square else smooth(ring)
        if kind == "sunglasses":
            pen.canvas.drawPath(path, paint(pen.lit((24, 24, 32))))
        pen.canvas.drawPath(path, paint(colour, 1, max(1.2, r * 0.07)))
    bridge = pen.face(-s.eye_x + half * 0.9, s.eye_y, 0.08), pen.face(s.eye_x - half * 0.9, s.eye_y, 0.08)
    pen.straight(*bridge, colour, 1, max(1.2, r * 0.06))


EIGHTHS = [2 * math.pi * i / 8 for i in range(8)]
