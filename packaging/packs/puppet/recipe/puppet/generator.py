"""The generator: text encoder, UNet and IP-Adapter as one model, and how it draws.

One network serves both ways: by the text alone, or also by the identity tokens made from a face embedding (decoupled
cross-attention, Ye et al. 2023, arXiv:2308.06721). It predicts v (Salimans and Ho 2022) on the cosine schedule.
"""
from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from .device import DEVICE, cast
from .tokenizer import LENGTH

CONTEXT = 192
CHANNELS = 12
UNET = dict(
    sample_size=16, in_channels=CHANNELS, out_channels=CHANNELS, block_out_channels=(128, 160), layers_per_block=1,
    cross_attention_dim=CONTEXT, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(4, 4), norm_num_groups=32, use_linear_projection=True,
)
SCHEDULE = dict(
    num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction", clip_sample=False,
    set_alpha_to_one=True, timestep_spacing="trailing", steps_offset=1,
)
TOKENS = 4
EMBEDDING_SCALE = 512**0.5 * 0.5  # brings a unit embedding to numbers around one half; export.py folds it into the weights


def attend(q, k, v, heads: int):
    """Multi-head attention (N, L, C). On a CPU plain products: torch's fused kernel is many times slower in the backward."""
    n, length, c = q.shape
    d = c // heads
    if q.is_cuda:
        parts = (x.view(n, -1, heads, d).transpose(1, 2) for x in (q, k, v))
        return F.scaled_dot_product_attention(*parts).transpose(1, 2).reshape(n, length, c)

    def split(x):
        return x.reshape(n, -1, heads, d).transpose(1, 2).reshape(n * heads, -1, d)

    weights = torch.bmm(split(q) * d**-0.5, split(k).transpose(1, 2)).softmax(-1)
    return torch.bmm(weights.to(v.dtype), split(v)).view(n, heads, length, d).transpose(1, 2).reshape(n, length, c)


class SelfAttention:
    """Among the pixels."""

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        y = attend(attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states), attn.heads)
        return attn.to_out[0](y)


class IpAttention(nn.Module):
    """Cross-attention to the text plus, weighed by `on`, a second one to the identity tokens.

    With several people in a picture each has a context of its own, and every cell listens to the one whose region it lies in.
    """

    def __init__(self, width: int, context: int):
        super().__init__()
        self.to_k_ip, self.to_v_ip = nn.Linear(context, width, bias=False), nn.Linear(context, width, bias=False)

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **_):
        text, tokens, on, regions = encoder_hidden_states
        q = attn.to_q(hidden_states)
        n, people = len(q), len(text) // len(q)
        if people > 1:
            q = q.repeat_interleave(people, 0)
        y = attend(q, attn.to_k(text), attn.to_v(text), attn.heads)
        if tokens is not None:
            y = y + on.view(-1, 1, 1).to(y.dtype) * attend(q, self.to_k_ip(tokens), self.to_v_ip(tokens), attn.heads)
        if people > 1:
            mine = owners(regions, y.shape[1]).view(n, 1, -1, 1).expand(-1, 1, -1, y.shape[2])
            y = y.view(n, people, *y.shape[1:]).gather(1, mine)[:, 0]
        return attn.to_out[0](y)


def owners(regions: tuple[torch.Tensor, float], cells: int) -> torch.Tensor:
    """Which person each cell of a feature map belongs to: (N, cells). `regions` are the strips' right ends as shares of the width
    (N, people), and the picture's width over its height. A cell belongs to the first strip that ends beyond its centre."""
    edges, aspect = regions
    width = round((cells * aspect) ** 0.5)
    centres = (torch.arange(width, device=edges.device) + 0.5) / width
    column = (centres[None, :, None] >= edges[:, None, :]).sum(2).clamp(max=edges.shape[1] - 1)
    return column.repeat(1, cells // width)


class ImageProjection(nn.Module):
    """A unit face embedding (N, 512) -> TOKENS context tokens; named as in IP-Adapter-FaceID files."""

    def __init__(self, context: int):
        super().__init__()
        self.proj = nn.Sequential(nn.Linear(512, 1024), nn.GELU(), nn.Linear(1024, TOKENS * context))
        self.norm = nn.LayerNorm(context)
        self.context = context

    def forward(self, e):
        return self.norm(self.proj(e * EMBEDDING_SCALE).view(-1, TOKENS, self.context))


class Model(nn.Module):
    """`unet`, `text` and `image`: the names that checkpoints use."""

    def __init__(self, vocabulary: int, length: int = LENGTH):
        super().__init__()
        self.unet = UNet2DConditionModel(**UNET)
        config = CLIPTextConfig(
            vocab_size=vocabulary, hidden_size=CONTEXT, intermediate_size=512, num_hidden_layers=3, num_attention_heads=4,
            max_position_embeddings=length, projection_dim=CONTEXT, bos_token_id=vocabulary - 2, eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1, attn_implementation="eager",
        )
        self.text = CLIPTextModel(config)
        self.image = ImageProjection(CONTEXT)
        self.unet.set_attn_processor({name: self.processor(name) for name in self.unet.attn_processors})
        for n, m in self.unet.named_modules():  # residual branches start near zero
            if n.endswith(("conv2", "to_out.0", "proj_out", "ff.net.2")):
                m.weight.data *= 0.1
        nn.init.zeros_(self.unet.conv_out.weight)
        nn.init.zeros_(self.unet.conv_out.bias)

    def processor(self, name: str):
        if not name.endswith("attn2.processor"):
            return SelfAttention()
        return IpAttention(self.unet.get_submodule(name.removesuffix(".processor")).inner_dim, CONTEXT)

    def forward(self, z, t, ids, emb, on, edges=None):
        """Predicts v for latents z (N, 12, H, W) at timesteps t (N,).

        For one person token ids (N, L), embeddings (N, 512) or None, their weights (N,). For several, one row each, picture
        after picture: (N * people, ...), and the right ends of their strips, edges (N, people).
        """
        text = self.text(ids).last_hidden_state
        tokens = self.image(emb) if emb is not None else None
        regions = None if edges is None else (edges, z.shape[3] / z.shape[2])
        return self.unet(z, t, (text, tokens, on, regions), return_dict=False)[0]

    def load_pack(self, pack: Path) -> None:
        """Takes the weights of an exported pack (export.py), so that training can go on from it."""
        unet = load_file(pack / "unet/diffusion_pytorch_model.fp16.safetensors")
        adapter = load_file(pack / "ip_adapter/ip-adapter-faceid.safetensors")
        for i, name in enumerate(self.unet.attn_processors):
            for k in ("to_k_ip", "to_v_ip"):
                if f"ip_adapter.{i}.{k}.weight" in adapter:
                    unet[f"{name}.{k}.weight"] = adapter[f"ip_adapter.{i}.{k}.weight"]
        self.unet.load_state_dict(unet)
        image = {k.removeprefix("image_proj."): v for k, v in adapter.items() if k.startswith("image_proj.")}
        image["proj.0.weight"] = image["proj.0.weight"].float() / EMBEDDING_SCALE
        self.image.load_state_dict(image)
        text = load_file(pack / "text_encoder/model.fp16.safetensors")
        lost = self.text.load_state_dict(text, strict=False)
        if lost.unexpected_keys or any("position_ids" not in k for k in lost.missing_keys):
            raise ValueError(f"load {pack}: the text encoder has other weights: {lost}")


def alphas() -> torch.Tensor:
    """The share of signal left at each of the 1000 timesteps."""
    return DDIMScheduler(**SCHEDULE).alphas_cumprod.to(DEVICE)


@torch.no_grad()
def generate(
    model: Model, vae: AutoencoderKL, ids: torch.Tensor, emb: torch.Tensor | None, empty: torch.Tensor, seed: int, shape=(16, 16),
    steps: int = 20, guidance: float = 3.0, identity_scale: float = 1.0, start: torch.Tensor | None = None, strength: float = 1.0,
    edges: torch.Tensor | None = None,
) -> torch.Tensor:
    """DDIM, eta 0, classifier-free guidance away from `empty` (1, L) without identity tokens.

    ids (N, L), emb (N, 512) or None, both with a row per person where `edges` (N, people) are given; shape of the latents. With
    `start`, pictures like those returned, only the last `strength` of the steps run, from there. Returns pictures (N, 3, H, W) in
    [-1, 1].
    """
    n, rows = len(ids if edges is None else edges), len(ids)
    z = torch.randn(n, CHANNELS, *shape, generator=torch.Generator().manual_seed(seed)).to(DEVICE)
    schedule = DDIMScheduler(**SCHEDULE)
    schedule.set_timesteps(steps)
    timesteps = schedule.timesteps[steps - max(1, int(steps * strength)) :]
    if start is not None:
        z = schedule.add_noise(vae.encode(start).latent_dist.mean, z, timesteps[:1])
    both = torch.cat([empty.expand(rows, -1), ids])
    on = torch.cat([torch.zeros(rows, device=DEVICE), torch.full((rows,), identity_scale, device=DEVICE)])
    twice = torch.cat([emb, emb]) if emb is not None else None
    strips = torch.cat([edges, edges]) if edges is not None else None
    for t in timesteps:
        with cast():
            v = model(torch.cat([z, z]), t.to(DEVICE).expand(2 * n), both, twice, on, strips).float()
        without, with_text = v.chunk(2)
        z = schedule.step(without + guidance * (with_text - without), t, z).prev_sample
    with cast():
        return vae.decode(z).sample.float().clamp(-1, 1)
