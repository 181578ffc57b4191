"""Faces where no head belongs: pasted where they should be, and told apart from those in place."""
import numpy as np
import pytest

pytest.importorskip("torch")

from puppet import misplaced  # noqa: E402
from puppet.attributes import OUTPUTS  # noqa: E402
from puppet.identity import identity  # noqa: E402
from puppet.picture import WIDE, sample  # noqa: E402


class Two:
    """Two pictures of two puppets, again and again."""

    def __init__(self):
        self.samples = [sample(seed, identity(seed), *WIDE, shot="medium") for seed in (11, 12)]

    def pick(self, rng, n):
        box = np.stack([s.boxes for s in self.samples])
        return np.stack([s.rgb for s in self.samples]), {"ids": np.array([[11], [12]]), "box": box}


def test_a_face_elsewhere_lies_in_the_picture_and_not_where_the_head_is():
    pictures, rng, elsewhere = Two(), np.random.default_rng(1), 0
    head = pictures.samples[0].boxes[0]
    for _ in range(60):
        rgb, box, label = misplaced.example(pictures, rng)
        assert rgb.shape == (112, 192, 3) and misplaced.inside(box, rgb.shape) > 0.8
        if label == misplaced.ELSEWHERE:
            elsewhere += 1
            assert (rgb != pictures.samples[0].rgb).any()
        else:
            assert misplaced.overlap(box, head) > 0.7
    assert 15 < elsewhere < 45


def test_the_classifier_answers_it_last():
    assert list(OUTPUTS)[-1] == "head"
    assert OUTPUTS["head"][misplaced.ELSEWHERE] == "elsewhere"
