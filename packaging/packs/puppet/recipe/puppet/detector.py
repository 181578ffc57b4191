"""The face detector, with SCRFD's outputs (Guo et al. 2021, arXiv:2105.04714) and 0.95 M parameters.

    python -m puppet.detector DATA HELD OUT.onnx [--minutes 30] [--resume PACK/detector.onnx]

Input (1, 3, H, W), RGB, (value - 127.5) / 128, H and W multiples of 32. faces.py decodes the outputs.
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
from .faces import ANCHORS, STRIDES, decode, intersection_over_union, suppress
from .fit import arguments, fit, prepare

SIZE = 256
BATCH = 16
LANDMARKS = 24  # how much more their error counts than the box's: alignment, and so every score, hangs on it
# The longer box sides, in pixels, that each stride answers for; they overlap. A face is many cells large, so that its landmarks
# are told from a fine map: with three or four cells a face their error was half as large again.
RANGES = ((0, 72), (60, 150), (130, 1e9))


class Conv(nn.Sequential):
    """Convolution, norm, ReLU."""

    def __init__(self, i: int, o: int, stride: int = 1):
        super().__init__(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU())


class Residual(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, c: int):
        super().__init__()
        self.a = Conv(c, c)
        self.b = nn.Sequential(nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c))

    def forward(self, x):
        return F.relu(x + self.b(self.a(x)))


class Detector(nn.Module):
    """A small backbone, a feature pyramid, and one head that all strides share."""

    def __init__(self, w=(16, 32, 64, 96, 128), neck: int = 64):
        super().__init__()
        self.stem = nn.Sequential(Conv(3, w[0], 2), Conv(w[0], w[1], 2))
        self.c3, self.c4, self.c5 = (nn.Sequential(Conv(i, o, 2), Residual(o)) for i, o in pairwise(w[1:]))
        self.lateral = nn.ModuleList(nn.Conv2d(c, neck, 1) for c in w[2:])
        self.smooth = nn.ModuleList(Conv(neck, neck) for _ in w[2:])
        self.tower = nn.Sequential(Conv(neck, neck), Conv(neck, neck))
        self.score, self.box, self.kps = (nn.Conv2d(neck, ANCHORS * n, 3, 1, 1) for n in (1, 4, 10))
        nn.init.constant_(self.score.bias, -4.0)

    def maps(self, x):
        """Per stride: scores (N, 2, h, w) before the sigmoid, box distances (N, 8, h, w), landmark offsets (N, 20, h, w)."""
        c3 = self.c3(self.stem(x))
        c4 = self.c4(c3)
        p5 = self.lateral[2](self.c5(c4))
        p4 = self.lateral[1](c4) + F.interpolate(p5, scale_factor=2.0)
        p3 = self.lateral[0](c3) + F.interpolate(p4, scale_factor=2.0)
        towers = [self.tower(s(p)) for s, p in zip(self.smooth, (p3, p4, p5))]
        return [(self.score(t), self.box(t), self.kps(t)) for t in towers]

    def forward(self, x):
        """SCRFD's nine outputs for one picture."""

        def flat(m, channels):
            return m.permute(0, 2, 3, 1).reshape(-1, channels)

        scores, boxes, landmarks = zip(*self.maps(x))
        return (*(flat(s, 1).sigmoid() for s in scores), *(flat(b, 4) for b in boxes), *(flat(k, 10) for k in landmarks))


def export(net: Detector, file: Path) -> None:
    """Writes the ONNX file that the farm loads."""
    names = [f"{kind}_{s}" for kind in ("score", "bbox", "kps") for s in STRIDES]
    axes = {"input.1": {2: "h", 3: "w"}, **{n: {0: "k" + n} for n in names}}
    x = torch.zeros(1, 3, SIZE, SIZE)
    options = dict(input_names=["input.1"], output_names=names, dynamic_axes=axes)
    torch.onnx.export(net.eval(), x, str(file), opset_version=17, dynamo=False, **options)


class Scenes:
    """Training scenes: one to four pictures pasted at random sizes, or none, degraded the way generated pictures are."""

    def __init__(self, folder: Path, limit: int):
        self.pictures = data.Pictures(folder, limit, ("sq", "wd", "co"))

    def one(self, rng: np.random.Generator):
        """A picture float32 (SIZE, SIZE, 3) in 0..255, boxes (N, 4), landmarks (N, 5, 2)."""
        canvas = np.full((SIZE, SIZE, 3), rng.integers(0, 256, 3), np.uint8)
        boxes, points = [], []
        half = SIZE // 2
        cells = [(0, 0, SIZE)] if rng.random() < 0.5 else [(x, y, half) for x in (0, half) for y in (0, half)]
        for x0, y0, cell in cells:
            if len(cells) > 1 and rng.random() < 0.3:
                continue
            view = canvas[y0 : y0 + cell, x0 : x0 + cell]
            found = self.paste(rng, view)
            if found is None:  # a cut face is neither face nor background
                view[:] = rng.integers(0, 256, 3)
            else:
                boxes += [box + [x0, y0, x0, y0] for box in found[0]]
                points += [landmarks + [x0, y0] for landmarks in found[1]]
        rgb = degrade(rng, canvas)
        return rgb, np.array(boxes, np.float32).reshape(-1, 4), np.array(points, np.float32).reshape(-1, 5, 2)

    def paste(self, rng: np.random.Generator, view: np.ndarray):
        """Puts a random picture into `view`; returns boxes (N, 4) and landmarks (N, 5, 2) there, or None where a face is cut."""
        (rgb,), truth = self.pictures.pick(rng, 1)
        real = truth["ids"][0] >= 0
        boxes, landmarks = truth["box"][0][real], truth["pts"][0][real]
        h, w = rgb.shape[:2]
        cell = view.shape[0]
        scale = cell / max(h, w) * rng.uniform(0.6, 1.35)
        if rng.random() < 0.35:
            low = int(rng.integers(40, 110))
            rgb = cv2.resize(cv2.resize(rgb, (low * w // h, low), interpolation=cv2.INTER_AREA), (w, h))
        rgb = cv2.resize(rgb, (int(w * scale), int(h * scale)), interpolation=cv2.INTER_LINEAR)
        room = np.array([cell - rgb.shape[1], cell - rgb.shape[0]])
        at = rng.integers(np.minimum(0, room), np.maximum(0, room) + 1)
        (sx, sy), (dx, dy) = np.maximum(0, -at), np.maximum(0, at)
        hh, ww = min(rgb.shape[0] - sy, cell - dy), min(rgb.shape[1] - sx, cell - dx)
        view[dy : dy + hh, dx : dx + ww] = rgb[sy : sy + hh, sx : sx + ww]
        boxes, landmarks = boxes * scale + np.tile(at, 2), landmarks * scale + at
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        whole = all((p >= 0).all() and (p < cell).all() for p in (middles, landmarks))
        return (boxes, landmarks) if whole else None

    def batch(self, rng: np.random.Generator, n: int):
        """A normalised batch (n, 3, SIZE, SIZE) and each picture's (boxes, landmarks)."""
        items = [self.one(rng) for _ in range(n)]
        x = torch.from_numpy(np.stack([rgb for rgb, _, _ in items])).permute(0, 3, 1, 2)
        return (x - 127.5) / 128, [(boxes, points) for _, boxes, points in items]


def degrade(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Light, blur, noise, and now and then no colour."""
    rgb = canvas.astype(np.float32) * rng.uniform(0.6, 1.25) * rng.uniform(0.85, 1.15, 3)
    if rng.random() < 0.3:
        rgb = cv2.GaussianBlur(rgb, (0, 0), rng.uniform(0.5, 2.2))
    if rng.random() < 0.4:
        rgb += rng.normal(0, rng.uniform(2, 14), rgb.shape)
    if rng.random() < 0.1:
        rgb = rgb.mean(2, keepdims=True).repeat(3, 2)
    return np.clip(rgb, 0, 255).astype(np.float32)


def targets(faces, stride: int, span: tuple[float, float]):
    """Per cell: positive (n, n), ignored (n, n), box distances (n, n, 4) and landmark offsets (n, n, 10) in strides.

    Ignored is the rest of a face that the stride answers for; faces of other sizes are background, so that no small face is found
    within a large one.
    """
    n = SIZE // stride
    yy, xx = np.mgrid[:n, :n].astype(np.float32) * stride
    positive, near = np.zeros((n, n), np.float32), np.zeros((n, n), np.float32)
    box, landmarks = np.zeros((n, n, 4), np.float32), np.zeros((n, n, 10), np.float32)
    for b, p in zip(*faces):
        w, h, cx, cy = b[2] - b[0], b[3] - b[1], (b[0] + b[2]) / 2, (b[1] + b[3]) / 2
        dx, dy = abs(xx - cx), abs(yy - cy)
        if span[0] <= max(w, h) < span[1]:
            near[(dx < 0.5 * w) & (dy < 0.5 * h)] = 1
            core = (dx <= max(0.22 * w, 0.55 * stride)) & (dy <= max(0.22 * h, 0.55 * stride))
            positive[core] = 1
            box[core] = np.stack([xx - b[0], yy - b[1], b[2] - xx, b[3] - yy], -1)[core] / stride
            landmarks[core] = (p.reshape(-1) - np.stack([xx, yy] * 5, -1))[core] / stride
    return positive, near * (1 - positive), box, landmarks


def loss_of(maps, faces) -> torch.Tensor:
    """Focal loss of the scores, IoU and L1 of the boxes, L1 of the landmarks, both in face sizes; summed over the strides."""
    total = torch.zeros(())
    for (score, box, kps), stride, span in zip(maps, STRIDES, RANGES):
        positive, ignored, want_box, want_kps = (torch.from_numpy(np.stack(t)) for t in zip(*[targets(f, stride, span) for f in faces]))
        score, box, kps = score.float(), box.float(), kps.float()
        y, p = positive[:, None].expand_as(score), score.sigmoid()
        entropy = F.binary_cross_entropy_with_logits(score, y, reduction="none") * (1 - ignored[:, None])
        total = total + ((y - p).abs() ** 2 * entropy).sum() / positive.sum().clamp(min=1)
        hit = positive.bool()
        if hit.any():
            for i in range(ANCHORS):
                b = box[:, 4 * i : 4 * i + 4].permute(0, 2, 3, 1)[hit].clamp(min=0.01)
                k = kps[:, 10 * i : 10 * i + 10].permute(0, 2, 3, 1)[hit]
                total = total + shape_loss(b, k, want_box[hit], want_kps[hit])
    return total


def shape_loss(b, k, want_b, want_k) -> torch.Tensor:
    width = torch.minimum(b[:, 0], want_b[:, 0]) + torch.minimum(b[:, 2], want_b[:, 2])
    height = torch.minimum(b[:, 1], want_b[:, 1]) + torch.minimum(b[:, 3], want_b[:, 3])
    shared = width * height
    area, area_want = ((q[:, 0] + q[:, 2]) * (q[:, 1] + q[:, 3]) for q in (b, want_b))
    unit = (want_b[:, 0] + want_b[:, 2])[:, None]
    iou = 1 - shared / (area + area_want - shared)
    return iou.mean() + ((b - want_b).abs() / unit).mean() + LANDMARKS * ((k - want_k).abs() / unit).mean()


@torch.no_grad()
def report(net: Detector, scenes: Scenes, count: int) -> dict[str, float]:
    """Recall at IoU 0.5, false boxes a scene, and the landmark error in eye distances, at score 0.5."""
    net.eval()
    rng, total, extra, errors = np.random.default_rng(1), 0, 0, []
    for _ in range(count):
        rgb, boxes, points = scenes.one(rng)
        x = torch.from_numpy(rgb).permute(2, 0, 1)[None].sub(127.5).div(128)
        found, landmarks, scores = decode([o.numpy() for o in net(x)], SIZE, 0.5)
        kept = suppress(found, scores)
        total, extra = total + len(boxes), extra + len(kept)
        for box, want in zip(boxes, points):
            hit = next((j for j in kept if intersection_over_union(box, found[j]) > 0.5), None)
            if hit is not None:
                kept.remove(hit)
                extra -= 1
                errors.append(np.linalg.norm(landmarks[hit] - want, axis=1).mean() / max(1e-3, np.linalg.norm(want[0] - want[1])))
    figures = {"recall": len(errors) / max(1, total), "false": extra / count, "landmark error": float(np.mean(errors or [9]))}
    return {k: round(v, 4) for k, v in figures.items()}


def main() -> None:
    a = arguments(__doc__, minutes=30, parts=4, lr=1e-3)
    prepare(a)
    rng = np.random.default_rng(0)
    scenes, held, net = Scenes(a.data, a.parts), Scenes(a.held, 2), Detector()

    def loss_of_batch(net: Detector) -> torch.Tensor:
        x, faces = scenes.batch(rng, BATCH)
        with torch.autocast("cpu", torch.bfloat16):
            maps = net.maps(x.contiguous(memory_format=torch.channels_last))
        return loss_of(maps, faces)

    fit(net, a, loss_of_batch, lambda last: report(net, held, 300 if last else 100), export, BATCH, weight_decay=0.0, clip=5.0)


if __name__ == "__main__":
    main()
