"""Situations of a game as explicit tensors, what its module makes of them, and agents reordered.

A situation holds everything that a step or a start depends on, draws included, so that the same one
can be played again with agents in another order. Tensors are [B, N, ...] for populations and
[B, ...] for other players.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.agents import AgentProgram
from mfdsl.validating.thresholds import thresholds

Key = tuple[str, str]  # field of a player, name of a quantity
RELATIVE = 1e-9


@dataclass(frozen=True, eq=False)
class Situation:
    """A stage at time `t`, as `state`, `action` and `noise`; or a start, as `initial`.

    The values are named tuples of the module, by player and by variable. With `thresholds` it is
    about the probabilities behind the finite draws of a stage, and about nothing else.
    """

    t: int
    groups: Mapping[str, Any]
    thresholds: bool = False

    @property
    def batch(self) -> int:
        """The number of games."""
        return max((len(v) for g in self.groups.values() for p in g for v in p), default=1)


def outputs(program: AgentProgram, params: Any, situation: Situation) -> dict[Key, Tensor]:
    """Everything that the module computes from a situation, by player and name."""
    module, groups = program.module, situation.groups
    if "initial" in groups:
        return _named(module.init(params, groups["initial"]), "{} at t = 0")
    now = torch.tensor(situation.t, dtype=torch.int64, device=params.unit.device)
    played = (params, now, groups["state"], groups["action"], groups["noise"])
    if situation.thresholds:
        return thresholds(program, *played)
    after, rewards = module.step(*played)
    found = _named(after, "next {}")
    found |= {(field, "reward"): value for field, value in rewards._asdict().items()}
    fields = {name: field for field, name in program.names.items()}
    for player, terms in module.reward_terms(*played).items():
        named = {(fields.get(player, player), f"reward {n}"): v for n, v in terms.items()}
        found |= named if len(terms) > 1 else {}
    for player, mask in module.legal(*played[:3]).items():
        found[fields.get(player, player), "legal actions"] = mask
    for player, seen in module.observe(*played[:3]).items():
        found |= {(fields.get(player, player), f"observe {n}"): v for n, v in seen.items()}
    if module.HAS_FINAL:
        ended = module.final_rewards(*played[:3])._asdict()
        found |= {(field, "final reward"): value for field, value in ended.items()}
    return found


def reordered(situation: Situation, field: str, order: Tensor) -> Situation:
    """The situation with agent `order[b, i]` of a population in place of agent i of game b."""
    return mapped(situation, lambda v, player: taken(v, order) if player == field else v)


def taken(value: Tensor, order: Tensor) -> Tensor:
    """Entries [B, n, ...] of a tensor [B or 1, N, ...] at the places `order` [B or 1, n]."""
    batch = max(len(value), len(order))
    places = order.reshape(*order.shape, *[1] * (value.ndim - 2)).expand(
        batch, order.shape[1], *value.shape[2:]
    )
    return value.expand(batch, *value.shape[1:]).gather(1, places)


def broken(
    program: AgentProgram, params: Any, situation: Situation, field: str, order: Tensor
) -> dict[Key, Tensor]:
    """What a reordering of a population changes in another way than by reordering it, with the
    games [B] where it does. `order` is [B or 1, N].
    """
    before = outputs(program, params, situation)
    after = outputs(program, params, reordered(situation, field, order))
    return _differing(before, after, field, order)


def picked(situation: Situation, game: int) -> Situation:
    """One game of a batch."""
    return mapped(situation, lambda v, _: v[game : game + 1] if len(v) > 1 else v)


def with_first(situation: Situation, numbers: Mapping[str, int]) -> Situation:
    """The first agents of populations, by field."""
    return mapped(situation, lambda v, player: v[:, : numbers[player]] if player in numbers else v)


def mapped(situation: Situation, rule: Callable[[Tensor, str], Tensor]) -> Situation:
    """A rule for (tensor, field of its player) on every tensor."""
    groups = {
        name: type(group)(
            **{
                field: type(part)(*(rule(value, field) for value in part))
                for field, part in group._asdict().items()
            }
        )
        for name, group in situation.groups.items()
    }
    return replace(situation, groups=groups)


def _named(group: Any, pattern: str) -> dict[Key, Tensor]:
    return {
        (field, pattern.format(name)): value
        for field, part in group._asdict().items()
        for name, value in part._asdict().items()
    }


def _differing(
    before: Mapping[Key, Tensor], after: Mapping[Key, Tensor], field: str, order: Tensor
) -> dict[Key, Tensor]:
    """The quantities that differ from their reordered values, with the games [B] where they do.

    Integers are compared exactly, reals up to 1e-9 of the largest value in the game.
    """
    found = {}
    for key, value in before.items():
        if key[0] == field:
            agents = value.expand(-1, order.shape[1], *value.shape[2:])
            value = taken(agents, order)
        wrong = _unlike(value, after[key].expand_as(value))
        if wrong.any():
            found[key] = wrong.expand(max(len(wrong), len(order)))
    return found


def _unlike(expected: Tensor, found: Tensor) -> Tensor:
    """The games [B] in which two tensors differ."""
    if not expected.dtype.is_floating_point:
        return (expected != found).reshape(len(expected), -1).any(1)
    expected, found = (v.reshape(len(v), -1) for v in (expected, found))
    finite = expected.isfinite()
    size = torch.where(finite, expected, 0.0).abs().amax(1, keepdim=True).clamp(min=1.0)
    far = torch.where(finite, (expected - found).abs() > RELATIVE * size, expected != found)
    return (far & ~(expected.isnan() & found.isnan()) | (finite != found.isfinite())).any(1)
