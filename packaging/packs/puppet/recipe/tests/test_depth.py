"""Depth pictures: who stands where, how near, and looks where."""
import random
from dataclasses import replace

import numpy as np

from puppet.depth import depth
from puppet.identity import identity
from puppet.picture import WIDE, posed, sample

WHO = identity(7)


def seen(**changes):
    return replace(posed(random.Random(3), *WIDE, "medium")[1], **changes)


def test_the_head_stands_where_the_drawing_has_its_face():
    for n in range(20):
        drawn = sample(n, WHO, *WIDE)
        near = depth(*WIDE, [(WHO, posed(random.Random(n), *WIDE)[1])])
        x0, y0, x1, y1 = drawn.boxes[0].round().astype(int).clip(0)
        inside = near > 0
        assert inside[y0:y1, x0:x1].mean() > 0.8 > inside.mean()
        nose = np.unravel_index(near.argmax(), near.shape)[::-1]
        assert np.linalg.norm(nose - drawn.landmarks[0][2]) < 0.25 * (x1 - x0)


def test_nearer_heads_are_lighter_and_stand_before_farther_ones():
    far, close = seen(x=0.4, size=12.0), seen(x=0.5, size=24.0)
    near = depth(*WIDE, [(WHO, close), (WHO, far)])
    assert depth(*WIDE, [(WHO, far)]).max() < near.max()
    assert (near == depth(*WIDE, [(WHO, far), (WHO, close)])).all()


def test_nobody_is_black():
    assert depth(*WIDE, []).max() == 0
