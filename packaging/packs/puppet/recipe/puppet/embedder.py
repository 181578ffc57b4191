"""The identity embedder: aligned face -> 512 numbers, trained with ArcFace (Deng et al. 2019, arXiv:1801.07698).

    python -m puppet.embedder DATA HELD OUT.onnx [--minutes 35] [--resume PACK/embedder.onnx]

The learning rate follows the clock, so any budget anneals. Whoever trains it anew must train the generator anew: its
identity tokens are made from these embeddings.
"""
from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from . import data
from .initialisers import restore, resume

SCALE, MARGIN = 32, 0.35
GREY, TWINS = 0.45, 0.5  # shares of a batch: without colour, and of puppets that have a look-alike


class Block(nn.Module):
    """Two convolutions around a shortcut."""

    def __init__(self, i: int, o: int, stride: int):
        super().__init__()
        self.c1, self.b1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.c2, self.b2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        same = stride == 1 and i == o
        self.skip = nn.Identity() if same else nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(self, x):
        return F.relu(self.b2(self.c2(F.relu(self.b1(self.c1(x))))) + self.skip(x))


class Embedder(nn.Module):
    """Input (N, 3, 112, 112), RGB, (value - 127.5) / 127.5; output (N, 512), not normalised."""

    def __init__(self, widths=(32, 64, 128, 192), depths=(1, 1, 2, 1)):
        super().__init__()
        layers = [nn.Conv2d(3, widths[0], 3, 2, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        i = widths[0]
        for n, (width, depth) in enumerate(zip(widths, depths)):
            for k in range(depth):
                layers.append(Block(i, width, 2 if k == 0 and n > 0 else 1))
                i = width
        self.body = nn.Sequential(*layers)
        self.gdc = nn.Conv2d(i, i, 7, groups=i, bias=False)
        self.out = nn.Sequential(nn.BatchNorm1d(i), nn.Linear(i, 512, bias=False), nn.BatchNorm1d(512))

    def forward(self, x):
        return self.out(self.gdc(self.body(x)).flatten(1).float())


def load(pack: Path) -> Embedder:
    """The pack's embedder, ready to embed or to train on."""
    net = Embedder()
    restore(net, pack / "embedder.onnx")
    return net.eval()


@torch.no_grad()
def embed(net: Embedder, crops: np.ndarray, batch: int = 250, fast: bool = False, unit: bool = True) -> torch.Tensor:
    """Embeddings (N, 512), of length one where `unit`, of crops uint8 (N, 112, 112, 3); `fast` in bfloat16."""
    net.eval()
    out = []
    with torch.autocast("cpu", torch.bfloat16, enabled=fast):
        for i in range(0, len(crops), batch):
            x = (torch.from_numpy(crops[i : i + batch]).permute(0, 3, 1, 2).float() - 127.5) / 127.5
            out.append(net(x).float())
    return F.normalize(torch.cat(out), dim=1) if unit else torch.cat(out)


def export(net: Embedder, file: Path) -> None:
    """Writes the ONNX file that the farm loads."""
    names = dict(input_names=["input.1"], output_names=["embedding"], dynamic_axes={"input.1": {0: "n"}, "embedding": {0: "n"}})
    torch.onnx.export(net.eval(), torch.zeros(1, 3, 112, 112), str(file), opset_version=17, dynamo=False, **names)


def centres(net: Embedder, crops: data.Crops, ids: np.ndarray, each: int = 4) -> torch.Tensor:
    """Where every class lies before training goes on: the unit mean of its first embeddings (classes, 512)."""
    order = np.argsort(ids, kind="stable")
    first = np.searchsorted(ids[order], np.arange(ids.max() + 1))
    means = [embed(net, crops[order[first + k]], fast=True) for k in range(each)]
    return F.normalize(torch.stack(means).mean(0), dim=1)


def held_out(crops: data.Crops) -> tuple[np.ndarray, np.ndarray]:
    """Faces and identity numbers, at most twelve of each puppet and of each look-alike."""
    order = np.argsort(crops.ids, kind="stable")
    _, first, count = np.unique(crops.ids[order], return_index=True, return_counts=True)
    rows = np.sort(np.concatenate([order[f : f + min(c, 12)] for f, c in zip(first, count)]))
    return crops[rows], crops.ids[rows]


def augment(x: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """x (N, 3, 112, 112) in [0, 1]: light, grey, small turns and shifts, blur, noise. Never a flip: marks have sides."""
    n = len(x)

    def u(*shape):
        return torch.rand(*shape, generator=g)

    x = x * (1 + 0.2 * (u(n, 1, 1, 1) - 0.5)) * (1 + 0.4 * (u(n, 3, 1, 1) - 0.5))
    grey = (u(n, 1, 1, 1) < GREY).float()
    x = x * (1 - grey) + x.mean(1, keepdim=True) * grey
    angle, k, shift = (u(n) - 0.5) * 0.14, 1 + (u(n) - 0.5) * 0.10, (u(n, 2) - 0.5) * 0.08
    top = torch.stack([k * angle.cos(), -k * angle.sin(), shift[:, 0]], 1)
    low = torch.stack([k * angle.sin(), k * angle.cos(), shift[:, 1]], 1)
    grid = F.affine_grid(torch.stack([top, low], 1), x.shape, align_corners=False)
    x = F.grid_sample(x, grid, align_corners=False, padding_mode="border")
    if u(1) < 0.5:
        small, half = int(torch.randint(36, 90, (1,), generator=g)), n // 2
        blurred = F.interpolate(x[:half], (small, small), mode="bilinear", antialias=True)
        x = torch.cat([F.interpolate(blurred, (112, 112), mode="bilinear"), x[half:]])
    return (x + 0.02 * torch.randn(x.shape, generator=g)).clamp(0, 1)


def report(net: Embedder, crops: np.ndarray, ids: np.ndarray) -> dict[str, float]:
    """Cosines of single pictures on identities never seen: right, wrong, and how many right ones pass at each FAR."""
    e, who = embed(net, crops, fast=True), torch.from_numpy(ids)
    cosine, twin = e @ e.T, who % data.ALIKE
    same = (who[:, None] == who[None]) & ~torch.eye(len(who), dtype=torch.bool)
    alike = cosine[(twin[:, None] == twin[None]) & (who[:, None] != who[None])]
    right, wrong = cosine[same], cosine[twin[:, None] != twin[None]]
    figures = {"same": right.mean().item(), "other": wrong.mean().item(), "look-alike": alike.mean().item()}
    for far in (0.01, 0.001):
        t = float(np.quantile(wrong[::7].numpy(), 1 - far))
        figures |= {f"tar at far {far}": (right > t).float().mean().item(), f"cosine at far {far}": t, f"look-alikes at far {far}": (alike > t).float().mean().item()}
    return {k: round(v, 4) for k, v in figures.items()}


def train(a: argparse.Namespace) -> None:
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    g, rng = torch.Generator().manual_seed(1), np.random.default_rng(2)
    crops = data.Crops(a.data)
    classes, ids = np.unique(crops.ids, return_inverse=True)
    own = crops.ids % data.ALIKE
    twins = np.flatnonzero(np.isin(own, own[crops.ids >= data.ALIKE]))
    held = held_out(data.Crops(a.held))
    net = Embedder()
    centre = nn.Parameter(torch.randn(len(classes), 512) * 0.02)
    norms = resume(net, a.resume)
    if a.resume:
        centre.data = centres(net, crops, ids)
    net = net.to(memory_format=torch.channels_last)
    opt = torch.optim.AdamW([*net.parameters(), centre], lr=3e-3, weight_decay=5e-4)
    begin, step, shown = time.time(), 0, 0.0
    while (part := (time.time() - begin) / 60 / a.minutes) < 1:
        for group in opt.param_groups:
            group["lr"] = (1e-3 if a.resume else 3e-3) * min(1, part / 0.06 + 0.02) * (0.5 + 0.5 * math.cos(math.pi * part))
        pick = batch(rng, len(ids), twins)
        x = augment(torch.from_numpy(crops[pick]).permute(0, 3, 1, 2).float() / 255, g) * 2 - 1
        margin = MARGIN if a.resume else 0.3 * min(1, part / 0.25)
        net.train(norms)
        loss = arcface(net, centre, x, torch.from_numpy(ids[pick]).long(), margin)
        opt.zero_grad()
        loss.backward()
        opt.step()
        step += 1
        if step % 100 == 0:
            print(step, f"{loss.item():.3f} {step * 128 / (time.time() - begin):.0f} crops/s", flush=True)
        if part - shown > 0.2:
            shown = part
            print(report(net, *held), flush=True)
            torch.save(net.state_dict(), a.out.with_suffix(".pt"))
    print(step, report(net, *held), flush=True)
    torch.save(net.state_dict(), a.out.with_suffix(".pt"))
    export(net, a.out)


def batch(rng: np.random.Generator, count: int, twins: np.ndarray, n: int = 128) -> np.ndarray:
    """Which faces to learn from next: any, and for a part only those of puppets that have a look-alike, or are one."""
    few = int(n * TWINS) if len(twins) else 0
    return np.concatenate([rng.integers(count, size=n - few), rng.choice(twins, few)] if few else [rng.integers(count, size=n)])


def arcface(net: Embedder, centre: torch.Tensor, x: torch.Tensor, y: torch.Tensor, margin: float) -> torch.Tensor:
    """Cross-entropy over cosines to the classes' centres, where the right one must win by an angle."""
    with torch.autocast("cpu", torch.bfloat16):
        e = net(x.contiguous(memory_format=torch.channels_last))
    cosine = F.normalize(e.float()) @ F.normalize(centre).T
    hit = torch.cos(torch.acos(cosine.gather(1, y[:, None]).clamp(-0.999, 0.999)) + margin)
    return F.cross_entropy(SCALE * cosine.scatter(1, y[:, None], hit.to(cosine.dtype)), y)


if __name__ == "__main__":
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "held", "out"):
        a.add_argument(name, type=Path)
    a.add_argument("--minutes", type=float, default=35)
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--resume", type=Path, help="an embedder.onnx or .pt to go on from")
    train(a.parse_args())
