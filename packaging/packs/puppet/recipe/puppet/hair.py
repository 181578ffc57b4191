"""Hair: what hangs behind the head, what covers the skull, and what falls in front of the face."""
from __future__ import annotations

import math

from .pen import Pen, mixed


def draw_hair_behind(pen: Pen) -> None:
    """Drawn first: body and head cover it."""
    style, vol = pen.who.hair, pen.shape.hair_vol
    if style in BEHIND:
        fill_behind(pen, BEHIND[style](vol))
    elif style == "ponytail":
        t = pen.shape.part
        tail = [(0.7, -1.0), (1.35 * vol, -0.9), (1.6 * vol, 0), (1.5 * vol, 1.0), (1.2, 1.35), (1.15, 0.6), (1.05, -0.1)]
        fill_behind(pen, [(t * x, y) for x, y in tail])
    elif style == "bun":
        pen.disc(pen.outline(-pen.turn_x * 0.5, -1.55), pen.unit * 0.48 * vol, pen.dark_hair)
    elif style == "afro":
        pen.disc(pen.outline(-pen.turn_x, -0.35), pen.unit * 1.52 * vol**0.5, pen.dark_hair)
    elif style == "curly":
        for i in range(13):
            a = math.pi * (0.06 - 1.12 * i / 12)
            centre = pen.outline(math.cos(a) * 1.12 * vol**0.5 - pen.turn_x, math.sin(a) * 1.25 - 0.08)
            pen.disc(centre, pen.unit * 0.36, pen.dark_hair)


def long_behind(vol: float):
    return [
        (-1.12 * vol, -0.6), (0, -1.42), (1.12 * vol, -0.6), (1.24 * vol, 0.6), (1.02 * vol, 1.75), (0, 1.9), (-1.02 * vol, 1.75),
        (-1.24 * vol, 0.6),
    ]


def bob_behind(vol: float):
    return [
        (-1.1 * vol, -0.6), (0, -1.4), (1.1 * vol, -0.6), (1.2 * vol, 0.5), (0.9 * vol, 1.02), (0, 1.0), (-0.9 * vol, 1.02),
        (-1.2 * vol, 0.5),
    ]


BEHIND = {"long": long_behind, "bob": bob_behind}


def fill_behind(pen: Pen, points) -> None:
    pen.fill([pen.outline(x - pen.turn_x * 0.9, y - pen.turn_y * 0.5) for x, y in points], pen.dark_hair)


def hair_line(pen: Pen) -> float:
    """Where the hair begins above the brow."""
    return pen.shape.hair_line * pen.shape.face_h / 1.25


def draw_stubble(pen: Pen) -> None:
    """A buzz cut, drawn while the pen is clipped to the head."""
    w, h, line = pen.shape.face_w, pen.shape.face_h, hair_line(pen)
    front = pen.faces([(-w * 0.98, -0.2), (-w * 0.72, line), (0, line - 0.06), (w * 0.72, line), (w * 0.98, -0.2)])
    pen.fill([*front, pen.outline(w * 1.2, -h * 1.2), pen.outline(-w * 1.2, -h * 1.2)], mixed(pen.hair, pen.skin, 0.35))


def draw_hair_in_front(pen: Pen) -> None:
    """Drawn after the face."""
    FRONT.get(pen.who.hair, lambda _: None)(pen)


def crown(pen: Pen) -> list[tuple[float, float]]:
    """The hair's edge over the skull, from the puppet's left ear (right in the picture) to the other."""
    w, h, v = pen.shape.face_w, pen.shape.face_h, pen.shape.hair_vol
    return [
        (w * 1.06, -0.16), (w * 1.04, -h * 0.66), (w * 0.6, -h * 1.0 - 0.10 * v), (0, -h * 1.06 - 0.12 * v),
        (-w * 0.6, -h * 1.0 - 0.10 * v), (-w * 1.04, -h * 0.66), (-w * 1.06, -0.16),
    ]


def fill_front(pen: Pen, fringe, edge) -> None:
    """Hair between its edge on the face and its edge over the skull."""
    over = [pen.outline(x - pen.turn_x * 0.7, y - pen.turn_y * 0.4) for x, y in edge]
    pen.fill(pen.faces(fringe) + over, pen.hair)


def short(pen: Pen) -> None:
    w, line = pen.shape.face_w, hair_line(pen)
    fill_front(pen, [(-w * 0.93, -0.3), (-w * 0.66, line), (0, line - 0.08), (w * 0.66, line), (w * 0.93, -0.3)], crown(pen))


def side_part(pen: Pen) -> None:
    w, h, line, p = pen.shape.face_w, pen.shape.face_h, hair_line(pen), pen.shape.part
    fringe = [
        (-w * 0.94, -0.24), (-w * 0.7, line + 0.1 * (p > 0)), (p * 0.36, line - 0.22), (w * 0.7, line + 0.1 * (p < 0)), (w * 0.94, -0.24),
    ]
    fill_front(pen, fringe, crown(pen))
    parting = [pen.face(p * 0.36, line - 0.2), pen.outline(p * 0.42 - pen.turn_x * 0.7, -h * 1.02)]
    pen.line(parting, pen.dark_hair, 0.9, pen.unit * 0.05)


def spiky(pen: Pen) -> None:
    w, h, line, spikes = pen.shape.face_w, pen.shape.face_h, hair_line(pen), 7
    points = pen.faces([(-w * 0.93, -0.3), (-w * 0.6, line), (0, line - 0.05), (w * 0.6, line), (w * 0.93, -0.3)])

    def skull(x: float) -> float:
        return -h * math.sqrt(max(0, 1 - (x / (w * 1.15)) ** 2))

    for i in range(spikes + 1):
        x = w * (1.06 - 2.12 * (i / spikes))
        points.append(pen.outline(x - pen.turn_x * 0.7, skull(x) - 0.02))
        if i < spikes:
            tip = x - w * 1.06 / spikes
            points.append(pen.outline(tip * 1.12 - pen.turn_x * 0.7, skull(tip) - 0.36 * pen.shape.hair_vol))
    pen.fill_polygon(points, pen.hair)


def afro(pen: Pen) -> None:
    w, line = pen.shape.face_w, hair_line(pen)
    fill_front(pen, [(-w * 0.96, -0.2), (-w * 0.74, line), (0, line - 0.12), (w * 0.74, line), (w * 0.96, -0.2)], crown(pen))


def curly(pen: Pen) -> None:
    afro(pen)
    for i in range(6):
        pen.disc(pen.face(pen.shape.face_w * (-0.75 + 0.3 * i), hair_line(pen) - 0.04), pen.unit * 0.2, pen.hair)


def curtains(pen: Pen) -> None:
    """Bob and long hair: parted, down to the jaw or below it."""
    w, line, p = pen.shape.face_w, hair_line(pen), pen.shape.part
    end = 0.55 if pen.who.hair == "bob" else 0.8
    wide = w * 1.14 * pen.shape.hair_vol**0.4
    fringe = [
        (-w * 1.0, end), (-w * 0.80, 0.0), (-w * 0.56, line + 0.06), (p * 0.3, line - 0.16), (w * 0.56, line + 0.06), (w * 0.80, 0.0),
        (w * 1.0, end),
    ]
    fill_front(pen, fringe, [(wide, end), *crown(pen), (-wide, end)])


def tied(pen: Pen) -> None:
    """Ponytail and bun: combed back."""
    w, line = pen.shape.face_w, hair_line(pen)
    fill_front(pen, [(-w * 0.94, -0.22), (-w * 0.62, line), (0, line - 0.1), (w * 0.62, line), (w * 0.94, -0.22)], crown(pen))


FRONT = {
    "short": short, "side part": side_part, "spiky": spiky, "afro": afro, "curly": curly, "bob": curtains, "long": curtains,
    "ponytail": tied, "bun": tied,
}
