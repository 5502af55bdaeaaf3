"""Successive averages: steps towards the best response, of each state at its own pace."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.layout import inner, outer
from mfdsl.runtime.policy import TIE_MARGIN
from mfdsl.runtime.solvers.base import KeptState, unscored
from mfdsl.runtime.solvers.options import SuccessiveAveragesConfig

FIRST_STEP = 0.5
GROWTH, SHRINKAGE = 2.0, 0.5
ALIKE = 1e-9
STRETCH_ENTRIES = 1 << 22


@dataclass(frozen=True, eq=False)
class Averages(KeptState):
    """`target` is `best` with its mass at best actions.

    `favourite` is the best action of each state at the last policy, `turns` how often it was
    another one before. A game that has `waited` too long for a new best moves block by block:
    `gains` are what a block of `best` loses against its best response, `rates` the steps of the
    blocks, and `block` the one that moved last, -1 while all states move.
    """

    target: Float[Tensor, "batch stages states actions"]
    waited: Int[Tensor, " batch"]
    favourite: Int[Tensor, "batch stages states"]
    turns: Float[Tensor, "batch stages states"]
    gains: Float[Tensor, "batch blocks"]
    rates: Float[Tensor, "batch blocks"]
    block: Int[Tensor, " batch"]


@dataclass(frozen=True, eq=False)
class _Aim:
    """Where the last policy should go: see `Averages`."""

    target: Float[Tensor, "batch stages states actions"]
    favourite: Int[Tensor, "batch stages states"]
    turned: Tensor
    losses: Float[Tensor, "batch stages states"]


@dataclass(frozen=True)
class SuccessiveAverages:
    """pi_{k+1} = (1 - x) pi_k + x target(pi_k), x = c / (c + 1 + turns) by state, c = `damping`.

    The target moves what the policy plays at worse actions to the best one against the flow, of
    the best response's values. Steps of the method of successive averages fall with every
    iteration (Sheffi and Powell 1982, doi 10.1002/net.3230120209); here that of a state falls only
    where its best action turns to another one, as in Kesten's rule (Kesten 1958, doi
    10.1214/aoms/1177706705): where rewards jump in the law, states on the two sides of a jump come
    to rest, and the others go on with long steps.

    After `patience` iterations without a new best policy, the run goes back to the best one and
    moves one block of states at a time: a stage, a value of a state variable there, or one state.
    It takes the block that promises most, its step times the mass times what is lost there, which
    is the exploitability it has to lose (the losses of all states sum to it). A move that does not
    lower the exploitability is taken back and halves the step of its block, others double it.
    Nothing is known to be enough for convergence; the exploitability of the best policy falls.
    """

    config: SuccessiveAveragesConfig

    def init(self, view: View) -> Averages:
        """Start from the uniform policy."""
        probs = view.uniform().probs
        games, stages, states, _ = probs.shape
        sizes = tuple(view.program.states.values())
        none = probs.new_zeros(games, stages, states)
        still = torch.zeros(games, dtype=torch.int64, device=probs.device)
        gains = _gains(none, sizes)
        return Averages(
            0,
            probs,
            *unscored(probs),
            target=probs,
            waited=still,
            favourite=none.to(torch.int64),
            turns=none,
            gains=gains,
            rates=torch.full_like(gains, FIRST_STEP),
            block=still - 1,
        )

    def step(self, evaluation: Evaluation, state: Averages) -> Averages:
        """Move all states, or take the last block back where it did not help and try another."""
        gap = evaluation.best_value - evaluation.value
        better = gap < state.gap
        blockwise = state.block >= 0
        waited = (state.waited + 1).masked_fill(better | blockwise, 0)
        narrow = blockwise | (waited > self.config.patience)
        rates = _judged(state, better)
        best, target, gains = state.best, state.target, state.gains
        favourite, turns, ahead = state.favourite, state.turns, target
        sizes = tuple(evaluation.view.program.states.values())
        if better.any() or not narrow.all():
            aim = _aim(evaluation, favourite)
            ahead, favourite = aim.target, aim.favourite
            if state.iteration:
                turns = turns + aim.turned
            best = _either(better, state.probs, best)
            target = _either(better, ahead, target)
            gains = _either(better, _gains(aim.losses, sizes), gains)
        pace = self.config.damping / (self.config.damping + 1 + turns)
        block = torch.full_like(state.block, -1)
        if narrow.any():
            tried = (gains * rates).argmax(1, keepdim=True)
            alone = torch.zeros_like(rates).scatter(1, tried, rates.gather(1, tried))
            pace = _either(narrow, _spread(alone, turns.shape[1], sizes), pace)
            block = torch.where(narrow, tried[:, 0], block)
        start, end = _either(narrow, best, state.probs), _either(narrow, target, ahead)
        return Averages(
            state.iteration + 1,
            torch.lerp(start, end, pace[..., None]),
            best=best,
            target=target,
            gap=torch.where(better, gap, state.gap),
            reached=state.reached.masked_fill(better, state.iteration),
            waited=waited,
            favourite=favourite,
            turns=turns,
            gains=gains,
            rates=rates,
            block=block,
        )


def _aim(evaluation: Evaluation, favourite: Tensor) -> _Aim:
    """The target of a policy and its losses, a few stages at a time to save memory.

    The losses of all states sum to the exploitability over a finite horizon. In most states of a
    large game nothing is lost: arithmetic is done on the rows [A] of the others.
    """
    probs, q = inner(evaluation.policy.probs), inner(evaluation.best_q)
    stages, actions, states, games = probs.shape
    laws = evaluation.laws.permute(1, 2, 0)
    targets, favourites = probs.clone(), favourite.permute(1, 2, 0).clone()
    turned = torch.empty_like(favourites, dtype=torch.bool)
    losses = torch.zeros_like(probs[:, 0])
    discount = evaluation.view.program.discount
    block = max(1, STRETCH_ENTRIES // (games * states * actions))
    for first in range(0, stages, block):
        part = slice(first, first + block)
        good = q[part] >= q[part].amax(1, keepdim=True) - TIE_MARGIN
        rows, at = q[part].movedim(1, -1), favourites[part]
        open_rows = ~good.gather(1, at[:, None])[:, 0]
        turned[part] = open_rows
        at[open_rows] = rows[open_rows].argmax(-1)
        astray = ((probs[part] > 0) & ~good).any(1)
        values, share = rows[astray], targets[part].movedim(1, -1)[astray]
        stray = share.masked_fill(good.movedim(1, -1)[astray], 0)
        lost = (values.amax(-1, keepdim=True) - values).where(stray > 0, 0)
        stage = first + astray.nonzero()[:, 0]
        mass = laws[:stages][part][astray] * discount ** stage.to(probs)
        losses[part][astray] = (stray * lost).sum(-1) * mass
        to = at[astray][:, None]
        moved = (share - stray).scatter_add(-1, to, stray.sum(-1, keepdim=True))
        targets[part].movedim(1, -1)[astray] = moved
    return _Aim(outer(targets), *(table.permute(2, 0, 1) for table in (favourites, turned, losses)))


def _judged(state: Averages, better: Tensor) -> Float[Tensor, "batch blocks"]:
    """The steps of the blocks after the last one was tried."""
    factor = torch.where(better, GROWTH, SHRINKAGE).to(state.rates)
    factor = factor.masked_fill(state.block < 0, 1)[:, None]
    place = state.block.clamp(min=0)[:, None]
    return state.rates.scatter(1, place, (state.rates.gather(1, place) * factor).clamp(max=1))


def _shapes(sizes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Blocks of a stage: all states, those with a value of one variable, each state by itself."""
    wide = [axis for axis, size in enumerate(sizes) if size > 1]
    slices = [tuple(n if i == axis else 1 for i, n in enumerate(sizes)) for axis in wide]
    return [(1,) * len(sizes), *(slices if len(wide) > 1 else ()), sizes]


def _gains(
    losses: Float[Tensor, "batch stages states"], sizes: tuple[int, ...]
) -> Float[Tensor, "batch blocks"]:
    """What each block loses; 0 for one that is as good as all of a larger one."""
    cube = losses.reshape(*losses.shape[:2], *sizes)
    whole, *slices, _ = (cube.sum_to_size(*losses.shape[:2], *s) for s in _shapes(sizes))
    least, found = whole, [whole]
    for part in slices:
        found.append(_distinct(part, whole))
        least = torch.minimum(least, part)
    found.append(_distinct(cube, least))
    return torch.cat([part.flatten(1) for part in found], 1)


def _distinct(part: Tensor, larger: Tensor) -> Tensor:
    return part.masked_fill(part >= (1 - ALIKE) * larger, 0)


def _spread(
    steps: Float[Tensor, "batch blocks"], stages: int, sizes: Sequence[int]
) -> Float[Tensor, "batch stages states"]:
    """The sum of the steps of the blocks that a state is in."""
    shapes = [(stages, *shape) for shape in _shapes(tuple(sizes))]
    parts = steps.split_with_sizes([torch.Size(shape).numel() for shape in shapes], 1)
    total = steps.new_zeros(len(steps), stages, *sizes)
    for part, shape in zip(parts, shapes, strict=True):
        total += part.view(-1, *shape)
    return total.flatten(2) if sizes else total[..., None]


def _either(chosen: Tensor, this: Tensor, other: Tensor) -> Tensor:
    """For each game of the batch one or the other; without a copy where all choose alike."""
    if this is other or chosen.all():
        return this
    if not chosen.any():
        return other
    return torch.where(chosen.view(-1, *[1] * (this.ndim - 1)), this, other)
