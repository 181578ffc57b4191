"""Teaches the attribute classifier one output more, and nothing else: whether a face stands where a head belongs.

    python -m puppet.misplaced DATA HELD OUT.onnx --resume PACK/attributes.onnx [--minutes 5]

Faces are cut out of pictures and pasted onto torsos, beside people, on walls and trees, across other heads, and on heads that
show their backs. As many are pasted where a face was, so that the seam alone says nothing. Only `Classifier.head` learns: every
other output stays what it was, bit for bit.
"""
from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from . import data
from .attributes import HEAD, square
from .classifier import Classifier, export, seen
from .fit import arguments, prepare
from .initialisers import restore

IN_PLACE, ELSEWHERE = range(len(HEAD))
KINDS = ("torso", "side", "around", "across", "back")
LEAST_INSIDE = 0.85  # of a pasted face's box
BATCH = 256


def box_at(centre: np.ndarray, size: np.ndarray) -> np.ndarray:
    return np.concatenate([centre - size / 2, centre + size / 2]).astype(np.float32)


def spot(rng: np.random.Generator, kind: str, head: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Where a face goes in a picture whose head has the box `head`."""
    size = head[2:] - head[:2]
    middle = (head[:2] + head[2:]) / 2
    side = rng.choice([-1, 1])
    if kind == "torso":
        return box_at(middle + size * [rng.uniform(-0.5, 0.5), rng.uniform(0.85, 1.6)], size * rng.uniform(0.5, 1.2))
    if kind == "side":
        return box_at(middle + size * [side * rng.uniform(0.9, 1.7), rng.uniform(0.2, 1.5)], size * rng.uniform(0.5, 1.1))
    if kind == "across":
        angle = rng.uniform(0, 2 * np.pi)
        away = rng.uniform(0.45, 0.9) * np.array([np.cos(angle), np.sin(angle)])
        return box_at(middle + size * away, size * rng.uniform(0.5, 1.0))
    if kind == "back":
        return box_at(middle + size * rng.normal(0, 0.06, 2), size * rng.uniform(0.5, 0.8))
    own = size * rng.uniform(0.5, 1.1)
    return box_at(rng.uniform(own / 2, np.maximum(own, [shape[1], shape[0]] - own / 2)), own)


def paste(rng: np.random.Generator, onto: np.ndarray, box: np.ndarray, face: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """`onto` with the face that has the box `cut` in `face` at `box`: an ellipse or a rectangle, a little relit and turned."""
    scale = float((box[2] - box[0]) / max(1.0, cut[2] - cut[0]))
    turn = cv2.getRotationMatrix2D(tuple(((cut[:2] + cut[2:]) / 2).tolist()), rng.normal(0, 8), scale)
    turn[:, 2] += (box[:2] + box[2:]) / 2 - (cut[:2] + cut[2:]) / 2
    mask = np.zeros(face.shape[:2], np.float32)
    (cx, cy), (w, h) = (cut[:2] + cut[2:]) / 2, (cut[2:] - cut[:2]) * rng.uniform(1.0, 1.5) / 2
    if rng.random() < 0.5:
        cv2.ellipse(mask, (int(cx), int(cy)), (max(1, int(w)), max(1, int(h))), 0, 0, 360, 1, -1)
    else:
        cv2.rectangle(mask, (int(cx - w), int(cy - h)), (int(cx + w), int(cy + h)), 1, -1)
    where = (onto.shape[1], onto.shape[0])
    mask = cv2.warpAffine(mask, turn, where)
    if rng.random() < 0.5:
        mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.5, 2.5))
    lit = np.clip(face.astype(np.float32) * rng.uniform(0.85, 1.15), 0, 255)
    moved = cv2.warpAffine(lit, turn, where, borderMode=cv2.BORDER_REPLICATE)
    return (onto * (1 - mask[..., None]) + moved * mask[..., None]).astype(np.uint8)


def turned_away(rng: np.random.Generator, rgb: np.ndarray, head: np.ndarray) -> np.ndarray:
    """The picture with its head seen from behind: hair where the face was, in a colour from above it."""
    out = rgb.copy()
    (cx, cy), (w, h) = (head[:2] + head[2:]) / 2, (head[2:] - head[:2]) / 2
    row, column = int(np.clip(head[1] - h * 0.2, 0, rgb.shape[0] - 1)), int(np.clip(cx, 0, rgb.shape[1] - 1))
    colour = [int(v) for v in rgb[row, column]]
    cv2.ellipse(out, (int(cx), int(cy - h * 0.15)), (int(w * rng.uniform(1.1, 1.3)), int(h * rng.uniform(1.1, 1.3))), 0, 0, 360, colour, -1)
    return out


def inside(box: np.ndarray, shape: tuple[int, ...]) -> float:
    """Share of a box that lies in a picture."""
    clipped = np.minimum(np.maximum(box, 0), np.array([shape[1], shape[0]] * 2))
    area = lambda b: max(0.0, float(b[2] - b[0])) * max(0.0, float(b[3] - b[1]))  # noqa: E731
    return area(clipped) / max(1e-6, area(box))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union."""
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    both = float(np.prod(np.maximum(high - low, 0)))
    return both / max(1e-6, float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - both)


def example(pictures: data.Pictures, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, int]:
    """A picture, the box of one face in it, and whether that is in place."""
    while True:
        rgb, truth = pictures.pick(rng, 2)
        if truth["ids"][0, 0] < 0 or truth["ids"][1, 0] < 0:
            continue
        (onto, face), (head, cut) = rgb, truth["box"][:, 0]
        way = rng.random()
        if way < 0.3:
            return onto, head, IN_PLACE
        if way < 0.5:
            size = head[2:] - head[:2]
            box = box_at((head[:2] + head[2:]) / 2 + size * rng.normal(0, 0.03, 2), size * rng.uniform(0.95, 1.12))
            return paste(rng, onto, box, face, cut), box, IN_PLACE
        kind = str(rng.choice(KINDS))
        box = spot(rng, kind, head, onto.shape)
        if inside(box, onto.shape) < LEAST_INSIDE or (kind != "back" and overlap(box, head) > 0.3):
            continue
        if kind == "back" or (kind != "across" and rng.random() < 0.2):
            onto = turned_away(rng, onto, head)
        return paste(rng, onto, box, face, cut), box, ELSEWHERE


@torch.no_grad()
def features(net: Classifier, pictures: data.Pictures, rng: np.random.Generator, n: int, clean: bool):
    """What the network's body makes of `n` examples (n, features), and their labels (n,)."""
    rows, labels = [], []
    while len(labels) < n:
        some = [example(pictures, rng) for _ in range(BATCH)]
        squares = np.stack([square(rgb, box).astype(np.float32) if clean else seen(rgb, box, rng, False) for rgb, box, _ in some])
        x = (torch.from_numpy(squares).permute(0, 3, 1, 2) - 127.5) / 127.5
        rows.append(net.look(x.contiguous(memory_format=torch.channels_last)).half())
        labels += [label for *_, label in some]
    return torch.cat(rows)[:n].float(), torch.tensor(labels[:n])


@torch.no_grad()
def report(net: Classifier, x: torch.Tensor, y: torch.Tensor) -> dict[str, float]:
    """Shares of faces elsewhere that are told, and of faces in place that are called misplaced."""
    told = net.head(x).softmax(1)[:, ELSEWHERE] > 0.5
    return {"told": round(told[y == ELSEWHERE].float().mean().item(), 4), "false": round(told[y == IN_PLACE].float().mean().item(), 4)}


def main() -> None:
    a = arguments(__doc__, minutes=5, parts=10, lr=1e-3)
    prepare(a)
    kinds = ("sq", "wd", "co")
    pictures, held, net = data.Pictures(a.data, a.parts, kinds), data.Pictures(a.held, 2, kinds), Classifier().eval()
    restore(net, a.resume, new=("head.0", "head.2"))
    rng = np.random.default_rng(0)
    opt = torch.optim.AdamW(net.head.parameters(), lr=a.lr, weight_decay=1e-2)
    begin = time.time()
    x, y = features(net, pictures, rng, BATCH, False)
    while time.time() - begin < a.minutes * 60 * 0.85:  # looking takes nearly all of the time, and learning seconds
        more, labels = features(net, pictures, rng, 8 * BATCH, False)
        x, y = torch.cat([x, more.half().float()]), torch.cat([y, labels])
    judge = features(net, held, np.random.default_rng(1), 10 * BATCH, True)
    print(len(y), "examples", f"{time.time() - begin:.0f} s", flush=True)
    epochs = 12
    for epoch in range(epochs):
        opt.param_groups[0]["lr"] = a.lr * (1 - epoch / epochs)
        for rows in torch.randperm(len(y)).split(BATCH):
            loss = F.cross_entropy(net.head(F.dropout(x[rows], 0.2)), y[rows])
            opt.zero_grad()
            loss.backward()
            opt.step()
        print(epoch, f"loss {loss.item():.3f}", report(net, *judge), flush=True)
    torch.save(net.state_dict(), a.out.with_suffix(".pt"))
    export(net, a.out)


if __name__ == "__main__":
    main()
