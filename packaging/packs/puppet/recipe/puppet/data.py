"""Renders the training pictures, and reads them again.

    python -m puppet.data OUT [--ids 5000] [--per 16] [--base 0] [--parts 10]

Every part K has pictures of three kinds: sqK.npy (square, one person), wdK.npy (wide, one person) and coK.npy (wide, company: nobody
or two to four people), and metaK.npz with, for each kind, KIND_ids (N, P), KIND_box (N, P, 4), KIND_pts (N, P, 5, 2),
KIND_labels (N, P, attributes), KIND_edges (N, P) and KIND_text (N, 1 + P): the caption of the place, then one a person; P is the
most people, and rows without a person have identity -1. crK.npy are the aligned 112 x 112 faces of the square and the wide
pictures and then more of them, also of look-alikes and drawn twice as large, with face_ids.
Identity seeds 0 to 4999 are for training; from 1,000,000 on they are held out.
"""
from __future__ import annotations

import argparse
import multiprocessing
import random
from pathlib import Path

import cv2
import numpy as np

from .align import align
from .attributes import ATTRIBUTES, columns
from .identity import identity, look_alike
from .picture import SQUARE, WIDE, Sample, company_of, sample

KINDS = {"sq": 1, "wd": 1, "co": 4}  # the most people in each kind
ALIKE = 10_000_000  # the look-alike of training identity n is identity ALIKE + n
COMPANY_SHARE = 0.15
COMPANY_SIZES, COMPANY_WEIGHTS = (0, 2, 3, 4), (2, 5, 2, 1)
LARGE_FACES, LOOK_ALIKE_FACES = 4, 10


def render(job: tuple[Path, int, list[int], int]) -> int:
    """Writes one part: `per` pictures of each identity seed, pictures of several of them, and further faces."""
    out, index, seeds, per = job
    cv2.setNumThreads(1)
    samples: dict[str, list[Sample]] = {kind: [] for kind in KINDS}
    for seed in seeds:
        who = identity(seed)
        for n in range(per):
            samples["wd" if n % 2 else "sq"].append(sample(seed * 1009 + n, who, *(WIDE if n % 2 else SQUARE)))
    rng = random.Random(seeds[0])
    for n in range(int(len(seeds) * per * COMPANY_SHARE)):
        people = rng.sample(seeds, rng.choices(COMPANY_SIZES, COMPANY_WEIGHTS)[0])
        samples["co"].append(company_of(seeds[0] * 1009 + 500_000_000 + n, [identity(s) for s in people], *WIDE))
    meta = {}
    for kind, some in samples.items():
        np.save(out / f"{kind}{index}.npy", np.stack([s.rgb for s in some]))
        meta |= {f"{kind}_{name}": column for name, column in truth(some, KINDS[kind]).items()}
    alone = [(s.people[0][0].seed, align(s.rgb, s.landmarks[0])) for kind in ("sq", "wd") for s in samples[kind]]
    ids, faces = zip(*alone, *(face for seed in seeds for face in further_faces(seed)))
    np.save(out / f"cr{index}.npy", np.stack(faces))
    save(out / f"meta{index}.npz", face_ids=np.array(ids), **meta)
    return index


def save(file: Path, **columns: np.ndarray) -> None:
    """Writes an .npz file whole or not at all."""
    part = file.with_suffix(".part")
    with part.open("wb") as f:
        np.savez(f, **columns)
    part.replace(file)


def truth(samples: list[Sample], most: int) -> dict[str, np.ndarray]:
    """What meta files hold about pictures with at most `most` people."""
    n = len(samples)
    out = {
        "ids": np.full((n, most), -1), "box": np.zeros((n, most, 4), np.float32), "pts": np.zeros((n, most, 5, 2), np.float32),
        "labels": np.zeros((n, most, len(ATTRIBUTES)), np.int8), "edges": np.ones((n, most), np.float32),
    }
    for row, s in enumerate(samples):
        k = len(s.people)
        out["ids"][row, :k] = [who.seed for who, _ in s.people]
        out["box"][row, :k], out["pts"][row, :k], out["edges"][row, :k] = s.boxes, s.landmarks, s.edges()
        if k:
            out["labels"][row, :k] = [columns(who, seen, s.place) for who, seen in s.people]
    out["text"] = np.array([[s.around, *s.captions, *[""] * (most - len(s.captions))] for s in samples])
    return out


def further_faces(seed: int):
    """(identity number, aligned face) of large drawings of an identity, and of its look-alike."""
    who = identity(seed)
    yield from ((seed, face(seed * 1009 + 300 + n, who, 2)) for n in range(LARGE_FACES))
    if seed % 2 == 0:
        other = look_alike(who, ALIKE + seed)
        yield from ((ALIKE + seed, face(seed * 1009 + 400 + n, other, 1 + n // 2 % 2)) for n in range(LOOK_ALIKE_FACES))


def face(seed: int, who, scale: int) -> np.ndarray:
    """An aligned face from a picture of a random size, `scale` times the usual one."""
    width, height = WIDE if seed % 2 else SQUARE
    s = sample(seed, who, width * scale, height * scale)
    return align(s.rgb, s.landmarks[0])


def parts(folder: Path) -> int:
    """How many parts a folder has."""
    return len(list(folder.glob("meta*.npz")))


class Crops:
    """All aligned faces uint8 (112, 112, 3) with their identity numbers `ids` (N,), read from disk as they are picked."""

    def __init__(self, folder: Path):
        every = range(parts(folder))
        self.files = [np.load(folder / f"cr{k}.npy", mmap_mode="r") for k in every]
        self.starts = np.cumsum([0, *map(len, self.files)])
        self.ids = np.concatenate([np.load(folder / f"meta{k}.npz")["face_ids"] for k in every])

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Faces (n, 112, 112, 3)."""
        k = np.searchsorted(self.starts, rows, side="right") - 1
        return np.stack([self.files[f][r - self.starts[f]] for f, r in zip(k, rows)])


class Pictures:
    """Whole pictures of some kinds with the truth about everybody in them."""

    def __init__(self, folder: Path, limit: int, kinds: tuple[str, ...] = ("sq", "wd")):
        self.rgb, self.meta = [], []
        for k in range(min(limit, parts(folder))):
            meta = np.load(folder / f"meta{k}.npz")
            for kind in kinds:
                self.rgb.append(np.load(folder / f"{kind}{k}.npy", mmap_mode="r"))
                self.meta.append({name: meta[f"{kind}_{name}"] for name in ("ids", "box", "pts", "labels")})

    def pick(self, rng: np.random.Generator, n: int):
        """`n` pictures of one kind: rgb (n, H, W, 3), and ids (n, P), box (n, P, 4), pts (n, P, 5, 2), labels (n, P, attributes)."""
        k = rng.integers(len(self.rgb))
        rows = np.sort(rng.integers(len(self.rgb[k]), size=n))
        return np.asarray(self.rgb[k][rows]), {name: column[rows] for name, column in self.meta[k].items()}


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
    jobs = [(a.out, i, c.tolist(), a.per) for i, c in enumerate(chunks) if not (a.out / f"meta{i}.npz").exists()]
    with multiprocessing.Pool() as pool:
        for k in pool.imap_unordered(render, jobs):
            print("part", k, flush=True)


if __name__ == "__main__":
    main()
