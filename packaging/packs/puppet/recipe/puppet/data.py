"""Renders the training pictures, and reads them again.

    python -m puppet.data OUT [--ids 5000] [--per 16] [--base 0] [--parts 10]

Square (128 x 128) and wide (192 x 112) pictures alternate. Every part has sqK.npy and wdK.npy (pictures), crK.npy (aligned
112 x 112 faces) and metaK.npz (id, wide, pos: the row in sq or wd, text, box, pts). Identity seeds 0 to 4999 are for training;
from 1,000,000 on they are held out.
"""
from __future__ import annotations

import argparse
import multiprocessing
from pathlib import Path

import cv2
import numpy as np

from .align import align
from .identity import identity
from .picture import SQUARE, WIDE, sample


def render(job: tuple[Path, int, list[int], int]) -> int:
    """Writes one part: `per` pictures of each identity seed."""
    out, index, seeds, per = job
    cv2.setNumThreads(1)
    pictures, faces, meta = {"sq": [], "wd": []}, [], []
    for seed in seeds:
        who = identity(seed)
        for n in range(per):
            kind = "wd" if n % 2 else "sq"
            rgb, box, landmarks, text = sample(seed * 1009 + n, who, *(WIDE if n % 2 else SQUARE))
            meta.append((seed, kind == "wd", len(pictures[kind]), text, box, landmarks))
            pictures[kind].append(rgb)
            faces.append(align(rgb, landmarks))
    for kind, rows in pictures.items():
        np.save(out / f"{kind}{index}.npy", np.stack(rows))
    np.save(out / f"cr{index}.npy", np.stack(faces))
    columns = {name: np.array(column) for name, column in zip(("id", "wide", "pos", "text", "box", "pts"), zip(*meta))}
    np.savez(out / f"meta{index}.npz", **columns)
    return index


def parts(folder: Path) -> int:
    """How many parts a folder has."""
    return len(list(folder.glob("cr*.npy")))


def crops(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """All aligned faces uint8 (N, 112, 112, 3) with their identity numbers (N,)."""
    every = range(parts(folder))
    faces = np.concatenate([np.load(folder / f"cr{k}.npy") for k in every])
    return faces, np.concatenate([np.load(folder / f"meta{k}.npz")["id"] for k in every])


class Pictures:
    """Whole pictures with boxes and landmarks: one group of square ones and one of wide ones a part."""

    def __init__(self, folder: Path, limit: int):
        self.rgb, self.box, self.points = [], [], []
        for k in range(min(limit, parts(folder))):
            meta = np.load(folder / f"meta{k}.npz")
            for kind, wide in (("sq", False), ("wd", True)):
                rows = meta["wide"] == wide
                self.rgb.append(np.load(folder / f"{kind}{k}.npy", mmap_mode="r"))
                self.box.append(meta["box"][rows])
                self.points.append(meta["pts"][rows])

    def pick(self, rng: np.random.Generator, n: int):
        """`n` pictures of one size: rgb (n, H, W, 3), boxes (n, 4), landmarks (n, 5, 2)."""
        k = rng.integers(len(self.rgb))
        rows = np.sort(rng.integers(len(self.rgb[k]), size=n))
        return np.asarray(self.rgb[k][rows]), self.box[k][rows], self.points[k][rows]


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("out", type=Path)
    a.add_argument("--ids", type=int, default=5000)
    a.add_argument("--per", type=int, default=16)
    a.add_argument("--base", type=int, default=0)
    a.add_argument("--parts", type=int, default=10)
    a = a.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    chunks = np.array_split(np.arange(a.base, a.base + a.ids), a.parts)
    with multiprocessing.Pool(2) as pool:
        for k in pool.imap_unordered(render, [(a.out, i, c.tolist(), a.per) for i, c in enumerate(chunks)]):
            print("part", k, flush=True)


if __name__ == "__main__":
    main()
