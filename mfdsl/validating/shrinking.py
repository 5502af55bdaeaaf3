"""A difference between a simulator and itself on reordered agents, made as small as it goes.

Numbers of agents are tried upward from 2, with swaps of two agents, which generate all
permutations, on the situations that led to the difference. Then every value is set to a default
(zero, the lowest value, the middle of a draw) or to fewer digits where the difference stays.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.agents import AgentProgram
from mfdsl.validating.counterexample import Counterexample, leaves, variable_type
from mfdsl.validating.situations import (
    Key,
    Situation,
    broken,
    mapped,
    outputs,
    picked,
    reordered,
    with_first,
)

MOST_SWAPPED = 8  # agents up to which all swaps of two are tried
ENTRIES = 64  # values of a variable up to which they are reset one by one
ROUNDS = 3
SHRINKINGS = tuple(k * 1e-9 for k in range(24))

# Plain values of the standard draws, the plainest first, and the range that digits are cut within.
DRAWS: Mapping[str, tuple[Sequence[float], float, float]] = {
    "uniform": ((0.5, 0.0), 0.0, 0.99),
    "normal": ((0.0, 1.0, -1.0), -torch.inf, torch.inf),
    "exponential": ((1.0, 0.5), 0.01, torch.inf),
    "gamma": ((1.0, 0.5), 0.01, torch.inf),
    "beta": ((0.5,), 0.01, 0.99),
    "disc": ((), 0.0, 0.0),  # points that keep a distance: left as they are
}

Change = Callable[[Tensor], Tensor]


def persists(
    program: AgentProgram, params: Any, situation: Situation, field: str, order: Tensor
) -> bool:
    """Whether a difference stays when all reals, parameters included, shrink by some 1e-9.

    Equal values stay equal, so that ties are kept; sums that meet a threshold by accident of
    rounding fall to one side or the other.
    """
    sizes = SHRINKINGS[:3] if situation.thresholds else SHRINKINGS
    return all(
        broken(program, _smaller(params, size), _smaller_reals(situation, size), field, order)
        for size in sizes
    )


def shrunk(
    program: AgentProgram,
    params: Any,
    seen: Sequence[Situation],
    field: str,
    found: Situation,
    order: Tensor,
) -> Counterexample:
    """The smallest counterexample that is found from `found` with `order` [1, N].

    `seen` are situations, `found` one game of the last of them.
    """

    def stays(situation: Situation, order: Tensor) -> bool:
        return _legal(program, params, situation) and persists(
            program, params, situation, field, order
        )

    found, order = _with_few_agents(program, params, seen, field, found, order, stays)
    for other in program.populations:
        if other != field and other not in program.fixed:
            fewer = with_first(found, {other: 1})
            found = fewer if stays(fewer, order) else found
    early = replace(found, t=0)
    found = early if stays(early, order) else found
    found = _with_defaults(program, found, lambda s: stays(s, order))
    names = tuple(broken(program, params, found, field, order))
    before = outputs(program, params, found)
    after = outputs(program, params, reordered(found, field, order))
    return Counterexample(program, field, found, order[0], names, before, after)


def _with_few_agents(
    program: AgentProgram,
    params: Any,
    seen: Sequence[Situation],
    field: str,
    found: Situation,
    order: Tensor,
    stays: Callable[[Situation, Tensor], bool],
) -> tuple[Situation, Tensor]:
    """The first game with a swap of two among as few agents as possible; `found` when none has."""
    assert program.model is not None
    agents = order.shape[1]
    bound = field in program.fixed and bool(program.model.player(program.names[field]).weights)
    alike = (s for s in seen if s.groups.keys() == found.groups.keys())
    pool = [replace(s, thresholds=found.thresholds) for s in alike]
    for count in [agents] if bound else range(2, min(agents, MOST_SWAPPED) + 1):
        swaps = list(combinations(range(count), 2))
        if count > MOST_SWAPPED:
            swaps = [(i, i + 1) for i in range(count - 1)]
        for situation in (with_first(s, {field: count}) for s in pool):
            for i, j in swaps:
                swap = torch.arange(count)
                swap[[i, j]] = swap[[j, i]]
                games = broken(program, params, situation, field, swap[None])
                for game in _first_few(games):
                    one = picked(situation, game)
                    if stays(one, swap[None]):
                        return one, swap[None]
    return found, order


def _first_few(games: Mapping[Key, Tensor]) -> list[int]:
    """The first games in which something is wrong."""
    return sorted({int(g) for wrong in games.values() for g in wrong.nonzero()[:3, 0]})[:3]


def _with_defaults(
    program: AgentProgram, situation: Situation, stays: Callable[[Situation], bool]
) -> Situation:
    """The situation with every value reset that the difference does not need."""
    for _ in range(ROUNDS):
        changed = False
        for group, field, index, name in leaves(program, situation):
            changes = _changes(program, group, field, name)
            shape = situation.groups[group]._asdict()[field][index].shape
            for place in _places(shape):
                for change in changes:
                    value = situation.groups[group]._asdict()[field][index]
                    new = value.clone()
                    new[place] = change(value[place])
                    if torch.equal(new, value):
                        break
                    trial = _with_value(situation, group, field, index, new)
                    if stays(trial):
                        situation, changed = trial, True
                        break
        if not changed:
            break
    return situation


def _places(shape: torch.Size) -> list[tuple[Any, ...]]:
    """Everything at once, then agent by agent, then entry by entry."""
    found: list[tuple[Any, ...]] = [(slice(None),)]
    for depth in range(2, len(shape) + 1):
        if shape[:depth].numel() <= ENTRIES:
            found += [tuple(place) for place in torch.ones(shape[:depth]).nonzero().tolist()]
    return found


def _with_value(
    situation: Situation, group: str, field: str, index: int, value: Tensor
) -> Situation:
    whole = situation.groups[group]
    part = whole._asdict()[field]
    part = part._replace(**{part._fields[index]: value})
    return replace(situation, groups={**situation.groups, group: whole._replace(**{field: part})})


def _changes(program: AgentProgram, group: str, field: str, name: str) -> list[Change]:
    """What a value may become, the plainest first."""
    kind = variable_type(program, group, field, name)
    if kind is None:
        laws = program.module.NOISES if group == "noise" else program.module.INITIALS
        plain, lo, hi = DRAWS[str(laws[field][name][0][0])]
        return _filled(plain) + _rounded(lo, hi) if plain else []
    lo = -torch.inf if kind.lo is None else float(kind.lo)
    hi = torch.inf if kind.hi is None else float(kind.hi)
    plain = [min(max(0.0, lo), hi), *(v for v in (lo, hi) if abs(v) < torch.inf)]
    if kind.kind != "real":
        return _filled([*plain, min(max(1.0, lo), hi)])
    if kind.box is not None or kind.ball is not None:
        plain = [0.0] if kind.ball is not None or lo <= 0 <= hi else []
        return _filled(plain)
    return _filled(plain) + _rounded(lo, hi)


def _filled(values: Sequence[float]) -> list[Change]:
    return [lambda v, value=value: torch.full_like(v, value) for value in values]  # type: ignore[misc]


def _rounded(lo: float, hi: float) -> list[Change]:
    def rounding(digits: int) -> Change:
        return lambda v: v.round(decimals=digits).clamp(lo, hi)

    return [rounding(digits) for digits in (0, 1, 2)]


def _legal(program: AgentProgram, params: Any, situation: Situation) -> bool:
    """Whether all actions are legal; those of a start are."""
    if "action" not in situation.groups or program.model is None:
        return True
    state, action = situation.groups["state"], situation.groups["action"]
    masks = program.module.legal(params, torch.tensor(situation.t), state)
    for player in program.model.players:
        field = next(f for f, name in program.names.items() if name == player.name)
        mask = masks.get(field, masks.get(player.name))
        if mask is None:
            continue
        values = dict(zip(player.actions, action._asdict()[field], strict=True))
        flat = torch.zeros((), dtype=torch.int64)
        for variable, value in values.items():
            kind = program.model.types[variable.type]
            if kind.finite and not kind.dims:
                flat = flat * kind.size + value.long() - kind.first
        if not mask.expand(*flat.shape, mask.shape[-1]).gather(-1, flat[..., None]).all():
            return False
    return True


def _smaller_reals(situation: Situation, size: float) -> Situation:
    return mapped(situation, lambda v, _: v * (1 - size) if v.dtype.is_floating_point else v)


def _smaller(params: Any, size: float) -> Any:
    """Parameters with all reals a little smaller; the unit stays 1."""
    values = params._asdict()
    return params._replace(
        **{
            name: value * (1 - size)
            for name, value in values.items()
            if name != "unit" and value.dtype.is_floating_point
        }
    )
