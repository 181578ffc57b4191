"""Faces cut out the way ArcFace takes them: a similarity that brings five landmarks to the template, then a warp."""
from __future__ import annotations

import cv2
import numpy as np

# Where the five landmarks belong in a crop of 112 x 112 (Deng et al. 2019, arXiv:1801.07698).
ARCFACE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32)
SIZE = 112


def umeyama(src: np.ndarray, dst: np.ndarray) -> np.ndarray:
    """The least-squares similarity (2, 3) from src (N, 2) to dst (N, 2), without reflection (Umeyama 1991)."""
    mean_src, mean_dst = src.mean(0), dst.mean(0)
    a, b = src - mean_src, dst - mean_dst
    u, s, vt = np.linalg.svd(b.T @ a / len(src))
    d = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(d) @ vt
    scale = (s * d).sum() / a.var(0).sum()
    return np.hstack([scale * rotation, (mean_dst - scale * rotation @ mean_src)[:, None]]).astype(np.float32)


def align(rgb: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """The face with these landmarks (5, 2) as uint8 (112, 112, 3); black outside the picture."""
    return cv2.warpAffine(rgb, umeyama(landmarks, ARCFACE), (SIZE, SIZE), flags=cv2.INTER_LINEAR, borderValue=0)
