"""The places that puppets stand in. Each fills the whole picture; lengths are in 128ths of its height."""
from __future__ import annotations

import random

import skia

from .pen import Colour, paint, polygon, scaled
from .situation import Scene

LIGHTS: dict[str, Colour] = {"day": (1.0, 1.0, 1.0), "sunset": (1.04, 0.9, 0.78), "night": (0.70, 0.75, 0.92)}
SKIES = {
    "day": ((112, 178, 240), (206, 230, 248)), "sunset": ((110, 70, 130), (246, 150, 84)), "night": ((14, 16, 40), (40, 46, 86)),
}
SUNS = {"day": (255, 240, 170), "sunset": (255, 206, 110), "night": (232, 232, 214)}
BACKDROPS = [(150, 150, 156), (96, 130, 160), (160, 120, 96), (110, 146, 110), (140, 108, 150)]
HOUSES = [(110, 114, 130), (132, 112, 104), (92, 100, 124)]
BOOKS = [(150, 52, 44), (46, 84, 120), (60, 112, 70), (190, 150, 80), (110, 66, 112)]
SCREENS = [(70, 210, 170), (90, 170, 240), (250, 180, 80)]
LIQUIDS = [(90, 220, 120), (230, 90, 120), (120, 140, 240)]


def draw_place(canvas: skia.Canvas, width: int, height: int, scene: Scene) -> None:
    """Paints the scene's place over the whole canvas."""
    DRAWINGS[scene.place](Backdrop(canvas, width, height, scene))


class Backdrop:
    """The canvas with the scene's light and its own random numbers."""

    def __init__(self, canvas: skia.Canvas, width: int, height: int, scene: Scene):
        self.canvas, self.width, self.height, self.time = canvas, width, height, scene.time
        self.rng, self.light, self.k = random.Random(scene.seed), LIGHTS[scene.time], height / 128

    def lit(self, rgb: Colour) -> Colour:
        return scaled(rgb, self.light)

    def rect(self, x: float, y: float, width: float, height: float, rgb: Colour, lit: bool = True) -> None:
        self.canvas.drawRect(skia.Rect.MakeXYWH(x, y, width, height), paint(self.lit(rgb) if lit else rgb))

    def disc(self, x: float, y: float, radius: float, rgb: Colour, lit: bool = True) -> None:
        self.canvas.drawCircle(x, y, radius, paint(self.lit(rgb) if lit else rgb))

    def fade(self, top: Colour, bottom: Colour) -> None:
        """Fills the picture from one colour above to another below."""
        colours = [skia.ColorSetRGB(*map(int, top)), skia.ColorSetRGB(*map(int, bottom))]
        shader = skia.GradientShader.MakeLinear([(0, 0), (0, self.height)], colours)
        self.canvas.drawRect(skia.Rect.MakeWH(self.width, self.height), skia.Paint(Shader=shader))

    def sky(self) -> None:
        """The sky with the sun or the moon."""
        self.fade(*SKIES[self.time])
        u = self.rng.uniform
        self.disc(u(0.08, 0.92) * self.width, u(0.1, 0.3) * self.height, 8 * self.k, SUNS[self.time], lit=False)


def studio(b: Backdrop) -> None:
    base = b.rng.choice(BACKDROPS)
    b.fade(b.lit(base), b.lit(scaled(base, 0.72)))


def office(b: Backdrop) -> None:
    w, h, k = b.width, b.height, b.k
    b.rect(0, 0, w, h, (222, 214, 200))
    b.rect(0, 0.72 * h, w, 0.28 * h, (140, 104, 76))
    x = b.rng.uniform(-0.1, 0.1) * w
    while x < w:
        pane = 26 * k
        b.rect(x, 0.12 * h, pane, 0.36 * h, SKIES[b.time][1] if b.time != "night" else (52, 60, 104), lit=False)
        b.rect(x + pane / 2 - k, 0.12 * h, 2 * k, 0.36 * h, (246, 246, 242))
        x += 40 * k


def forest(b: Backdrop) -> None:
    w, h, k, u = b.width, b.height, b.k, b.rng.uniform
    b.fade(b.lit((150, 200, 150)), b.lit((96, 150, 86)))
    b.rect(0, 0.8 * h, w, 0.2 * h, (70, 112, 52))
    x = u(0, 16) * k
    while x < w:
        b.rect(x, 0, 8 * k, h, (92, 66, 44))
        b.disc(x + 4 * k, u(0, 0.2) * h, 19 * k, (46, 116, 52))
        x += u(22, 36) * k


def beach(b: Backdrop) -> None:
    w, h = b.width, b.height
    b.sky()
    b.rect(0, 0.52 * h, w, 0.2 * h, (40, 130, 190))
    b.rect(0, 0.7 * h, w, 0.3 * h, (236, 208, 150))


def city(b: Backdrop) -> None:
    w, h, k, u = b.width, b.height, b.k, b.rng.uniform
    b.sky()
    window = (250, 222, 130) if b.time == "night" else b.lit((180, 196, 210))
    x = u(-10, 0) * k
    while x < w:
        house, top = u(16, 26) * k, u(0.25, 0.55) * h
        b.rect(x, top, house, h, b.rng.choice(HOUSES))
        for yy in range(int(top + 5 * k), int(0.9 * h), int(9 * k)):
            for xx in range(int(x + 3 * k), int(x + house - 4 * k), int(7 * k)):
                b.rect(xx, yy, 3 * k, 4 * k, window, lit=False)
        x += house + 1.5 * k


def library(b: Backdrop) -> None:
    w, h, k = b.width, b.height, b.k
    b.rect(0, 0, w, h, (84, 54, 36))
    y = 4 * k
    while y < h:
        x = 0
        while x < w:
            book = b.rng.uniform(3, 6) * k
            b.rect(x, y, book - 0.6 * k, 19 * k, b.rng.choice(BOOKS))
            x += book
        y += 24 * k


def mountains(b: Backdrop) -> None:
    w, h, k, u = b.width, b.height, b.k, b.rng.uniform
    b.sky()
    x, foot = u(-0.3, -0.1) * w, 0.8 * h
    while x < w * 1.1:
        base, high = u(60, 90) * k, u(40, 64) * k
        rock = [(x, foot), (x + base / 2, foot - high), (x + base, foot)]
        snow = [(x + base * 0.36, foot - high * 0.72), (x + base / 2, foot - high), (x + base * 0.64, foot - high * 0.72)]
        b.canvas.drawPath(polygon(rock), paint(b.lit((112, 122, 142))))
        b.canvas.drawPath(polygon(snow), paint(b.lit((244, 248, 252))))
        x += base * 0.62
    b.rect(0, 0.79 * h, w, 0.21 * h, (98, 146, 84))


def laboratory(b: Backdrop) -> None:
    w, h, k, rng = b.width, b.height, b.k, b.rng
    b.rect(0, 0, w, h, (196, 216, 218))
    for i in range(int(w / (32 * k)) + 2):
        x = i * 32 * k + rng.uniform(-3, 3) * k
        b.rect(x, 0.08 * h, 26 * k, 0.3 * h, (150, 176, 184))
        b.rect(x + 3 * k, 0.12 * h, 20 * k, 0.14 * h, rng.choice(SCREENS), lit=False)
    b.rect(0, 0.7 * h, w, 0.3 * h, (120, 138, 148))
    for _ in range(4):
        x = rng.uniform(0, w)
        b.disc(x, 0.68 * h, 6 * k, rng.choice(LIQUIDS))
        b.rect(x - 1.6 * k, 0.56 * h, 3.2 * k, 10 * k, (220, 236, 240))


DRAWINGS = {f.__name__: f for f in (studio, office, forest, beach, city, library, mountains, laboratory)}
