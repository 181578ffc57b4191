"""Turns pictures into what the generator trains on: latents, token ids and face embeddings, part by part.

    python -m puppet.prepare DATA PACK OUT [--per 10] [--parts 0,1]      with the pack's own VAE, tokenizer and embedder
    python -m puppet.prepare DATA PACK OUT --faces                       only the embeddings again, after a new embedder
    python -m puppet.prepare DATA PACK OUT --fold VAE                    only folds a newly trained VAE into OUT/vae
    python -m puppet.prepare DATA PACK OUT --learn                       only learns a tokenizer into OUT/tokenizer

Folding puts the latents' mean and deviation of each channel into the VAE's quant_conv and post_quant_conv, so that the
generator sees unit latents and the scaling factor is 1. OUT gets latentsK.npz.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from . import data, tokenizer
from .faces import Faces
from .vae import load

ONE_IN = 16  # pictures are chosen by their place among this many


def fold(vae: AutoencoderKL, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Makes each of the N latent channels have mean 0 and deviation 1; mean and std (N,) as measured."""
    enter, leave, n = vae.quant_conv, vae.post_quant_conv, len(mean)
    with torch.no_grad():
        enter.weight[:n] /= std[:, None, None, None]
        enter.bias[:n] = (enter.bias[:n] - mean) / std
        enter.bias[n:] -= 2 * std.log()
        leave.bias += leave.weight[:, :, 0, 0] @ mean
        leave.weight *= std[None, :, None, None]


@torch.no_grad()
def encode(vae: AutoencoderKL, rgb: np.ndarray) -> torch.Tensor:
    """Latents (N, 12, H / 8, W / 8) of pictures uint8 (N, H, W, 3)."""
    out = []
    for i in range(0, len(rgb), 32):
        x = torch.from_numpy(rgb[i : i + 32]).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.autocast("cpu", torch.bfloat16):
            out.append(vae.encode(x.contiguous(memory_format=torch.channels_last)).latent_dist.mean.float())
    return torch.cat(out)


def write_folded(a: argparse.Namespace) -> None:
    """A new VAE with unit latents."""
    vae = load(a.fold).eval()
    z = encode(vae, np.load(a.data / "sq0.npy", mmap_mode="r")[:512])
    fold(vae, z.mean((0, 2, 3)), z.std((0, 2, 3)))
    vae.save_pretrained(a.out / "vae")


def write_tokenizer(a: argparse.Namespace) -> None:
    """The tokenizer of every caption."""
    captions = (str(t) for k in range(data.parts(a.data)) for t in np.load(a.data / f"meta{k}.npz")["sq_text"][:, 1])
    tokenizer.save(tokenizer.learn(captions), a.out / "tokenizer")


def part(k: int, a: argparse.Namespace, vae, words: tokenizer.Tokenizer, faces: Faces) -> None:
    """Writes latentsK.npz: emb (M, 512) and emb_id (M,); and for each kind of picture, latents (N, 12, h, w), KIND_ids (N, P),
    KIND_tok (N, 1 + P, L), KIND_edges (N, P), KIND_box (N, P, 4) and KIND_pts (N, P, 5, 2) in pixels. Of pictures of one person, `per` in sixteen are taken."""
    meta, target = np.load(a.data / f"meta{k}.npz"), a.out / f"latents{k}.npz"
    owner = meta["face_ids"]
    embedded = np.flatnonzero((owner < data.ALIKE) & (np.arange(len(owner)) % 2 == 0))
    out = dict(np.load(target)) if a.faces else {}
    out |= {"emb": faces.embed(np.load(a.data / f"cr{k}.npy", mmap_mode="r")[embedded]).astype(np.float16), "emb_id": owner[embedded]}
    for kind, most in () if a.faces else data.KINDS.items():
        rgb = np.load(a.data / f"{kind}{k}.npy", mmap_mode="r")
        rows = np.arange(len(rgb))
        pick = rows[(most > 1) | (rows % ONE_IN < a.per)]
        out[kind] = encode(vae, rgb[pick]).half().numpy()
        texts = meta[kind + "_text"][pick]
        out[kind + "_tok"] = np.array([[words.encode(str(t)) for t in row] for row in texts], np.int16)
        out |= {f"{kind}_{name}": meta[f"{kind}_{name}"][pick] for name in ("ids", "edges", "box", "pts")}
    data.save(target, **out)


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "pack", "out"):
        a.add_argument(name, type=Path)
    a.add_argument("--per", type=int, default=10)
    a.add_argument("--parts", default="", help="which parts, by number; all unless given")
    a.add_argument("--faces", action="store_true")
    a.add_argument("--fold", type=Path, metavar="VAE")
    a.add_argument("--learn", action="store_true")
    a = a.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    if a.fold or a.learn:
        if a.fold:
            write_folded(a)
        if a.learn:
            write_tokenizer(a)
        return
    torch.set_num_threads(1)
    vae = load(a.pack / "vae").to(memory_format=torch.channels_last).eval()
    words, faces, started = tokenizer.Tokenizer(a.pack / "tokenizer"), Faces(a.pack), time.time()
    for k in map(int, a.parts.split(",")) if a.parts else range(data.parts(a.data)):
        part(k, a, vae, words, faces)
        print("part", k, f"{time.time() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
