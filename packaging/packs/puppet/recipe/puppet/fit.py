"""The training loop that detector and classifier share: Muon, and a rate that follows the clock, so any budget anneals."""
from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import torch
from torch import nn

from .initialisers import resume
from .muon import Muon


def arguments(doc: str, minutes: float, parts: int, lr: float) -> argparse.Namespace:
    """The command line, with a network's own defaults."""
    a = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "held", "out"):
        a.add_argument(name, type=Path)
    a.add_argument("--minutes", type=float, default=minutes)
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--parts", type=int, default=parts)
    a.add_argument("--lr", type=float, default=lr)
    a.add_argument("--resume", type=Path, help="an .onnx or .pt file to go on from")
    return a.parse_args()


def prepare(a: argparse.Namespace) -> None:
    """One thread, or as many as asked for, and a fixed seed."""
    torch.set_num_threads(a.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(0)


def fit(
    net: nn.Module, a: argparse.Namespace, loss_of_batch: Callable[[nn.Module], torch.Tensor], report: Callable[[bool], dict],
    export: Callable[[nn.Module, Path], None], batch: int, weight_decay: float, clip: float = math.inf,
) -> None:
    """Trains `net` for `a.minutes`; every fifth of them prints `report(False)`, at last `report(True)`, and writes `a.out` and,
    to go on from, the same name with .pt."""
    norms = resume(net, a.resume)
    net = net.to(memory_format=torch.channels_last).train(norms)
    opts = optimisers(net, a.lr, weight_decay)
    begin, step, shown = time.time(), 0, 0.0
    while (part := (time.time() - begin) / 60 / a.minutes) < 1:
        for opt, share in opts:
            opt.param_groups[0]["lr"] = a.lr * share * min(1, part / 0.05 + 0.02, (1 - part) / 0.6 + 0.01)
        loss = loss_of_batch(net)
        net.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), clip)
        for opt, _ in opts:
            opt.step()
        step += 1
        if step % 100 == 0:
            print(step, f"loss {loss.item():.3f} {step * batch / (time.time() - begin):.0f} samples/s", flush=True)
        if part - shown > 0.2:
            shown = part
            print(report(False), flush=True)
            save(net, a.out, export)
            net.train(norms)
    print(step, report(True), flush=True)
    save(net, a.out, export)


def optimisers(net: nn.Module, lr: float, weight_decay: float) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the convolutions, AdamW at half the rate for the rest; each with its share of the rate."""
    hidden = [p for p in net.parameters() if p.dim() == 4 and min(p.shape[0], p[0].numel()) >= 16]
    known = set(map(id, hidden))
    rest = [p for p in net.parameters() if id(p) not in known]
    return [(Muon(hidden, lr, weight_decay=weight_decay), 1.0), (torch.optim.AdamW(rest, lr=lr, weight_decay=weight_decay), 0.5)]


def save(net: nn.Module, out: Path, export: Callable[[nn.Module, Path], None]) -> None:
    torch.save(net.state_dict(), out.with_suffix(".pt"))
    export(net, out)
