"""The attribute classifier: the square around a face -> one row of logits for each attribute.

    python -m puppet.classifier DATA HELD OUT.onnx [--minutes 20] [--resume PACK/attributes.onnx]

Input (N, 3, 128, 128), RGB, (value - 127.5) / 127.5; one output (N, labels) per entry of attributes.OUTPUTS, by its name.
The last of them, `head`, is left as it was: misplaced.py teaches it afterwards.
"""
from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from . import data
from .attributes import ATTRIBUTES, HEAD, OUTPUTS, SIZE, square
from .detector import Conv, Residual
from .fit import arguments, fit, prepare

BATCH = 96
MARKS = {"freckles": 2.0, "scar": 2.0, "eye_colour": 1.5}  # small things, which need more weight to be learnt in time


class Classifier(nn.Module):
    """Convolutions down to 4 x 4, then one hidden layer that all attributes share."""

    def __init__(self, w=(24, 32, 64, 96, 128)):
        super().__init__()
        self.stem = Conv(3, w[0], 2)
        self.body = nn.Sequential(*(nn.Sequential(Conv(i, o, 2), Residual(o)) for i, o in pairwise(w)))
        self.hidden = nn.Linear(w[-1] * 16, 192)
        self.heads = nn.ModuleDict({name: nn.Linear(192, len(values)) for name, values in ATTRIBUTES.items()})
        self.head = nn.Sequential(nn.Linear(w[-1] * 16, 32), nn.ReLU(), nn.Linear(32, len(HEAD)))

    def look(self, x):
        """What all outputs are told from: (N, 2048)."""
        return self.body(self.stem(x)).flatten(1)

    def forward(self, x):
        seen = self.look(x)
        y = F.relu(self.hidden(seen))
        return (*(head(y) for head in self.heads.values()), self.head(seen))


def export(net: Classifier, file: Path) -> None:
    """Writes the ONNX file that the farm loads."""
    names = list(OUTPUTS)
    axes = {name: {0: "n"} for name in ["input", *names]}
    options = dict(input_names=["input"], output_names=names, dynamic_axes=axes)
    torch.onnx.export(net.eval(), torch.zeros(1, 3, SIZE, SIZE), str(file), opset_version=17, dynamo=False, **options)


def batch(pictures: data.Pictures, rng: np.random.Generator, n: int, clean: bool = False):
    """Normalised squares (n, 3, SIZE, SIZE) around faces and their labels (n, attributes)."""
    squares, labels = [], []
    while len(squares) < n:
        rgb, truth = pictures.pick(rng, 16)
        for row, (picture, ids) in enumerate(zip(rgb, truth["ids"])):
            for person in np.flatnonzero(ids >= 0)[:2]:
                squares.append(seen(picture, truth["box"][row, person], rng, clean))
                labels.append(truth["labels"][row, person])
    x = torch.from_numpy(np.stack(squares[:n])).permute(0, 3, 1, 2).float()
    return (x - 127.5) / 127.5, torch.from_numpy(np.stack(labels[:n]).astype(np.int64))


def seen(picture: np.ndarray, box: np.ndarray, rng: np.random.Generator, clean: bool) -> np.ndarray:
    """One square; unless `clean`, with a box a little off and the faults of generated pictures."""
    if clean:
        return square(picture, box).astype(np.float32)
    side = (box[2:] - box[:2]).max()
    moved = box + np.tile(rng.normal(0, 0.04, 2), 2) * side
    middle, half = (moved[:2] + moved[2:]) / 2, (moved[2:] - moved[:2]) / 2 * rng.uniform(0.9, 1.12)
    return soften(rng, square(picture, np.concatenate([middle - half, middle + half])))


def soften(rng: np.random.Generator, rgb: np.ndarray) -> np.ndarray:
    """Light, blur and noise; colours stay near, since they are asked for."""
    out = rgb.astype(np.float32) * rng.uniform(0.88, 1.1) * rng.uniform(0.96, 1.04, 3)
    if rng.random() < 0.5:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.8))
    if rng.random() < 0.3:
        out += rng.normal(0, rng.uniform(2, 8), out.shape)
    return np.clip(out, 0, 255).astype(np.float32)


@torch.no_grad()
def report(net: Classifier, pictures: data.Pictures, count: int) -> dict[str, float]:
    """How often each attribute is told right, on clean pictures of puppets never seen."""
    net.eval()
    rng, right = np.random.default_rng(1), 0
    for _ in range(count):
        x, y = batch(pictures, rng, 100, clean=True)
        right = right + np.array([(o.argmax(1) == y[:, i]).float().mean().item() for i, o in enumerate(net(x)[: len(ATTRIBUTES)])])
    return {name: round(float(share), 3) for name, share in zip(ATTRIBUTES, right / count)}


def main() -> None:
    a = arguments(__doc__, minutes=20, parts=10, lr=1e-3)
    prepare(a)
    rng, kinds = np.random.default_rng(0), ("sq", "wd", "co")
    pictures, held, net = data.Pictures(a.data, a.parts, kinds), data.Pictures(a.held, 2, kinds), Classifier()

    def loss_of_batch(net: Classifier) -> torch.Tensor:
        x, y = batch(pictures, rng, BATCH)
        with torch.autocast("cpu", torch.bfloat16):
            out = net(x.contiguous(memory_format=torch.channels_last))
        return sum(MARKS.get(name, 1.0) * F.cross_entropy(o.float(), y[:, i]) for i, (name, o) in enumerate(zip(ATTRIBUTES, out)))

    fit(net, a, loss_of_batch, lambda last: report(net, held, 20 if last else 4), export, BATCH, weight_decay=5e-3)


if __name__ == "__main__":
    main()
