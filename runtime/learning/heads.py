"""Laws of actions: a Gaussian over all real entries of a player, one choice among the finite ones.

Numbers are drawn before they are brought into their domain, and probabilities are those of the
numbers drawn: ratios of two policies are the same before and after.
"""

from dataclasses import dataclass
from functools import cached_property
from math import log, pi, prod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mfdsl.compiler.ir.types import Type
from mfdsl.runtime.learning.networks import log_softmax
from mfdsl.runtime.learning.sight import Feature
from mfdsl.runtime.views.native import available

Squash = Literal["tanh", "clip", "simplex"]
LOG_STD = (-5.0, 1.0)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn for one player: reals before they are squashed [..., k], flat index [...]."""

    reals: Tensor | None
    index: Tensor | None


@dataclass(frozen=True, eq=False)
class ActionLaw:
    """The law of the actions of a player in each of [...] situations."""

    mean: Tensor | None
    log_std: Tensor | None
    logits: Tensor | None

    @cached_property
    def log_chances(self) -> Tensor:
        """Log-chances of the choices [..., c], where there are some."""
        assert self.logits is not None
        return log_softmax(self.logits)

    def sample(self, normal: Tensor | None, uniform: Tensor | None) -> Drawn:
        """A draw from standard numbers; it has gradients in the mean and the deviation."""
        reals = index = None
        if self.mean is not None and self.log_std is not None:
            assert normal is not None
            reals = self.mean + self.log_std.exp() * normal
        if self.logits is not None:
            assert uniform is not None
            index = chosen(self.log_chances, uniform)
        return Drawn(reals, index)

    def mode(self) -> Drawn:
        """The mean, and the likeliest choice."""
        index = None if self.logits is None else self.logits.argmax(-1)
        return Drawn(self.mean, index)

    def log_prob(self, drawn: Drawn) -> Tensor:
        """Log-density of a draw [...]."""
        parts = []
        if self.mean is not None and self.log_std is not None:
            assert drawn.reals is not None
            parts.append(_log_density(drawn.reals, self.mean, self.log_std))
        if self.logits is not None:
            assert drawn.index is not None
            parts.append(self.log_chances.gather(-1, drawn.index[..., None])[..., 0])
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def entropy(self) -> Tensor:
        """Entropy [...], of the reals before they are squashed."""
        parts = []
        if self.mean is not None and self.log_std is not None:
            spread = (self.log_std + 0.5 * log(2 * pi * torch.e)).sum(-1)
            parts.append(spread.expand(self.mean.shape[:-1]))
        if self.logits is not None:
            finite = self.log_chances.clamp(min=-1e4)
            parts.append(-(self.log_chances.exp() * finite).sum(-1))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]


class _LogDensity(torch.autograd.Function):
    """Log-density [...] of independent Gaussians: `reals` and `mean` are [..., k], `log_std` may
    lack leading axes.

    One function with its slopes, because single operations and theirs would run over all numbers
    twice as often.
    """

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, reals: Tensor, mean: Tensor, log_std: Tensor
    ) -> Tensor:
        narrow = (-log_std).exp()
        apart = (reals - mean).mul_(narrow)
        square = apart * apart
        ctx.save_for_backward(apart, square, narrow)
        return _weighed(square.sum(-1), log_std)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: torch.autograd.function.FunctionCtx, slope: Tensor
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        apart, square, narrow = ctx.saved_tensors  # type: ignore[attr-defined]
        in_mean = (apart * narrow).mul_(slope[..., None])
        if narrow.ndim == 1:
            rows = slope.reshape(-1)
            in_log_std = rows @ square.reshape(len(rows), -1) - rows.sum()
        else:
            in_log_std = (slope[..., None] * (square - 1)).sum_to_size(narrow.shape)
        return -in_mean if ctx.needs_input_grad[0] else None, in_mean, in_log_std  # type: ignore[attr-defined]


class _CompiledLogDensity(torch.autograd.Function):
    """The same by compiled loops: rows [R, k], and one `log_std` [k] for all."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx, reals: Tensor, mean: Tensor, log_std: Tensor
    ) -> Tensor:
        from mfdsl.runtime.learning.density_native import squares  # needs numba

        narrow, found = (-log_std).exp(), mean.new_empty(len(mean))
        ctx.save_for_backward(reals, mean, narrow)
        squares(*(v.detach().numpy() for v in (reals, mean, narrow, found)))
        return _weighed(found, log_std)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: torch.autograd.function.FunctionCtx, slope: Tensor
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        from mfdsl.runtime.learning.density_native import slopes  # needs numba

        reals, mean, narrow = ctx.saved_tensors  # type: ignore[attr-defined]
        in_mean = torch.empty_like(mean)
        numbers = (v.detach().numpy() for v in (reals, mean, narrow, slope.contiguous(), in_mean))
        in_log_std = torch.from_numpy(slopes(*numbers)).to(narrow)
        return -in_mean if ctx.needs_input_grad[0] else None, in_mean, in_log_std  # type: ignore[attr-defined]


def _weighed(squares: Tensor, log_std: Tensor) -> Tensor:
    """Log-densities from sums of squares."""
    return squares.mul_(-0.5).sub_((log_std + 0.5 * log(2 * pi)).sum(-1))


def _log_density(reals: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    reals, mean = torch.broadcast_tensors(reals, mean)  # type: ignore[no-untyped-call]
    rule: type[torch.autograd.Function] = _LogDensity
    lead = mean.shape[:-1]
    alike = reals.dtype == mean.dtype == log_std.dtype and log_std.ndim == 1 and len(log_std) > 0
    if alike and mean.device.type == "cpu" and available():
        rule = _CompiledLogDensity
        reals, mean = (v.reshape(-1, v.shape[-1]).contiguous() for v in (reals, mean))
    found: Tensor = rule.apply(reals, mean, log_std)  # type: ignore[no-untyped-call]
    return found.view(lead)


def chosen(log_chances: Tensor, uniform: Tensor) -> Tensor:
    """The choice [...] that a uniform number stands for, by the inverse of the sums of chances."""
    edges = log_chances.exp().cumsum(-1)[..., :-1]
    return (uniform[..., None] >= edges).sum(-1)


class Head(nn.Module):
    """Turns the last numbers of a network into a law, and a draw into the actions of the module.

    `squash` brings boxed reals into their domain: `tanh`, `clip`, or `simplex` for vectors in
    [0, 1] whose entries shall add up to 1. With `agents` each of them has a deviation of its own.
    """

    low: Tensor
    width: Tensor

    def __init__(
        self,
        actions: tuple[Feature, ...],
        squash: Squash = "tanh",
        log_std: float = -0.5,
        agents: int = 0,
    ) -> None:
        super().__init__()
        self.actions, self.squash = actions, squash
        self.reals = [a for a in actions if not a.type.finite]
        self.finite = [a for a in actions if a.type.finite]
        if any(a.type.dims for a in self.finite):
            raise ValueError("arrays of finite actions cannot be learned: write them one by one")
        self.count = sum(prod(a.type.dims) for a in self.reals)
        self.choices = prod(a.type.size for a in self.finite) if self.finite else 0
        self.width_in = self.count + self.choices
        if self.count:
            each = (agents, self.count) if agents else (self.count,)
            self.log_std = nn.Parameter(torch.full(each, log_std))

    def law(
        self, numbers: Tensor, mask: Tensor | None = None, who: Tensor | None = None
    ) -> ActionLaw:
        """The law that the numbers [..., width_in] stand for; `mask` tells legal choices, `who`
        which agents the numbers are of (None: all, in order), where each has its own deviation.
        """
        mean = log_std = logits = None
        if self.count:
            mean = numbers[..., : self.count]
            own = self.log_std if who is None else self.log_std[who]
            log_std = own.clamp(*LOG_STD)
        if self.choices:
            logits = numbers[..., self.count :]
            if mask is not None:
                logits = logits.masked_fill(~mask, -torch.inf)
        return ActionLaw(mean, log_std, logits)

    def values(self, drawn: Drawn, unit: Tensor) -> list[Tensor]:
        """The actions [..., *dims] in the order of the spec; reals have the dtype of `unit`."""
        found: dict[str, Tensor] = {}
        start = 0
        for action in self.reals:
            size = prod(action.type.dims)
            assert drawn.reals is not None
            numbers = drawn.reals[..., start : start + size]
            bounded = inside(numbers, action.type, self.squash).to(unit.dtype)
            found[action.name] = bounded.reshape(*numbers.shape[:-1], *action.type.dims)
            start += size
        index = drawn.index
        for action in reversed(self.finite):
            assert index is not None
            value = index % action.type.size + action.type.first
            found[action.name] = value.bool() if action.type.kind == "bool" else value
            index = index // action.type.size
        return [found[action.name] for action in self.actions]


def inside(numbers: Tensor, kind: Type, squash: Squash) -> Tensor:
    """Numbers [..., k] brought into the domain of a real type."""
    if kind.lo is None or kind.hi is None:
        return numbers
    if squash == "simplex":
        return torch.softmax(numbers, -1)
    if kind.ball is not None:
        length = numbers.norm(dim=-1, keepdim=True)
        shorter: Tensor = numbers * (kind.ball / length.clamp(min=kind.ball))
        return shorter
    if kind.box is not None:
        low = numbers.new_tensor([ends[0] for ends in kind.box])
        high = numbers.new_tensor([ends[1] for ends in kind.box])
        low, high = (e.repeat(numbers.shape[-1] // len(e)) for e in (low, high))
    else:
        low, high = (numbers.new_full((), float(end)) for end in (kind.lo, kind.hi))
    middle, half = (low + high) / 2, (high - low) / 2
    if squash == "clip":
        return middle + half * numbers.clamp(-1, 1)
    return middle + half * torch.tanh(numbers)
