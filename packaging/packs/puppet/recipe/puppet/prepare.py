"""Turns pictures into what the generator trains on: latents, token ids and face embeddings, part by part.

    python -m puppet.prepare DATA PACK OUT [--per 10] [--parts 0,1]      with the pack's own VAE, tokenizer and embedder
    python -m puppet.prepare DATA PACK OUT --new VAE                     after a new VAE: first fold it, and learn the tokenizer

Folding puts the latents' mean and deviation of each channel into the VAE's quant_conv and post_quant_conv, so that the
generator sees unit latents and the scaling factor is 1. OUT gets latentsK.npz, and with --new also vae/ and tokenizer/.
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


def renew(a: argparse.Namespace) -> None:
    """Folds a new VAE and learns the tokenizer from every caption."""
    vae = load(a.new).eval()
    z = encode(vae, np.load(a.data / "sq0.npy")[:512])
    fold(vae, z.mean((0, 2, 3)), z.std((0, 2, 3)))
    vae.save_pretrained(a.out / "vae")
    captions = (text for k in range(data.parts(a.data)) for text in np.load(a.data / f"meta{k}.npz")["text"])
    tokenizer.save(tokenizer.learn(map(str, captions)), a.out / "tokenizer")


def part(k: int, a: argparse.Namespace, vae, words: tokenizer.Tokenizer, faces: Faces) -> None:
    """Writes latentsK.npz: emb, emb_id; and for sq and wd the latents, X_id and X_tok. `per` of 16 pictures are encoded."""
    meta = np.load(a.data / f"meta{k}.npz")
    rows = np.arange(len(meta["id"]))
    embedded, chosen = rows % 2 == 0, rows % 16 < a.per
    out = {"emb": faces.embed(np.load(a.data / f"cr{k}.npy")[embedded]).astype(np.float16), "emb_id": meta["id"][embedded]}
    ids = np.array([words.encode(str(t)) for t in meta["text"]], np.int16)
    for kind, wide in (("sq", False), ("wd", True)):
        pick = chosen & (meta["wide"] == wide)
        out[kind] = encode(vae, np.load(a.data / f"{kind}{k}.npy")[meta["pos"][pick]]).half().numpy()
        out[kind + "_id"], out[kind + "_tok"] = meta["id"][pick], ids[pick]
    np.savez(a.out / f"latents{k}.npz", **out)


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "pack", "out"):
        a.add_argument(name, type=Path)
    a.add_argument("--per", type=int, default=12)
    a.add_argument("--parts", default="", help="which parts, by number; all unless given")
    a.add_argument("--new", type=Path, metavar="VAE", help="a VAE that is not folded yet")
    a = a.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    if a.new:
        renew(a)
    source = a.out if a.new else a.pack
    vae = load(source / "vae").to(memory_format=torch.channels_last).eval()
    words, faces, started = tokenizer.Tokenizer(source / "tokenizer"), Faces(a.pack), time.time()
    for k in map(int, a.parts.split(",")) if a.parts else range(data.parts(a.data)):
        part(k, a, vae, words, faces)
        print("part", k, f"{time.time() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
