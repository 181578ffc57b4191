"""Alignment: a similarity without reflection, and crops that show the same face however it stood."""
import math
from dataclasses import replace

import numpy as np
import pytest

from puppet.align import ARCFACE, SIZE, align, umeyama
from puppet.identity import identity
from puppet.picture import draw
from puppet.situation import Scene, Situation

FRONT = Situation(0, 0, 0, "neutral", "t-shirt", "green", 1, 0.5, 0.47, 40)


def similarity(angle, scale, shift):
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[c, -s, shift[0]], [s, c, shift[1]]], np.float32)


def move(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


@pytest.mark.parametrize(("angle", "scale", "shift"), [(0, 1, (0, 0)), (0.4, 2.5, (30, -7)), (-1.2, 0.3, (-100, 55))])
def test_a_similarity_is_found_again(angle, scale, shift):
    want = similarity(angle, scale, shift)
    assert np.allclose(umeyama(ARCFACE, move(want, ARCFACE)), want, atol=1e-3)


def test_a_mirrored_face_is_never_mirrored_back():
    found = umeyama(ARCFACE * [-1, 1], ARCFACE)
    assert np.linalg.det(found[:, :2]) > 0


def test_noise_moves_the_fit_only_a_little():
    noise = np.random.default_rng(0).normal(0, 0.5, ARCFACE.shape).astype(np.float32)
    assert np.abs(move(umeyama(ARCFACE + noise, ARCFACE), ARCFACE) - ARCFACE).max() < 2


def test_landmarks_land_on_the_template():
    rgb, _, (points,) = draw(256, 256, Scene("studio", "day", 0), [(identity(4), FRONT)])
    assert align(rgb, points).shape == (SIZE, SIZE, 3)
    assert np.abs(move(umeyama(points, ARCFACE), points) - ARCFACE).mean() < 8


def test_a_tilted_head_gives_the_same_crop():
    who, studio = identity(4), Scene("studio", "day", 0)
    crops = []
    for roll in (0, 10):
        rgb, _, (points,) = draw(256, 256, studio, [(who, replace(FRONT, roll=roll))])
        crops.append(align(rgb, points).astype(int)[30:100, 30:82])
    assert np.abs(crops[0] - crops[1]).mean() < 8
