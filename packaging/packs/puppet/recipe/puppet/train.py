"""Trains the generator on what prepare.py wrote.

    python -m puppet.train PREPARED OUT [--minutes 90] [--pack PACK] [--judge PACK] [--resume]

Half of the samples see the text alone, half also the identity tokens of *other* pictures of the same puppet. In pictures of
several people each has a caption, tokens and a strip of its own. Timesteps are drawn mostly in the middle, and a third of them from
the noisiest, where the layout is decided (how many heads, and where). With --judge some of what the generator expects the clean
picture to be is decoded, and its face must be the right one to the pack's embedder (as in PortraitBooth, Peng et al. 2023,
arXiv:2312.06354). The learning rate follows the clock: it rises, stays, and falls in the last `--decay` of the time; `--decay 0`
keeps it, for runs that go on. OUT gets last.pt and the running average ema.pt, and with --judge sheet.png, every eight minutes and
when the run is interrupted or terminated.
"""
from __future__ import annotations

import argparse
import copy
import signal as signals
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from . import vae as autoencoder
from .data import KINDS
from .device import DEVICE, cast, speed_up
from .generator import Model, alphas, generate
from .muon import Muon, Team

NO_TEXT, WITH_IDENTITY, UNIFORM = 0.1, 0.55, 0.15  # shares of the samples
LAYOUT, NOISIER = 0.35, 2.0  # the share drawn for the layout, and how much noisier their logits are
SAVE_MINUTES = 8
STOP = 1e9  # the clock's time when somebody ended the run
LARGEST = 16_000_000  # parameters that fit into the memory which ranks share
ALONE, COMPANY = ["sq", "wd"], ["co2", "co3", "co2", "co0", "co2", "co4", "co2", "co3"]
FACE_WEIGHT = 4.0  # how much more a cell of a face counts than one of the rest
JUDGED, JUDGED_UNTIL, JUDGE_WEIGHT = 12, 600, 0.15  # pictures a batch, the noisiest timestep, and the share of the loss


@dataclass
class Batch:
    """N pictures with K people each (one row for nobody): latents (N, 12, h, w), token ids (N * K, L), embeddings (N * K, 512),
    the right ends of their strips (N, K), how much each cell counts (N, 1, h, w) with mean 1, their landmarks (N, K, 5, 2) and the
    centroids of their embeddings (N, K, 512)."""

    z: torch.Tensor
    ids: torch.Tensor
    embeddings: torch.Tensor
    edges: torch.Tensor
    weights: torch.Tensor
    points: np.ndarray
    centroids: torch.Tensor
    people: int


class Data:
    """All prepared parts in memory. Pictures of company are sorted by how many people they show."""

    def __init__(self, folder: Path):
        files = [np.load(f) for f in sorted(folder.glob("latents*.npz"))]
        if not files:
            raise SystemExit(f"train: {folder} has no latents; run prepare.py first")
        self.parts: dict[str, dict[str, np.ndarray]] = {}
        for kind, most in KINDS.items():
            columns = {name: np.concatenate([f[kind + name] for f in files]) for name in ("", "_ids", "_tok", "_edges", "_box", "_pts")}
            count = (columns["_ids"] >= 0).sum(1)
            for k in np.unique(count):
                self.parts[kind if most == 1 else f"{kind}{k}"] = {name: column[count == k] for name, column in columns.items()}
        self.embeddings = np.concatenate([f["emb"] for f in files]).astype(np.float32)
        owner = np.concatenate([f["emb_id"] for f in files])
        order = np.argsort(owner, kind="stable")
        ids, first, count = np.unique(owner[order], return_index=True, return_counts=True)
        self.rows = {i: order[f : f + c] for i, f, c in zip(ids, first, count)}
        self.centroids = {i: unit(self.embeddings[r].mean(0)) for i, r in self.rows.items()}
        self.order: dict[str, list[int]] = {kind: [] for kind in self.parts}

    @property
    def length(self) -> int:
        return self.parts["sq"]["_tok"].shape[2]

    @property
    def empty(self) -> torch.Tensor:
        """The caption without words (1, L): its end fills up every caption, its start stands before it."""
        last = int(max(part["_tok"].max() for part in self.parts.values()))
        ids = torch.full((1, self.length), last, device=DEVICE)
        ids[0, 0] = last - 1
        return ids

    def kind(self, step: int, company: int) -> str:
        """What the pictures of a step are: of one person, but in one of `company` steps of nobody or of several."""
        kinds = [k for k in COMPANY if k in self.parts]
        if company and kinds and step % company == company - 1:
            return kinds[step // company % len(kinds)]
        return ALONE[step % 2]

    def batch(self, rng: np.random.Generator, kind: str, n: int) -> Batch:
        """`n` pictures, every one once an epoch."""
        count = len(self.parts[kind][""])
        if len(self.order[kind]) < n:
            self.order[kind] = list(rng.permutation(count))
        return self.rows_of(rng, kind, np.array([self.order[kind].pop() for _ in range(min(n, count))]))

    def rows_of(self, rng: np.random.Generator, kind: str, pick: np.ndarray) -> Batch:
        """These pictures. Embeddings are of one to three other pictures of the same puppet."""
        part = self.parts[kind]
        people = max(1, int((part["_ids"][pick[0]] >= 0).sum()))
        who = part["_ids"][pick][:, :people]
        shown = np.stack([self.embedding(rng, i) for i in who.ravel()])
        goal = np.stack([self.centroids.get(i, np.zeros(512, np.float32)) for i in who.ravel()])
        tokens = part["_tok"][pick][:, 1 : 1 + people] if who[0, 0] >= 0 else part["_tok"][pick][:, :1]
        z = torch.from_numpy(part[""][pick]).to(DEVICE).float()
        ids = torch.from_numpy(tokens.reshape(-1, self.length).astype(np.int64)).to(DEVICE)
        edges = torch.from_numpy(part["_edges"][pick][:, :people]).to(DEVICE)
        centroids = torch.from_numpy(goal).view(len(pick), people, 512).to(DEVICE)
        weights = face_weights(part["_box"][pick], part["_ids"][pick] >= 0, z.shape[2:]).to(DEVICE)
        return Batch(z, ids, torch.from_numpy(shown).to(DEVICE), edges, weights, part["_pts"][pick][:, :people], centroids, people)

    def embedding(self, rng: np.random.Generator, who: int) -> np.ndarray:
        if who < 0:
            return np.zeros(512, np.float32)
        return unit(self.embeddings[rng.choice(self.rows[who], rng.integers(1, 4))].mean(0))


def face_weights(boxes: np.ndarray, real: np.ndarray, shape: torch.Size) -> torch.Tensor:
    """How much each latent cell counts (N, 1, h, w), for boxes (N, P, 4) in pixels: faces more than the rest, 1 on the whole."""
    h, w = shape
    y, x = np.mgrid[:h, :w] * 8 + 4
    inside = np.zeros((len(boxes), h, w), bool)
    for person in range(boxes.shape[1]):
        x0, y0, x1, y1 = (boxes[:, person, i, None, None] for i in range(4))
        inside |= (x >= x0 - 4) & (x <= x1 + 4) & (y >= y0 - 4) & (y <= y1 + 4) & real[:, person, None, None]
    weight = np.where(inside, FACE_WEIGHT, 1.0)
    return torch.from_numpy(weight / weight.mean((1, 2), keepdims=True)).float()[:, None]


def unit(e: np.ndarray) -> np.ndarray:
    """`e` with length one."""
    return e / np.linalg.norm(e)


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


class Judge:
    """How little the faces in expected pictures are those that the identity tokens ask for: 1 - cosine."""

    def __init__(self, pack: Path):
        self.vae = speed_up(autoencoder.load(pack / "vae")).eval().requires_grad_(False)
        self.likeness = autoencoder.Likeness(pack)

    def __call__(self, z: torch.Tensor, points: np.ndarray, centroids: torch.Tensor) -> torch.Tensor:
        """Per picture, for latents (N, 12, h, w), landmarks (N, 5, 2) and centroids (N, 512)."""
        with cast():
            y = self.vae.decode(z.contiguous(memory_format=torch.channels_last)).sample
        return 1 - (self.likeness.embed(y.float(), points) * centroids).sum(1)


def loss_of(model: Model, signal: torch.Tensor, b: Batch, empty: torch.Tensor, judge: Judge | None) -> tuple[torch.Tensor, float]:
    """The error of v at random timesteps, with the judge's verdict on some; and that verdict alone (0 without one)."""
    n, x = len(b.z), b.z
    t = (torch.sigmoid(torch.randn(n) + NOISIER * (torch.rand(n) < LAYOUT)) * 1000).long().clamp(0, 999)
    t = torch.where(torch.rand(n) < UNIFORM, torch.randint(0, 1000, (n,)), t).to(DEVICE)
    kept, noise = signal[t].view(-1, 1, 1, 1), torch.randn_like(x)
    z, v = kept.sqrt() * x + (1 - kept).sqrt() * noise, kept.sqrt() * noise - (1 - kept).sqrt() * x
    silent = (torch.rand(n, 1, device=DEVICE) < NO_TEXT).repeat_interleave(b.people, 0)
    known = torch.rand(n, device=DEVICE) < WITH_IDENTITY
    on = known.float().repeat_interleave(b.people) * (b.embeddings.abs().sum(1) > 0)
    edges = b.edges if b.people > 1 else None
    with cast():
        p = model(z.contiguous(memory_format=torch.channels_last), t, torch.where(silent, empty, b.ids), b.embeddings, on, edges)
    loss = ((p.float() - v) ** 2 * b.weights).mean()
    some = torch.nonzero(known & (t < JUDGED_UNTIL))[:JUDGED, 0]
    if judge is None or not len(some) or not on.any():
        return loss, 0.0
    expected = (kept.sqrt() * z - (1 - kept).sqrt() * p.float())[some]
    person = np.random.randint(b.people)
    unlike = judge(expected, b.points[some.cpu().numpy(), person], b.centroids[some, person])
    unlike = (unlike * signal[t[some]]).sum() / signal[t[some]].sum()
    return loss + JUDGE_WEIGHT * unlike, unlike.item()


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
    for wanted in (signals.SIGINT, signals.SIGTERM):  # main() tells when to stop
        signals.signal(wanted, signals.SIG_IGN if a.ranks > 1 else lambda *_: clock.fill_(STOP))
    if a.ranks > 1:
        torch.set_num_threads(1)
    team, chief = Team(rank, a.ranks, flat, barrier), rank == 0
    torch.manual_seed(a.seed)
    rng = np.random.default_rng(a.seed + 1000 * rank)
    data = Data(a.prepared)
    empty, signal = data.empty, alphas()
    model, average = start(a, data)
    torch.manual_seed(a.seed + 1 + rank)
    np.random.seed(a.seed + rank)
    judge = Judge(a.judge) if a.judge else None
    everything, opts = list(model.parameters()), optimisers(model, a, team)
    begin, step, mean, unlike, saved = time.time(), 0, None, 1.0, 0.0
    while True:
        if chief and clock[0] < STOP:
            clock[0] = (time.time() - begin) / 60 / a.minutes
        team.meet()
        part = float(clock[0])
        team.meet()
        if part >= 1:
            break
        for opt, share in opts:
            opt.param_groups[0]["lr"] = a.lr * share * rate(part, a.warm, a.decay)
        loss, verdict = loss_of(model, signal, data.batch(rng, data.kind(step, a.company), a.batch), empty, judge)
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
        alone = loss.item() - JUDGE_WEIGHT * verdict
        mean = alone if mean is None else 0.99 * mean + 0.01 * alone
        unlike = 0.98 * unlike + 0.02 * verdict if verdict else unlike
        minutes = (time.time() - begin) / 60
        if step % 50 == 0:
            seen = step * a.batch * a.ranks
            print(step, f"{seen / 1000:.0f}k loss {mean:.4f} unlike {unlike:.3f} {seen / minutes / 60:.0f} samples/s {minutes:.1f} min", flush=True)
        if minutes - saved > SAVE_MINUTES:
            saved = minutes
            save(model, average, a.out)
            sheet(average, judge, data, empty, a.out)
    if chief:
        save(model, average, a.out)
        sheet(average, judge, data, empty, a.out)
        print("done", step, f"{mean:.4f}", flush=True)


@torch.no_grad()
def follow(average: Model, model: Model, keep: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in model.parameters()], 1 - keep)


def save(model: Model, average: Model, out: Path) -> None:
    for name, m in (("ema", average), ("last", model)):
        torch.save(m.state_dict(), out / f"{name}.new")
        (out / f"{name}.new").replace(out / f"{name}.pt")


def sheet(average: Model, judge: Judge | None, data: Data, empty: torch.Tensor, out: Path) -> None:
    """Pairs of a training picture and what is drawn from its caption and an embedding of its puppet, the same ones every time."""
    if judge is None:
        return
    rows = []
    for kind in ("sq", "wd", "co2"):
        if kind not in data.parts or len(data.parts[kind][""]) < 6:
            continue
        b = data.rows_of(np.random.default_rng(0), kind, np.arange(6))
        edges = b.edges if b.people > 1 else None
        with torch.no_grad(), cast():
            true = judge.vae.decode(b.z.contiguous(memory_format=torch.channels_last)).sample.float().clamp(-1, 1)
        made = generate(average, judge.vae, b.ids, b.embeddings, empty, 1, b.z.shape[2:], 16, 2.5, 1.0, edges=edges)
        pairs = torch.stack([true, made], 1).flatten(0, 1)
        rows.append(((pairs + 1) * 127.5).round().byte().permute(2, 0, 3, 1).flatten(1, 2).cpu().numpy())
    width = max(row.shape[1] for row in rows)
    whole = np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])
    Image.fromarray(whole).save(out / "sheet.png")


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("prepared", type=Path)
    a.add_argument("out", type=Path)
    a.add_argument("--minutes", type=float, default=90)
    a.add_argument("--resume", action="store_true", help="go on from last.pt and ema.pt in OUT")
    a.add_argument("--pack", type=Path, help="start from an exported pack where there is nothing to resume")
    a.add_argument("--judge", type=Path, help="the pack whose VAE and embedder judge the faces")
    a.add_argument("--company", type=int, default=8, help="one in so many steps shows nobody or several people; 0 for none")
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

    for wanted in (signals.SIGINT, signals.SIGTERM):
        signals.signal(wanted, lambda *_: clock.fill_(STOP))
    shared = torch.zeros(a.ranks, LARGEST).share_memory_()
    mp.spawn(run, (a, shared, mp.get_context("spawn").Barrier(a.ranks), clock), nprocs=a.ranks)


if __name__ == "__main__":
    main()
