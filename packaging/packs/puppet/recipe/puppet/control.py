"""The ControlNet (Zhang et al. 2023, arXiv:2302.05543): where people stand, how large they are and where they look, by depth.

    python -m puppet.control PREPARED OUT --pack PACK [--checkpoint GEN/ema.pt] [--minutes 60] [--resume]

The generator stays as it is; what is trained is a second way down without attention, half the size of the first, which sees
depth pictures (depth.py) and adds to what the first one leaves. OUT gets last.pt, the running average ema.pt, and sheet.png:
depth pictures with what is drawn from them and from captions alone. The data are those of train.py.
"""
from __future__ import annotations

import argparse
import copy
import random
import signal as signals
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel
from PIL import Image

from . import vae as autoencoder
from .depth import depth
from .device import DEVICE, cast, speed_up
from .generator import CHANNELS, CONTEXT, UNET, Model, alphas, generate
from .identity import identity
from .muon import Team
from .picture import SQUARE, WIDE, posed
from .prepare import ONE_IN
from .train import NO_TEXT, SAVE_MINUTES, UNIFORM, WITH_IDENTITY, Data, follow, optimisers, rate, save

NET = dict(
    in_channels=CHANNELS, conditioning_channels=3, down_block_types=("DownBlock2D", "DownBlock2D"), mid_block_type="UNetMidBlock2D",
    only_cross_attention=False, block_out_channels=UNET["block_out_channels"], layers_per_block=1, cross_attention_dim=CONTEXT,
    attention_head_dim=4, norm_num_groups=32, use_linear_projection=True, conditioning_embedding_out_channels=(8, 16, 32, 64),
)
SIZES = {"sq": SQUARE, "wd": WIDE}
PER = 8  # pictures of each kind and identity in a data folder


def empty() -> ControlNetModel:
    """The net without what it learnt."""
    return ControlNetModel(**NET)


def new(unet) -> ControlNetModel:
    """A net that starts as the UNet's way down, as far as their layers are the same, and that changes nothing yet."""
    net = empty()
    same = {k: v for k, v in unet.state_dict().items() if k in net.state_dict() and v.shape == net.state_dict()[k].shape}
    net.load_state_dict(same, strict=False)
    return net


class Guides:
    """Depth pictures of prepared ones, drawn again from their seeds."""

    def __init__(self, data: Data, taken: int = 10):
        self.data, self.taken = data, taken

    def __call__(self, kind: str, rows: np.ndarray) -> torch.Tensor:
        """(N, 3, H, W), 0 to 1."""
        return torch.stack([self.one(kind, int(row)) for row in rows]).to(DEVICE)

    def one(self, kind: str, row: int) -> torch.Tensor:
        drawn = row // self.taken * ONE_IN + row % self.taken
        who, n = drawn // PER, 2 * (drawn % PER) + (kind == "wd")
        if self.data.parts[kind]["_ids"][row, 0] != who:
            raise SystemExit(f"control: picture {row} of {kind} is not of identity {who}: prepare all parts with --per {self.taken}")
        _, seen = posed(random.Random(who * 1009 + n), *SIZES[kind])
        near = depth(*SIZES[kind], [(identity(who), seen)])
        return torch.from_numpy(near)[None].expand(3, -1, -1).float() / 255


class Steered(torch.nn.Module):
    """The generator with a depth picture: what `generate` calls in its place."""

    def __init__(self, model: Model, net: ControlNetModel, picture: torch.Tensor | None):
        super().__init__()
        self.model, self.net, self.picture = model, net, picture

    def forward(self, z, t, ids, emb, on, edges=None):
        """As Model.forward; the picture (N, 3, H, W) is repeated for as many latents as there are."""
        text = self.model.text(ids).last_hidden_state
        tokens = self.model.image(emb) if emb is not None else None
        picture = self.picture.repeat(len(z) // len(self.picture), 1, 1, 1)
        skips, mid = self.net(z, t, text, picture, return_dict=False)
        regions = None if edges is None else (edges, z.shape[3] / z.shape[2])
        seen = (text, tokens, on, regions)
        return self.model.unet(z, t, seen, down_block_additional_residuals=skips, mid_block_additional_residual=mid, return_dict=False)[0]


def loss_of(steered: Steered, signal: torch.Tensor, b, empty: torch.Tensor) -> torch.Tensor:
    """The error of v, mostly at noisy timesteps, where shapes are decided."""
    n, x = len(b.z), b.z
    t = (torch.sigmoid(torch.randn(n) + 0.5) * 1000).long().clamp(0, 999)
    t = torch.where(torch.rand(n) < UNIFORM, torch.randint(0, 1000, (n,)), t).to(DEVICE)
    kept, noise = signal[t].view(-1, 1, 1, 1), torch.randn_like(x)
    z, v = kept.sqrt() * x + (1 - kept).sqrt() * noise, kept.sqrt() * noise - (1 - kept).sqrt() * x
    silent, on = torch.rand(n, 1, device=DEVICE) < 3 * NO_TEXT, (torch.rand(n, device=DEVICE) < WITH_IDENTITY).float()
    with cast():
        p = steered(z.contiguous(memory_format=torch.channels_last), t, torch.where(silent, empty, b.ids), b.embeddings, on)
    return ((p.float() - v) ** 2 * b.weights).mean()


def sheet(model: Model, net: ControlNetModel, vae, data: Data, guides: Guides, out: Path) -> None:
    """Six depth pictures, what is drawn from each, and what is drawn from the same caption and noise without it."""
    rows = np.arange(6) * 40
    b, picture = data.rows_of(np.random.default_rng(0), "wd", rows), guides("wd", rows)
    shape = (b.z.shape[2:], 16, 2.5, 1.0)
    guided = generate(Steered(model, net, picture), vae, b.ids, b.embeddings, data.empty, 1, *shape)
    plain = generate(model, vae, b.ids, b.embeddings, data.empty, 1, *shape)
    tiles = torch.stack([picture.cpu() * 2 - 1, guided.cpu(), plain.cpu()])
    tiles = ((tiles + 1) * 127.5).round().byte().permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1).numpy()
    Image.fromarray(tiles).save(out / "sheet.png")


def main() -> None:
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("prepared", type=Path)
    a.add_argument("out", type=Path)
    a.add_argument("--pack", type=Path, required=True, help="its generator, unless --checkpoint is given, and its VAE for the sheet")
    a.add_argument("--checkpoint", type=Path, help="the generator's weights, of train.py")
    a.add_argument("--minutes", type=float, default=60)
    a.add_argument("--resume", action="store_true", help="go on from last.pt and ema.pt in OUT")
    a.add_argument("--batch", type=int, default=64)
    a.add_argument("--lr", type=float, default=2e-3)
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--seed", type=int, default=0)
    train(a.parse_args())


def train(a: argparse.Namespace) -> None:
    a.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    stopped: list[int] = []
    for wanted in (signals.SIGINT, signals.SIGTERM):
        signals.signal(wanted, lambda number, _: stopped.append(number))
    data = Data(a.prepared)
    guides, signal, empty = Guides(data), alphas(), data.empty
    model = speed_up(Model(int(empty[0, -1]) + 1, data.length)).eval().requires_grad_(False)
    model.load_state_dict(torch.load(a.checkpoint, map_location=DEVICE)) if a.checkpoint else model.load_pack(a.pack)
    vae = speed_up(autoencoder.load(a.pack / "vae")).eval().requires_grad_(False)
    net = speed_up(new(model.unet)).train()
    average = copy.deepcopy(net).eval().requires_grad_(False)
    if a.resume and (a.out / "last.pt").exists():
        net.load_state_dict(torch.load(a.out / "last.pt", map_location=DEVICE))
        average.load_state_dict(torch.load(a.out / "ema.pt", map_location=DEVICE))
    opts = optimisers(net, a, Team())
    rng, begin, step, mean, saved = np.random.default_rng(a.seed), time.time(), 0, None, 0.0
    while (minutes := (time.time() - begin) / 60) < a.minutes and not stopped:
        for opt, share in opts:
            opt.param_groups[0]["lr"] = a.lr * share * rate(minutes / a.minutes, 0.03, 0.5)
        kind = ("sq", "wd")[step % 2]
        rows = rng.integers(len(data.parts[kind][""]), size=a.batch)
        loss = loss_of(Steered(model, net, guides(kind, rows)), signal, data.rows_of(rng, kind, rows), empty)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for opt, _ in opts:
            opt.step()
        net.zero_grad(set_to_none=True)
        step += 1
        follow(average, net, min(0.995, (step + 1) / (step + 10)))
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % 20 == 0:
            print(step, f"{step * a.batch / 1000:.0f}k loss {mean:.4f} {step * a.batch / (time.time() - begin):.0f} samples/s", flush=True)
        if minutes - saved > SAVE_MINUTES:
            saved = minutes
            save(net, average, a.out)
            sheet(model, average, vae, data, guides, a.out)
    save(net, average, a.out)
    sheet(model, average, vae, data, guides, a.out)


if __name__ == "__main__":
    main()
