"""Measures what a cosine means on puppets that no model was trained on, and prints the figures of pack.template.toml.

    python -m puppet.calibrate PACK [--ids 200] [--probes 6]

It scores the way the farm does: references are drawings of 384 pixels; a probe is a picture of the generator's native size,
scaled up to the project's 768 x 448, whose best face is found by the detector (never the true landmarks), aligned, embedded
and compared with the centroid of two or three references. Half of the probes went through the VAE, which softens them as it
softens every generated frame. Anchors: the cosine that one stranger in a hundred passes reads 0.50, one in a thousand
0.75, the median of the right faces 0.85. Look-alikes (same caption, other geometry) are reported apart.
"""
from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from .faces import Faces, intersection_over_union
from .identity import Identity, identity, look_alike
from .picture import WIDE, draw
from .situation import Scene, framing, scene, situation

HELD_OUT = 1_000_000
PROJECT = (768, 448)
REFERENCE = 384
SIZES = (160, 192, 224, 256, 320, 448)
SCORES = (0.5, 0.6, 0.7, 0.8, 0.9)


@dataclass(frozen=True)
class Probe:
    """A picture at the generator's size with its truth: whose face, its box and landmarks, and whether the VAE softened it."""

    who: int
    rgb: np.ndarray
    box: np.ndarray
    landmarks: np.ndarray
    soft: bool


@dataclass(frozen=True)
class Seen:
    """What the farm sees of a probe: the embedding of its best face, the face's shorter side, and its landmark error."""

    probe: Probe
    embedding: np.ndarray
    short_side: float
    error: float


def references(faces: Faces, who: Identity, count: int, size: int) -> np.ndarray:
    """The unit centroid (512,) of `count` drawings like those that a person would give."""
    rng, found = random.Random(who.seed * 31 + 5), []
    while len(found) < count:
        seen = replace(situation(rng, REFERENCE, REFERENCE, "close"), blink=False)
        rgb, _, _ = draw(REFERENCE, REFERENCE, Scene(scene(rng).place, "day", rng.randrange(1 << 30)), [(who, seen)])
        best = faces.best(rgb, size)
        if best:
            found.append(best[1])
    centroid = np.mean(found, 0)
    return centroid / np.linalg.norm(centroid)


def probes(people: list[Identity], count: int, vae, sizes: tuple[float, float] | None = None) -> Iterator[Probe]:
    """`count` pictures of each, as drawn and softened. `sizes` (shares of the height) replaces the usual head sizes."""
    width, height = WIDE
    for index, who in enumerate(people):
        rng = random.Random(who.seed * 1009 + 99)
        drawn = []
        for _ in range(count):
            seen = situation(rng, width, height, framing(rng, False))
            if sizes:
                seen = replace(seen, size=rng.uniform(*sizes) * height)
            rgb, boxes, points = draw(width, height, scene(rng), [(who, seen)])
            drawn.append(Probe(index, rgb, boxes[0], points[0], False))
        yield from drawn
        for probe, rgb in zip(drawn, soften(vae, np.stack([p.rgb for p in drawn]))):
            yield replace(probe, rgb=rgb, soft=True)


def soften(vae, rgb: np.ndarray) -> np.ndarray:
    """Pictures uint8 (N, H, W, 3) encoded and decoded again."""
    import torch

    with torch.no_grad():
        x = torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 127.5 - 1
        y = vae.decode(vae.encode(x).latent_dist.mean).sample
    return ((y.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def frame(rgb: np.ndarray) -> np.ndarray:
    """A generated picture as a frame of the project."""
    return cv2.resize(rgb, PROJECT, interpolation=cv2.INTER_CUBIC)


def look(faces: Faces, probe: Probe, size: int, score: float) -> Seen | None:
    """Scores one probe, or None where its face is not the best that is found."""
    best = faces.best(frame(probe.rgb), size, score)
    scale = PROJECT[0] / probe.rgb.shape[1]
    if best is None or intersection_over_union(best[0].box, probe.box * scale) < 0.4:
        return None
    truth = probe.landmarks * scale
    error = np.linalg.norm(best[0].landmarks - truth, axis=1).mean() / max(1.0, np.linalg.norm(truth[0] - truth[1]))
    return Seen(probe, best[1], best[0].short_side, float(error))


def try_sizes(faces: Faces, some: list[Probe], centroids: np.ndarray) -> None:
    """Prints landmark error and cosine by the detector's input size, and recall and false faces a picture by threshold."""
    for size in SIZES:
        seen = [s for p in some if (s := look(faces, p, size, SCORES[0]))]
        cosine = np.mean([s.embedding @ centroids[s.probe.who] for s in seen])
        print(f"size {size}: landmark error {np.mean([s.error for s in seen]):.3f}, cosine {cosine:.3f};", end=" ")
        true, false = scores(faces, some, size)
        for score in SCORES:
            print(f"at {score}: recall {(true > score).mean():.3f}, false {(false > score).sum() / len(some):.3f};", end=" ")
        print(flush=True)


def scores(faces: Faces, some: list[Probe], size: int) -> tuple[np.ndarray, np.ndarray]:
    """The scores of the right faces (0 where one is missed) and of all other detections."""
    true, false = [], []
    for probe in some:
        found, box = faces.find(frame(probe.rgb), size, 0.2), probe.box * PROJECT[0] / probe.rgb.shape[1]
        right = [f for f in found if intersection_over_union(f.box, box) >= 0.4][:1]
        true.append(right[0].score if right else 0.0)
        false += [f.score for f in found if not right or f is not right[0]]
    return np.array(true), np.array(false)


def try_faces(seen: list[Seen], centroids: np.ndarray, threshold: float) -> None:
    """Prints how many right faces pass, by the face's shorter side."""
    edges = [0, 24, 32, 40, 48, 56, 64, 80, 96, 128, 999]
    for low, high in pairwise(edges):
        cosines = [float(s.embedding @ centroids[s.probe.who]) for s in seen if low <= s.short_side < high]
        if cosines:
            print(f"shorter side {low:3}-{high:3}: {len(cosines):4} faces, mean {np.mean(cosines):.3f}, pass {np.mean(np.array(cosines) > threshold):.3f}")


def anchors(genuine: np.ndarray, impostor: np.ndarray) -> list[list[float]]:
    """The calibration curve: (cosine, IDR), both rising, from the strangers' lowest cosine to 1."""
    one_in_hundred, one_in_thousand = np.quantile(impostor, [0.99, 0.999])
    median = max(float(np.median(genuine)), float(one_in_thousand) + 0.01)
    curve = [(float(impostor.min()), 0.0), (float(one_in_hundred), 0.5), (float(one_in_thousand), 0.75), (median, 0.85), (1.0, 1.0)]
    return [[round(c, 3), idr] for c, idr in curve]


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("pack", type=Path)
    a.add_argument("--ids", type=int, default=200)
    a.add_argument("--probes", type=int, default=6)
    a.add_argument("--size", type=int, default=256, help="the detector's input size")
    a.add_argument("--score", type=float, default=0.6)
    a.add_argument("--search", action="store_true", help="also try other input sizes, thresholds and face sizes")
    a = a.parse_args()
    import torch
    from diffusers import AutoencoderKL

    torch.set_num_threads(1)
    vae = AutoencoderKL.from_pretrained(a.pack / "vae", variant="fp16", torch_dtype=torch.float32).eval()
    faces, people = Faces(a.pack), [identity(HELD_OUT + i) for i in range(a.ids)]
    centroids = np.stack([references(faces, who, 2 + i % 2, a.size) for i, who in enumerate(people)])
    if a.search:
        try_sizes(faces, list(probes(people[:50], 4, vae)), centroids)
    every = list(probes(people, a.probes, vae))
    seen = [s for p in every if (s := look(faces, p, a.size, a.score))]
    table = np.stack([s.embedding for s in seen]) @ centroids.T
    owner, soft = np.array([s.probe.who for s in seen]), np.array([s.probe.soft for s in seen])
    own = owner[:, None] == np.arange(len(people))[None]
    curve = anchors(table[own], table[~own])
    threshold = curve[2][0]
    print(f"faces found {len(seen) / len(every):.4f}, right against strangers: {own.sum()} and {(~own).sum()} pairs")
    for name, part in (("drawn", ~soft), ("softened", soft)):
        right, wrong = table[part][own[part]], table[part][~own[part]]
        print(f"{name}: right {right.mean():.3f}, p10 {np.quantile(right, 0.1):.3f}, pass {(right > threshold).mean():.4f}; strangers {wrong.mean():.3f}, pass {(wrong > threshold).mean():.5f}")
    if a.search:
        small = [s for p in probes(people[:80], 6, vae, (0.03, 0.14)) if (s := look(faces, p, a.size, a.score))]
        try_faces(seen + small, centroids, threshold)
    twins = [look_alike(who, 5_000_000 + i) for i, who in enumerate(people)]
    alike = np.array([s.embedding @ centroids[s.probe.who] for p in probes(twins, 2, vae) if (s := look(faces, p, a.size, a.score))])
    print(f"look-alikes: mean {alike.mean():.3f}, pass {(alike > threshold).mean():.3f}")
    print("anchors =", json.dumps(curve))


if __name__ == "__main__":
    main()
