"""Finds and embeds faces with the pack's own ONNX files, the way the farm does.

The detector has SCRFD's nine outputs (Guo et al. 2021, arXiv:2105.04714): for strides 8, 16 and 32 the scores (K, 1), the box
distances (K, 4) and the landmark offsets (K, 10) of two anchors a cell, in strides.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from .align import align

STRIDES = (8, 16, 32)
ANCHORS = 2
OVERLAP = 0.4


@dataclass(frozen=True)
class Face:
    """One detection, in pixels of the picture: box x0 y0 x1 y1, landmarks (5, 2), score 0 to 1."""

    box: np.ndarray
    landmarks: np.ndarray
    score: float

    @property
    def short_side(self) -> float:
        return float(min(self.box[2] - self.box[0], self.box[3] - self.box[1]))


class Faces:
    """The detector and the embedder of one pack."""

    def __init__(self, pack: Path, threads: int = 1):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads

        def load(name: str):
            return onnxruntime.InferenceSession(str(pack / name), options, providers=["CPUExecutionProvider"])

        self.detector, self.embedder = load("detector.onnx"), load("embedder.onnx")

    def find(self, rgb: np.ndarray, size: int = 256, score: float = 0.6) -> list[Face]:
        """All faces in rgb uint8 (H, W, 3), best first. The picture is fitted into a black square of `size` pixels."""
        square, scale = letterbox(rgb, size)
        x = (square.astype(np.float32).transpose(2, 0, 1)[None] - 127.5) / 128
        boxes, landmarks, scores = decode(self.detector.run(None, {"input.1": x}), size, score)
        return [Face(boxes[i] / scale, landmarks[i] / scale, float(scores[i])) for i in suppress(boxes, scores)]

    def embed(self, crops: np.ndarray) -> np.ndarray:
        """Unit embeddings float32 (N, 512) of aligned crops uint8 (N, 112, 112, 3)."""
        out = []
        for part in range(0, len(crops), 64):
            x = (crops[part : part + 64].transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5
            out.append(self.embedder.run(None, {"input.1": x})[0])
        e = np.concatenate(out)
        return e / np.linalg.norm(e, axis=1, keepdims=True)

    def best(self, rgb: np.ndarray, size: int = 256, score: float = 0.6) -> tuple[Face, np.ndarray] | None:
        """The best face of a picture with its embedding (512,), or None where there is none."""
        found = self.find(rgb, size, score)
        if not found:
            return None
        return found[0], self.embed(align(rgb, found[0].landmarks.astype(np.float32))[None])[0]


def letterbox(rgb: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """Fits a picture into the top left of a black square; also returns the scale."""
    h, w = rgb.shape[:2]
    scale = size / max(h, w)
    square = np.zeros((size, size, 3), np.uint8)
    fitted = cv2.resize(rgb, (round(w * scale), round(h * scale)), interpolation=cv2.INTER_LINEAR)
    square[: fitted.shape[0], : fitted.shape[1]] = fitted
    return square, scale


def decode(outputs: list[np.ndarray], size: int, score: float):
    """Boxes (N, 4), landmarks (N, 5, 2) and scores (N,) over `score`, in pixels of the detector's square."""
    boxes, landmarks, scores = [], [], []
    for level, stride in enumerate(STRIDES):
        n = size // stride
        centre = np.stack(np.mgrid[:n, :n][::-1], -1).reshape(-1, 2).repeat(ANCHORS, 0).astype(np.float32) * stride
        s = outputs[level][:, 0]
        keep = s > score
        distance = outputs[3 + level][keep] * stride
        offset = outputs[6 + level][keep].reshape(-1, 5, 2) * stride
        centre = centre[keep]
        boxes.append(np.concatenate([centre - distance[:, :2], centre + distance[:, 2:]], 1))
        landmarks.append(offset + centre[:, None])
        scores.append(s[keep])
    return np.concatenate(boxes), np.concatenate(landmarks), np.concatenate(scores)


def suppress(boxes: np.ndarray, scores: np.ndarray) -> list[int]:
    """Which boxes stay, best first, when every one that overlaps a better one by OVERLAP is dropped."""
    order, kept = list(np.argsort(-scores, kind="stable")), []
    while order:
        best = order.pop(0)
        kept.append(int(best))
        order = [j for j in order if intersection_over_union(boxes[best], boxes[j]) < OVERLAP]
    return kept


def intersection_over_union(a: np.ndarray, b: np.ndarray) -> float:
    """The shared part of two boxes, 0 to 1."""
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    shared = float(sides.prod())
    area = float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod())
    return shared / max(1e-9, area - shared)
