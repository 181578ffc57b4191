"""Makes a trained embedder tell look-alikes apart, by weighing what it already sees: no layer is added.

    python -m puppet.lookalikes DATA HELD EMBEDDER.pt OUT.onnx [--power 0.45]

Captions and strangers teach an embedder hair, skin and glasses, which look-alikes share. Linear discriminant analysis (Fisher
1936) on pairs of look-alikes finds the directions that separate them: pictures of one puppet are made to vary alike in all
directions, then each direction counts by the `power` of how far look-alikes lie apart in it. Power 0 only whitens; at 1
strangers who differ in colour alone come too close.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from . import data
from .embedder import Embedder, embed, export, held_out, report

PAIRS, EACH = 1500, 5  # pairs of look-alikes, and faces of each
SHRINKAGE = 0.3  # how much of the mean variance is added to the variance within a puppet
NORM = 20.0  # the usual length of an embedding


def pairs(crops: data.Crops, most: int) -> np.ndarray:
    """Rows of faces (pairs, 2, EACH): a puppet and its look-alike."""
    rows = []
    for other in np.unique(crops.ids[crops.ids >= data.ALIKE])[:most]:
        for who in (other - data.ALIKE, other):
            mine = np.flatnonzero(crops.ids == who)
            rows.append(mine[np.linspace(0, len(mine) - 1, EACH).astype(int)])
    return np.array(rows).reshape(-1, 2, EACH)


def weighing(e: np.ndarray, power: float) -> tuple[np.ndarray, np.ndarray]:
    """The map (D, D) and the mean (D,) that embeddings (pairs, 2, EACH, D) should go through."""
    mean = e.mean((0, 1, 2))
    centres = e.mean(2)
    within = np.cov((e - centres[:, :, None]).reshape(-1, e.shape[-1]).T)
    apart = np.cov(((centres[:, 0] - centres[:, 1]) / 2).T)
    space = principal(e.reshape(-1, e.shape[-1]) - mean)
    w = space @ within @ space.T
    value, vector = np.linalg.eigh(w + SHRINKAGE * np.trace(w) / len(w) * np.eye(len(w)))
    whiten = vector @ np.diag(value**-0.5) @ vector.T @ space
    value, vector = np.linalg.eigh(whiten @ apart @ whiten.T)
    chosen = np.diag(np.maximum(value, 0) ** power) @ vector.T @ whiten
    return space.T @ chosen, mean


def principal(e: np.ndarray) -> np.ndarray:
    """The orthonormal directions (rank, D) in which embeddings (N, D) vary at all."""
    _, size, directions = np.linalg.svd(np.cov(e.T))
    return directions[size > 1e-6 * size[0]]


@torch.no_grad()
def apply(net: Embedder, weigh: np.ndarray, mean: np.ndarray) -> None:
    """Folds the map into the last layers."""
    _, linear, norm = net.out
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * gain
    a, m = torch.from_numpy(weigh).float(), torch.from_numpy(mean).float()
    linear.weight.copy_(a @ (gain[:, None] * linear.weight))
    norm.weight.fill_(1)
    norm.bias.copy_(a @ (shift - m))
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "held", "embedder", "out"):
        a.add_argument(name, type=Path)
    a.add_argument("--power", type=float, default=0.45)
    a = a.parse_args()
    torch.set_num_threads(1)
    net = Embedder()
    net.load_state_dict(torch.load(a.embedder, map_location="cpu"))
    crops, held = data.Crops(a.data), held_out(data.Crops(a.held))
    print(report(net, *held), flush=True)
    rows = pairs(crops, PAIRS)
    e = embed(net, crops[rows.ravel()], fast=True, unit=False).numpy().astype(np.float64).reshape(*rows.shape, -1)
    weigh, mean = weighing(e, a.power)
    scale = NORM / np.linalg.norm((e.reshape(-1, e.shape[-1]) - mean) @ weigh.T, axis=1).mean()
    apply(net, weigh * scale, mean)
    print(report(net, *held), flush=True)
    torch.save(net.state_dict(), a.out.with_suffix(".pt"))
    export(net, a.out)


if __name__ == "__main__":
    main()
