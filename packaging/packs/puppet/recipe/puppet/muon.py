"""Muon (Jordan 2024) for matrices and convolutions: momentum, then the nearest orthogonal matrix.

A `Team` is one process, or several on one machine that share gradients and steps through memory; then each of them
orthogonalises its share of the matrices.
"""
from __future__ import annotations

import torch


class Team:
    """Data-parallel processes that share `flat` (ranks, parameters) and a barrier; alone, every call is free."""

    def __init__(self, rank: int = 0, ranks: int = 1, flat: torch.Tensor | None = None, barrier=None):
        self.rank, self.ranks, self.flat, self.barrier = rank, ranks, flat, barrier

    def meet(self) -> None:
        """Waits for all the others."""
        if self.ranks > 1:
            self.barrier.wait()

    def average(self, params: list[torch.nn.Parameter]) -> None:
        """Replaces every gradient by its mean over the ranks."""
        if self.ranks == 1:
            return
        mine = torch.cat([p.grad.reshape(-1) for p in params])
        self.flat[self.rank, : len(mine)] = mine
        self.meet()
        mean, at = self.flat[:, : len(mine)].mean(0), 0
        self.meet()
        for p in params:
            p.grad = mean[at : at + p.numel()].view(p.shape)
            at += p.numel()


class Muon(torch.optim.Optimizer):
    """Steps are scaled to AdamW's usual size, so both take rates of the same order."""

    def __init__(self, params, lr: float, momentum: float = 0.95, weight_decay: float = 0.02, team: Team | None = None):
        super().__init__(params, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))
        self.team = team or Team()
        self.owner, load = {}, [0] * self.team.ranks
        for p in sorted(self.param_groups[0]["params"], key=lambda q: -q.numel()):
            rank = load.index(min(load))
            self.owner[p] = rank
            load[rank] += p.numel()

    @torch.no_grad()
    def step(self) -> None:
        """Own matrices first, then those that the others have worked out meanwhile."""
        for mine in (True, False):
            at = 0
            for p in self.param_groups[0]["params"]:
                if p.grad is not None and (self.owner[p] == self.team.rank) == mine:
                    self.move(p, at, mine)
                at += p.numel()
            self.team.meet()

    def move(self, p: torch.nn.Parameter, at: int, mine: bool) -> None:
        group, shared = self.param_groups[0], self.team.flat
        if mine:
            update = self.update(p, group["momentum"])
            if self.team.ranks > 1:
                shared[0, at : at + p.numel()] = update.reshape(-1)
        else:
            update = shared[0, at : at + p.numel()].view(p.shape)
        p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"])

    def update(self, p: torch.nn.Parameter, momentum: float) -> torch.Tensor:
        average = self.state[p].setdefault("m", torch.zeros_like(p))
        average.lerp_(p.grad, 1 - momentum)
        u = orthogonal(p.grad.lerp(average, momentum).reshape(p.shape[0], -1))
        return (u * (0.2 * max(u.shape) ** 0.5)).view(p.shape)


def orthogonal(m: torch.Tensor) -> torch.Tensor:
    """The nearest semi-orthogonal matrix, by five Newton-Schulz steps in bfloat16."""
    x = m.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        s = x @ x.T
        x = 3.4445 * x + (-4.7750 * s + 2.0315 * s @ s) @ x
    return (x.T if tall else x).float()
