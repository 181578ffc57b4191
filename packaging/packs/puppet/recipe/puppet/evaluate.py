"""Scores the generator on puppets that it never saw, by text alone and with identity tokens, and draws a sheet to look at.

    python -m puppet.evaluate PACK SHEET.png [--checkpoint GEN/ema.pt] [--ids 12] [--guidance 3 ...] [--scale 1 ...] [--steps 20 ...]

Per character the same four situations and seeds for every setting. The score is the farm's: the best face that the detector
finds in the scaled picture against the centroid of three drawings. A row of the sheet is one character: a drawing, then for
each setting its four pictures. Several values of an option make a grid of settings.

With --chain every picture becomes the first of four keyframes, each started from the one before, and what is printed is the
cosine of each and how much they move (mean difference of neighbours, 0 to 255).
"""
from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .calibrate import frame, references
from .faces import Faces
from .generator import Model, generate
from .identity import Identity, identity
from .picture import SQUARE, draw
from .prompts import SHOTS, prompts
from .situation import Scene, Situation
from .tokenizer import Tokenizer
from .vae import load

FIRST = 1_000_000


def portrait(who: Identity) -> np.ndarray:
    """A plain drawing for the sheet."""
    seen = Situation(0, 0, 0, "neutral", "t-shirt", "green", 1, 0.5, 0.47, 0.23 * SQUARE[1])
    return draw(*SQUARE, Scene("studio", "day", 0), [(who, seen)])[0]


def pictures(model, vae, ids, emb, empty, setting, wide: bool) -> np.ndarray:
    """uint8 (N, H, W, 3), in batches of sixteen."""
    steps, guidance, scale = setting
    out = []
    for i in range(0, len(ids), 16):
        part = None if emb is None else emb[i : i + 16]
        shape = (14, 24) if wide else (16, 16)
        y = generate(model, vae, ids[i : i + 16], part, empty, 100 + i, shape, steps, guidance, scale)
        out.append(((y + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(out)


def scores(faces: Faces, rgb: np.ndarray, centroids: np.ndarray, size: int) -> list[float | None]:
    """The cosine of each picture's best face to its row of `centroids`, None where no face is found."""
    found = [faces.best(frame(p) if p.shape[1] > p.shape[0] else enlarged(p), size) for p in rgb]
    return [float(f[1] @ c) if f else None for f, c in zip(found, centroids)]


def enlarged(rgb: np.ndarray) -> np.ndarray:
    """A square picture at the project's height."""
    return np.asarray(Image.fromarray(rgb).resize((448, 448), Image.Resampling.BICUBIC))


def chains(model, vae, ids, emb, empty, setting, strength: float, faces: Faces, size: int) -> str:
    """One row: how four chained keyframes keep the face and how much they move."""
    steps, guidance, scale = setting
    row, last = [], None
    for n in range(4):
        part = strength if n else 1.0
        new = generate(model, vae, ids, emb, empty, 900 + n, (14, 24), steps, guidance, scale, last, part)
        moved = 0.0 if last is None else float((new - last).abs().mean()) * 127.5
        rgb = ((new + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        right = [v for v in scores(faces, rgb, emb.numpy(), size) if v is not None]
        row.append(f"{np.mean(right or [-1]):.3f} moved {moved:.1f}")
        last = new
    return f"chain strength {strength}: " + ", ".join(row)


def summary(name: str, setting, values: list[float | None], threshold: float) -> str:
    right = [v for v in values if v is not None]
    steps, guidance, scale = setting
    row = {"by": name, "steps": steps, "guidance": guidance, "scale": scale, "cosine": round(float(np.mean(right or [-1])), 3)}
    row |= {"pass": round(sum(v > threshold for v in right) / len(values), 3), "no face": values.count(None)}
    return json.dumps(row)


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("pack", type=Path)
    a.add_argument("sheet", type=Path)
    a.add_argument("--checkpoint", type=Path, help="weights of train.py instead of the pack's generator")
    a.add_argument("--vae", type=Path, help="another VAE folder")
    a.add_argument("--ids", type=int, default=12)
    a.add_argument("--first", type=int, default=FIRST, help="the first identity seed")
    a.add_argument("--steps", type=int, nargs="+", default=[20])
    a.add_argument("--guidance", type=float, nargs="+", default=[3.0])
    a.add_argument("--scale", type=float, nargs="+", default=[1.0])
    a.add_argument("--threshold", type=float, default=0.525)
    a.add_argument("--size", type=int, default=256, help="the detector's input size")
    a.add_argument("--wide", action="store_true", help="192 x 112 instead of 128 x 128")
    a.add_argument("--chain", type=float, nargs="+", default=[], metavar="STRENGTH", help="measure chained keyframes instead")
    a.add_argument("--text", action=argparse.BooleanOptionalAction, default=True, help="also by text alone")
    a = a.parse_args()
    torch.set_num_threads(1)
    words, faces = Tokenizer(a.pack / "tokenizer"), Faces(a.pack)
    model = Model(len(words)).eval()
    if a.checkpoint:
        model.load_state_dict(torch.load(a.checkpoint, map_location="cpu"))
    else:
        model.load_pack(a.pack)
    vae = load(a.vae or a.pack / "vae").eval()
    people = [identity(a.first + i) for i in range(a.ids)]
    centroids = np.stack([references(faces, who, 3, a.size) for who in people]).repeat(len(SHOTS), 0)
    ids = torch.tensor([words.encode(t) for who in people for _, _, _, t in prompts(who)])
    empty, emb = torch.tensor([words.encode("")]), torch.from_numpy(centroids).float()
    if a.chain:
        for strength in a.chain:
            setting = (a.steps[0], a.guidance[0], a.scale[0])
            print(chains(model, vae, ids[:: len(SHOTS)], emb[:: len(SHOTS)], empty, setting, strength, faces, a.size), flush=True)
        return
    columns = [np.stack([portrait(who) for who in people])]
    settings = list(itertools.product(a.steps, a.guidance, a.scale))
    runs = [("text", None, (s, g, 0.0)) for s, g in itertools.product(a.steps, a.guidance)] if a.text else []
    for name, e, setting in runs + [("identity", emb, s) for s in settings]:
        rgb = pictures(model, vae, ids, e, empty, setting, a.wide)
        print(summary(name, setting, scores(faces, rgb, centroids, a.size), a.threshold), flush=True)
        columns += [rgb[i :: len(SHOTS)] for i in range(len(SHOTS))]
    height = max(c.shape[1] for c in columns)
    padded = [np.pad(c, ((0, 0), (0, height - c.shape[1]), (0, 0), (0, 0))) for c in columns]
    Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in zip(*padded)], 0)).save(a.sheet)


if __name__ == "__main__":
    main()
