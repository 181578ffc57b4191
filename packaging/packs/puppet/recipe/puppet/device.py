"""Where training runs: CUDA if there is any, else the CPU with bfloat16 and a GroupNorm of our own."""
from __future__ import annotations

import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def cast() -> torch.autocast:
    """Mixed precision for a forward pass."""
    return torch.autocast(DEVICE, torch.bfloat16)


def speed_up(model: torch.nn.Module) -> torch.nn.Module:
    """Moves a model to the device in channels-last layout; on a CPU also swaps its GroupNorms (fastnorm.py)."""
    if DEVICE == "cpu":
        from .fastnorm import swap

        swap(model)
    return model.to(DEVICE, memory_format=torch.channels_last)
