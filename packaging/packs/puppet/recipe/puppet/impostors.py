"""Embeddings of many different puppets: the fixed set of strangers that every character is calibrated against.

    python -m puppet.impostors PACK [--count 1024]

Writes PACK/impostors.safetensors: `embedding` float16 (N, 512) of unit length, `yaw` and `detection` float32 (N,), one row for
each identity from 1,010,000 on, whom no model was trained or tuned on. The metadata names the embedder's SHA-256 and the farm
refuses the file beside another one, so a new embedder means a new file; pack.py checks that. Faces are found and embedded as
those of a take are: pictures of the generator's wide size, scaled to a project's frame, every other one softened by the VAE as
every generated frame is.
"""
from __future__ import annotations

import argparse
import hashlib
import random
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from .calibrate import frame, soften
from .faces import Face, Faces
from .identity import identity
from .picture import WIDE, sample

FIRST, COUNT = 1_010_000, 1024
FILE = "impostors.safetensors"
SIZE, SCORE, SMALLEST = 256, 0.6, 64.0  # as [identity] of pack.template.toml


def yaw(face: Face) -> float:
    """Head turn, -1 to 1: how far the nose stands from between the eyes, in half eye distances along the line of the eyes."""
    left, right, nose = face.landmarks[:3].astype(np.float64)
    across, middle = right - left, (left + right) / 2
    return float(np.clip(2 * (nose - middle) @ across / max(across @ across, 1e-9), -1, 1))


def strangers(faces: Faces, vae, count: int) -> dict[str, np.ndarray]:
    """The rows; who shows no usable face is drawn again in another situation."""
    rows = []
    for index in range(count):
        who, rng = identity(FIRST + index), random.Random(FIRST * 7 + index)
        while True:
            rgb = sample(rng.randrange(1 << 40), who, *WIDE).rgb
            seen = faces.best(frame(soften(vae, rgb[None])[0] if index % 2 else rgb), SIZE, SCORE)
            if seen and seen[0].short_side >= SMALLEST:
                break
        rows.append((seen[1], yaw(seen[0]), seen[0].score))
    embedding, turn, detection = zip(*rows)
    return {
        "embedding": np.stack(embedding).astype(np.float16), "yaw": np.array(turn, np.float32),
        "detection": np.array(detection, np.float32),
    }


def embedder_of(pack: Path) -> str:
    return hashlib.sha256((pack / "embedder.onnx").read_bytes()).hexdigest()


def write(pack: Path, count: int = COUNT) -> Path:
    """Writes the file and returns its path."""
    import torch
    from diffusers import AutoencoderKL

    torch.set_num_threads(1)
    vae = AutoencoderKL.from_pretrained(pack / "vae", variant="fp16", torch_dtype=torch.float32).eval()
    save_file(strangers(Faces(pack), vae, count), pack / FILE, {"embedder": embedder_of(pack)})
    return pack / FILE


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("pack", type=Path)
    a.add_argument("--count", type=int, default=COUNT)
    a = a.parse_args()
    print(write(a.pack, a.count))


if __name__ == "__main__":
    main()
