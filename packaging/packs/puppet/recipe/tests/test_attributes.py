"""The square around a face: the same pixels that the farm cuts."""
import numpy as np

from puppet.attributes import SIZE, square


def test_the_square_holds_the_face_and_what_is_around_it():
    rgb = np.zeros((400, 400, 3), np.uint8)
    rgb[180:220, 190:210] = 255
    cut = square(rgb, np.array([190, 180, 210, 220], np.float32))
    rows, columns = np.nonzero(cut[..., 0] > 127)
    assert cut.shape == (SIZE, SIZE, 3)
    assert abs((rows.max() - rows.min() + 1) - SIZE / 2.6) <= 2
    assert abs((columns.max() + columns.min()) / 2 - SIZE / 2) <= 1.5
    assert rows.mean() < SIZE / 2


def test_outside_of_the_picture_is_black():
    cut = square(np.full((60, 60, 3), 255, np.uint8), np.array([10, 10, 50, 50], np.float32))
    assert cut[0, 0].max() == 0 and cut[SIZE // 2, SIZE // 2].min() == 255
