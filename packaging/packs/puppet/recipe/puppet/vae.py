"""The picture autoencoder: AutoencoderKL (Rombach et al. 2022, arXiv:2112.10752), 8 times smaller, 12 channels.

    python -m puppet.vae DATA OUT [--minutes 60]                                             a new one
    python -m puppet.vae DATA OUT --resume PACK/vae --judge PACK [--decoder] [--minutes 30]   goes on from the pack's

Trained on whole frames from the start: GroupNorm's statistics differ between crops and frames. With --judge a face must also
stay itself to the pack's embedder. With --decoder the encoder and the latents stay as they are, so the generator fits on.
"""
from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from . import data, embedder
from .align import ARCFACE, SIZE, umeyama
from .device import DEVICE, cast, speed_up
from .muon import Muon

CONFIG = dict(
    in_channels=3, out_channels=3, latent_channels=12, block_out_channels=(16, 32, 64, 128), layers_per_block=1, norm_num_groups=16,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, sample_size=128, scaling_factor=1.0,
)
FACE_WEIGHT = 3  # how much more a face counts than the rest
BATCH = 6


def build() -> AutoencoderKL:
    """A new one: residual branches start at a tenth, and the latents almost without noise."""
    vae = AutoencoderKL(**CONFIG)
    for name, m in vae.named_modules():
        if name.endswith("conv2"):
            m.weight.data *= 0.1
    vae.quant_conv.bias.data[CONFIG["latent_channels"] :] = -6
    return vae


def load(folder: Path) -> AutoencoderKL:
    """A saved one, from half or full precision."""
    half = (folder / "diffusion_pytorch_model.fp16.safetensors").exists()
    return AutoencoderKL.from_pretrained(folder, variant="fp16" if half else None, torch_dtype=torch.float32)


def batch(pictures: data.Pictures, rng: np.random.Generator):
    """Pictures (N, 3, H, W) in [-1, 1], weights (N, 1, H, W) with mean 1, landmarks (N, 5, 2)."""
    rgb, truth = pictures.pick(rng, BATCH)
    weight, points = np.ones((len(rgb), 1, *rgb.shape[1:3]), np.float32), truth["pts"][:, 0]
    for m, boxes, ids in zip(weight, truth["box"].astype(int), truth["ids"]):
        for x0, y0, x1, y1 in boxes[ids >= 0]:
            m[:, max(0, y0) : y1, max(0, x0) : x1] = FACE_WEIGHT
    x = (torch.from_numpy(rgb).permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
    return x.to(DEVICE), torch.from_numpy(weight / weight.mean()).to(DEVICE), points


def difference(y: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """L1; chroma four times over, else hues come hundreds of steps after luminance; edges; and L1 at half the size."""
    d = (y - x) * weight
    edges = (d[..., 1:, :] - d[..., :-1, :]).abs().mean() + (d[..., 1:] - d[..., :-1]).abs().mean()
    chroma = (d - d.mean(1, keepdim=True)).abs().mean()
    return d.abs().mean() + 4 * chroma + 0.5 * edges + 0.5 * F.avg_pool2d(d, 2).abs().mean()


class Likeness:
    """How much of a face the decoder loses: 1 - cosine of the embeddings of the aligned face before and after."""

    def __init__(self, pack: Path):
        self.net = embedder.load(pack).to(DEVICE, memory_format=torch.channels_last).requires_grad_(False)

    def __call__(self, y: torch.Tensor, x: torch.Tensor, points: np.ndarray) -> torch.Tensor:
        a, b = (self.embed(p, points) for p in (y, x))
        return (1 - (a * b).sum(1)).mean()

    def embed(self, x: torch.Tensor, points: np.ndarray) -> torch.Tensor:
        """Unit embeddings (N, 512) of the faces at `points` (N, 5, 2) in pictures (N, 3, H, W)."""
        face = F.grid_sample(x, face_grid(points, x.shape).to(x.device), align_corners=False)
        with cast():
            e = self.net(face.contiguous(memory_format=torch.channels_last))
        return F.normalize(e.float(), dim=1)


def face_grid(points: np.ndarray, shape: torch.Size) -> torch.Tensor:
    """Where each pixel of the aligned face lies in its picture, as grid_sample wants it: (N, 112, 112, 2) in [-1, 1]."""
    h, w = shape[2:]
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    face = np.stack([x, y, np.ones_like(x)], -1)
    back = np.stack([cv2.invertAffineTransform(umeyama(p, ARCFACE)) for p in points])
    pixel = np.einsum("hwk,nck->nhwc", face, back)
    return torch.from_numpy((2 * pixel + 1) / np.array([w, h]) - 1).float()


@torch.no_grad()
def report(vae: AutoencoderKL, x: torch.Tensor) -> str:
    """L1 and PSNR of fixed pictures in [-1, 1]."""
    vae.eval()
    y = vae.decode(vae.encode(x).latent_dist.mean).sample
    noise = ((y - x) ** 2).mean((1, 2, 3))
    return f"L1 {(y - x).abs().mean():.4f} PSNR {(10 * torch.log10(4 / noise)).mean():.2f}"


def train(a: argparse.Namespace) -> None:
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    pictures = data.Pictures(a.data, a.parts)
    fixed = torch.from_numpy(np.asarray(pictures.rgb[0][:64:8])).permute(0, 3, 1, 2).float().to(DEVICE) / 127.5 - 1
    vae = speed_up(load(a.resume) if a.resume else build())
    likeness = Likeness(a.judge) if a.judge else None
    learning = [*vae.post_quant_conv.parameters(), *vae.decoder.parameters()] if a.decoder else list(vae.parameters())
    vae.requires_grad_(False)
    for p in learning:
        p.requires_grad_(True)
    opts = optimisers(vae)
    begin, step, saved, mean = time.time(), 0, 0.0, None
    while (part := (time.time() - begin) / 60 / a.minutes) < 1:
        rate = a.lr * (min(1, part / 0.02 + 0.02) * (0.5 + 0.5 * math.cos(math.pi * part)) + 0.005)
        for opt, k in zip(opts, (2, 1)):
            opt.param_groups[0]["lr"] = k * rate
        x, weight, points = batch(pictures, rng)
        vae.train()
        loss, seen = step_loss(vae, likeness, x, weight, points)
        vae.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        for opt in opts:
            opt.step()
        step, mean = step + 1, seen if mean is None else 0.98 * mean + 0.02 * seen
        if step % 100 == 0:
            print(step, f"loss {mean:.4f} {step / (time.time() - begin):.2f} steps/s", flush=True)
        if part - saved > 0.1:
            saved = part
            print(report(vae, fixed), flush=True)
            vae.save_pretrained(a.out)
    print(step, report(vae, fixed), flush=True)
    vae.save_pretrained(a.out)


def optimisers(vae: AutoencoderKL) -> list[torch.optim.Optimizer]:
    """Muon for matrices and convolutions between hidden layers, AdamW for the rest."""
    ends = ("conv_in.weight", "conv_out.weight", "quant_conv.weight")
    learning = [(n, p) for n, p in vae.named_parameters() if p.requires_grad]
    big = [p for n, p in learning if p.dim() >= 2 and not n.endswith(ends)]
    small = [p for n, p in learning if p.dim() < 2 or n.endswith(ends)]
    return [Muon(big, 0.0), torch.optim.AdamW(small, lr=0.0, betas=(0.9, 0.97), weight_decay=0)]


def step_loss(vae, likeness, x, weight, points) -> tuple[torch.Tensor, float]:
    """The loss of one batch, and what to print: the difference, or how unlike the faces became."""
    with cast():
        post = vae.encode(x).latent_dist
    mean, logvar = post.mean.float(), post.logvar.float()
    z = mean + torch.exp(0.5 * logvar.clamp(-12, 2)) * torch.randn_like(mean)
    if likeness:  # generated latents are less exact than encoded ones
        z = z + 0.1 * torch.rand(len(z), 1, 1, 1, device=z.device) * torch.randn_like(z)
    with cast():
        y = vae.decode(z).sample
    kl = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).mean()  # constant where the encoder stays
    lost = difference(y.float(), x, weight) + 2e-4 * kl
    if likeness:
        unlike = likeness(y.float(), x, points)
        return lost + 0.3 * unlike, unlike.item()
    return lost, lost.item()


if __name__ == "__main__":
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("data", type=Path)
    a.add_argument("out", type=Path)
    a.add_argument("--minutes", type=float, default=60)
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--parts", type=int, default=10)
    a.add_argument("--lr", type=float, default=1e-3)
    a.add_argument("--resume", type=Path, help="a saved VAE to go on from")
    a.add_argument("--judge", type=Path, metavar="PACK", help="faces must stay themselves to this pack's embedder")
    a.add_argument("--decoder", action="store_true", help="train only the decoder")
    train(a.parse_args())
