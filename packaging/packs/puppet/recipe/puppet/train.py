"""Trains the generator on what prepare.py wrote.

    python -m puppet.train PREPARED OUT [--minutes 90] [--pack PACK] [--resume]

Half of the samples see the text alone, half also the identity tokens of *another* picture of the same puppet. Timesteps are
drawn mostly in the middle. The learning rate follows the clock: it rises, stays, and falls in the last `--decay` of the time;
`--decay 0` keeps it, for runs that go on. OUT gets last.pt and the running average ema.pt, every eight minutes.
"""
from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .device import DEVICE, cast, speed_up
from .generator import Model, alphas
from .muon import Muon, Team

KINDS = ("sq", "wd")
NO_TEXT, WITH_IDENTITY, UNIFORM = 0.1, 0.55, 0.15  # shares of the samples
SAVE_MINUTES = 8
LARGEST = 16_000_000  # parameters that fit into the memory which ranks share


class Data:
    """All prepared parts in memory."""

    def __init__(self, folder: Path):
        files = [np.load(f) for f in sorted(folder.glob("latents*.npz"))]
        if not files:
            raise SystemExit(f"train: {folder} has no latents; run prepare.py first")

        def column(name: str) -> np.ndarray:
            return np.concatenate([f[name] for f in files])

        self.z = {k: torch.from_numpy(column(k)).to(DEVICE) for k in KINDS}
        self.tokens = {k: torch.from_numpy(column(k + "_tok").astype(np.int64)).to(DEVICE) for k in KINDS}
        self.ids = {k: column(k + "_id") for k in KINDS}
        self.embeddings = torch.from_numpy(column("emb")).to(DEVICE)
        owner = column("emb_id")
        order = np.argsort(owner, kind="stable")
        ids, first, count = np.unique(owner[order], return_index=True, return_counts=True)
        self.rows = {i: order[f : f + c] for i, f, c in zip(ids, first, count)}
        self.order: dict[str, list[int]] = {k: [] for k in KINDS}

    @property
    def length(self) -> int:
        return self.tokens["sq"].shape[1]

    @property
    def empty(self) -> torch.Tensor:
        """The caption without words (1, L): its end fills up every caption, its start stands before it."""
        last = int(max(t.max() for t in self.tokens.values()))
        ids = torch.full((1, self.length), last, device=DEVICE)
        ids[0, 0] = last - 1
        return ids

    def batch(self, rng: np.random.Generator, kind: str, n: int):
        """Latents, token ids, and for each the embedding of some picture of the same puppet. Every latent once an epoch."""
        if len(self.order[kind]) < n:
            self.order[kind] = list(rng.permutation(len(self.z[kind])))
        pick = np.array([self.order[kind].pop() for _ in range(n)])
        who = np.array([rng.choice(self.rows[i]) for i in self.ids[kind][pick]])
        rows = torch.as_tensor(pick, device=DEVICE)
        return self.z[kind][rows].float(), self.tokens[kind][rows], self.embeddings[torch.as_tensor(who, device=DEVICE)].float()


def rate(part: float, warm: float, decay: float) -> float:
    """The learning rate's factor after `part` of the time: a trapezoid."""
    rise = min(1, part / warm + 0.02)
    return rise * (min(1, (1 - part) / decay + 0.01) if decay else 1)


def optimisers(model: Model, a: argparse.Namespace, team: Team) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for hidden matrices, AdamW at half the rate for the rest; each with its share of the rate."""
    big, small = [], []
    for name, p in model.named_parameters():
        end = "embedding" in name or name.endswith(("conv_in.weight", "conv_out.weight"))
        hidden = p.dim() >= 2 and not end and min(p.shape[0], p[0].numel()) >= 32
        (big if hidden else small).append(p)
    return [(Muon(big, a.lr, team=team), 1.0), (torch.optim.AdamW(small, lr=a.lr, betas=(0.9, 0.99), weight_decay=0), 0.5)]


def loss_of(model: Model, signal: torch.Tensor, x, ids, emb, empty) -> torch.Tensor:
    """The error of v at random timesteps."""
    n = len(x)
    t = (torch.sigmoid(torch.randn(n)) * 1000).long().clamp(0, 999)
    t = torch.where(torch.rand(n) < UNIFORM, torch.randint(0, 1000, (n,)), t).to(DEVICE)
    kept, noise = signal[t].view(-1, 1, 1, 1), torch.randn_like(x)
    z, v = kept.sqrt() * x + (1 - kept).sqrt() * noise, kept.sqrt() * noise - (1 - kept).sqrt() * x
    ids = torch.where(torch.rand(n, 1, device=DEVICE) < NO_TEXT, empty, ids)
    on = (torch.rand(n, device=DEVICE) < WITH_IDENTITY).float()
    with cast():
        p = model(z.contiguous(memory_format=torch.channels_last), t, ids, emb, on)
    return F.mse_loss(p.float(), v)


def start(a: argparse.Namespace, data: Data) -> tuple[Model, Model]:
    """The model and its running average: resumed, from a pack, or new."""
    model = speed_up(Model(int(data.empty[0, -1]) + 1, data.length)).train()
    kept = next((f for f in (a.out / "last.pt", a.out / "ema.pt") if f.exists()), None)
    if a.resume and kept:
        model.load_state_dict(torch.load(kept, map_location=DEVICE))
    elif a.pack:
        model.load_pack(a.pack)
    average = copy.deepcopy(model).eval().requires_grad_(False)
    if a.resume and (a.out / "ema.pt").exists():
        average.load_state_dict(torch.load(a.out / "ema.pt", map_location=DEVICE))
    return model, average


def run(rank: int, a: argparse.Namespace, flat, barrier, clock: torch.Tensor) -> None:
    """One rank of the training; rank 0 keeps the clock, the average and the files."""
    if a.ranks > 1:
        torch.set_num_threads(1)
    team, chief = Team(rank, a.ranks, flat, barrier), rank == 0
    torch.manual_seed(a.seed)
    rng = np.random.default_rng(a.seed + 1000 * rank)
    data = Data(a.prepared)
    empty, signal = data.empty, alphas()
    model, average = start(a, data)
    torch.manual_seed(a.seed + 1 + rank)
    everything, opts = list(model.parameters()), optimisers(model, a, team)
    begin, step, mean, saved = time.time(), 0, None, 0.0
    while True:
        if chief:
            clock[0] = (time.time() - begin) / 60 / a.minutes
        team.meet()
        part = float(clock[0])
        team.meet()
        if part >= 1:
            break
        for opt, share in opts:
            opt.param_groups[0]["lr"] = a.lr * share * rate(part, a.warm, a.decay)
        loss = loss_of(model, signal, *data.batch(rng, KINDS[step % 2], a.batch), empty)
        loss.backward()
        team.average(everything)
        torch.nn.utils.clip_grad_norm_(everything, 1.0)
        for opt, _ in opts:
            opt.step()
        model.zero_grad(set_to_none=True)
        step += 1
        if not chief:
            continue
        follow(average, model, min(0.9995 if part > 0.1 else 0.998, (step + 1) / (step + 10)))
        mean = loss.item() if mean is None else 0.99 * mean + 0.01 * loss.item()
        minutes = (time.time() - begin) / 60
        if step % 50 == 0:
            seen = step * a.batch * a.ranks
            print(step, f"{seen / 1000:.0f}k loss {mean:.4f} {seen / minutes / 60:.0f} samples/s {minutes:.1f} min", flush=True)
        if minutes - saved > SAVE_MINUTES:
            saved = minutes
            save(model, average, a.out)
    if chief:
        save(model, average, a.out)
        print("done", step, f"{mean:.4f}", flush=True)


@torch.no_grad()
def follow(average: Model, model: Model, keep: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in model.parameters()], 1 - keep)


def save(model: Model, average: Model, out: Path) -> None:
    for name, m in (("ema", average), ("last", model)):
        torch.save(m.state_dict(), out / f"{name}.new")
        (out / f"{name}.new").replace(out / f"{name}.pt")


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("prepared", type=Path)
    a.add_argument("out", type=Path)
    a.add_argument("--minutes", type=float, default=90)
    a.add_argument("--resume", action="store_true", help="go on from last.pt and ema.pt in OUT")
    a.add_argument("--pack", type=Path, help="start from an exported pack where there is nothing to resume")
    a.add_argument("--batch", type=int, default=64, help="samples a rank and step")
    a.add_argument("--lr", type=float, default=2e-3)
    a.add_argument("--ranks", type=int, default=2 if DEVICE == "cpu" else 1, help="processes; on a CPU two beat two threads")
    a.add_argument("--warm", type=float, default=0.02)
    a.add_argument("--decay", type=float, default=0.35)
    a.add_argument("--seed", type=int, default=0)
    a = a.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    clock = torch.zeros(1, dtype=torch.float64).share_memory_()
    if a.ranks == 1:
        run(0, a, None, None, clock)
        return
    import torch.multiprocessing as mp

    shared = torch.zeros(a.ranks, LARGEST).share_memory_()
    mp.spawn(run, (a, shared, mp.get_context("spawn").Barrier(a.ranks), clock), nprocs=a.ranks)


if __name__ == "__main__":
    main()
