"""Games of one population beside a major on a grid of laws: from a spec to tables and results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from mfdsl.compiler.ir.interpret import values_of
from mfdsl.compiler.tabular.finite import Finite
from mfdsl.compiler.tabular.frames import NoTables
from mfdsl.compiler.tabular.observed import CHANCE, OWN, Observed, Variable, observed
from mfdsl.compiler.tabular.pasts import starting_states
from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.finite_population.grid import grid_size
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers.simplex_grid import (
    Found,
    GridGame,
    Method,
    Policies,
    Projection,
    control,
    equilibrium,
)
from mfdsl.runtime.solvers.simplex_places import points_of

MOST_ENTRIES = 1 << 26
BLOCK = 1 << 14


@dataclass(frozen=True, eq=False)
class OnSimplex:
    """A game on a grid of laws; `commons` are the values of the common states, `acts` those of the
    actions of the major, in the order of the tables.
    """

    game: GridGame
    observed: Observed
    commons: tuple[tuple[int, ...], ...]
    acts: tuple[tuple[int, ...], ...]


def on_simplex(game: Game, points: int = 50, projection: Projection = "interpolate") -> OnSimplex:
    """The tables of a game on laws that are multiples of 1 / points.

    Raises:
        UsageError: the game is not one population with finite variables beside at most one major
            over a finite horizon, something reads time, or the tables would be too large.
    """
    if points < 1:
        raise UsageError(f"a grid of laws has at least 1 point along an edge, not {points}")
    if game.model.horizon.kind != "finite":
        raise UsageError(
            f"{game.name} has a {game.model.horizon.kind} horizon, and a grid of laws needs an end",
            "give the spec a number of steps",
        )
    try:
        small = Finite(game.model, game.bins).copied()
        seen = observed(small)
        around = [p for p in small.players if p.kind != "population"]
        starts = starting_states(small, around)
    except NoTables as error:
        raise UsageError(f"`{game.name}` has no grid of laws: {error}", error.advice) from None
    program = Game(replace(game.compilation, model=seen.model), game.parameters, game.bins).program
    module = program.module
    if "time" in module.SUCCESSORS_READ | module.WEIGHTS_READ | module.REWARDS_READ:
        raise UsageError(f"`{game.name}` has no grid of laws: something reads time")
    commons = _values(seen, seen.states)
    acts = _values(seen, seen.actions)
    laws = points_of(points, program.state_count) if _fits(program, points) else None
    entries = len(commons) * len(acts) * grid_size(points, program.state_count)
    width = program.state_count**2 * program.action_count + len(commons)
    if laws is None or entries * width > MOST_ENTRIES:
        raise UsageError(
            f"a grid of {points} points would have {entries * width:,} entries", "take fewer"
        )
    chances, paid = _around(seen, program, commons, acts, laws)
    moves, rewards = _members(seen, program, commons, acts, laws)
    order = [(player, name) for player, _, name in seen.states]
    drawn = _drawn(small, around, order, starts)
    first = torch.tensor([drawn.get(c, 0.0) for c in commons], dtype=torch.float64)
    law = _first_laws(seen, program, commons, first > 0)
    table = GridGame(
        laws,
        points,
        moves,
        rewards,
        paid,
        chances,
        first,
        law,
        program.horizon or 0,
        program.discount,
        projection,
    )
    return OnSimplex(table, seen, commons, acts)


def solve_on_simplex(
    game: Game,
    method: Method = "omd",
    *,
    points: int = 50,
    projection: Projection = "interpolate",
    iterations: int = 200,
    tolerance: float = 1e-6,
    rate: float = 1.0,
) -> tuple[OnSimplex, Found]:
    """Policies of members and of the major on a grid of laws, with what each gains by leaving.

    Raises:
        UsageError: the game has no such grid.
    """
    found = on_simplex(game, points, projection)
    with torch.no_grad():
        return found, equilibrium(
            found.game, method, iterations=iterations, tolerance=tolerance, rate=rate
        )


def control_on_simplex(
    game: Game, *, points: int = 50, projection: Projection = "interpolate"
) -> tuple[OnSimplex, Policies, float]:
    """One plan for members and major that is best for the sum of their rewards, and its value.

    Raises:
        UsageError: the game has no such grid, or too many rules of members.
    """
    found = on_simplex(game, points, projection)
    try:
        with torch.no_grad():
            return found, *control(found.game)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _first_laws(
    seen: Observed, program: Program, commons: tuple[tuple[int, ...], ...], possible: Tensor
) -> Tensor:
    """The law [C, S] at t = 0 given each common state; an even one where that cannot be."""
    states = program.state_count
    found = torch.full((len(commons), states), 1 / states, dtype=torch.float64)
    rows = [common for common, there in zip(commons, possible.tolist(), strict=True) if there]
    laws = program.module.initial_law(program.params(_columns(seen, rows, seen.states)))
    found[possible] = laws.reshape(-1, states).expand(len(rows), -1)
    return found


def _fits(program: Program, points: int) -> bool:
    return grid_size(points, program.state_count) <= MOST_ENTRIES


def _values(seen: Observed, variables: Sequence[Variable]) -> tuple[tuple[int, ...], ...]:
    """All joint values, the last variable the fastest."""
    return tuple(product(*(map(int, values_of(seen.kinds[v])) for v in variables)))


def _drawn(
    small: Any, around: Any, order: list[tuple[str, str]], starts: dict[tuple[int, ...], float]
) -> dict[tuple[int, ...], float]:
    """The law of the common states at t = 0, in the order of the tables."""
    listed = [(p.name, s.name) for p in around for s in p.states]
    places = [listed.index(key) for key in order]
    return {tuple(int(key[i]) for i in places): chance for key, chance in starts.items()}


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))


def _columns(
    seen: Observed, rows: list[tuple[int, ...]], variables: Sequence[Variable]
) -> dict[str, list[int]]:
    return {seen.names[v]: [row[k] for row in rows] for k, v in enumerate(variables)}


def _around(
    seen: Observed,
    program: Program,
    commons: tuple[tuple[int, ...], ...],
    acts: tuple[tuple[int, ...], ...],
    laws: Tensor,
) -> tuple[Tensor, Tensor]:
    """Chances [C, U, G, C] of the next common state, and what the major is paid [C, U, G]."""
    noises = _values(seen, seen.noises)
    variables = (*seen.states, *seen.actions, *seen.noises)
    cells = [
        (c, u, g, (*common, *act, *noise))
        for c, common in enumerate(commons)
        for u, act in enumerate(acts)
        for noise in noises
        for g in range(len(laws))
    ]
    chances = laws.new_zeros(len(commons), len(acts), len(laws), len(commons))
    paid = laws.new_zeros(len(commons), len(acts), len(laws))
    sizes = [len(values_of(seen.kinds[v])) for v in seen.states]
    for block in _blocks(len(cells)):
        part = cells[block]
        terms = _terms(seen, program, [row for *_, row in part], variables, laws, part)
        where = tuple(torch.tensor([cell[k] for cell in part]) for k in range(3))
        place = torch.zeros(len(part), dtype=torch.int64)
        for k, size in enumerate(sizes):
            place = place * size + terms[f"next_{k}"].round().long()
        chances.index_put_((*where, place), terms[CHANCE], accumulate=True)
        if seen.major is not None:
            paid.index_put_(where, terms[f"pay_{seen.major}"] * terms[CHANCE], accumulate=True)
    return chances, paid


def _terms(
    seen: Observed,
    program: Program,
    rows: list[tuple[int, ...]],
    variables: Sequence[Variable],
    laws: Tensor,
    part: list[tuple[int, int, int, tuple[int, ...]]],
) -> dict[str, Tensor]:
    """What is seen at common values and laws, [cells] each."""
    params = program.params(_columns(seen, rows, variables))
    joint = _joint(program, laws[torch.tensor([cell[2] for cell in part])])
    made = program.module.reward_terms(params, torch.tensor(0), joint)
    count = len(rows)
    return {
        name: value.reshape(len(value), -1)[:, 0].expand(count).to(laws)
        for name, value in made.items()
        if name != OWN
    }


def _members(
    seen: Observed,
    program: Program,
    commons: tuple[tuple[int, ...], ...],
    acts: tuple[tuple[int, ...], ...],
    laws: Tensor,
) -> tuple[Tensor, Tensor]:
    """Moves [C, U, G, S, A, S] and rewards [C, U, G, S, A] of members."""
    states, actions = program.state_count, program.action_count
    cells = [
        (c, u, g) for c in range(len(commons)) for u in range(len(acts)) for g in range(len(laws))
    ]
    variables = (*seen.states, *seen.actions)
    moves = laws.new_empty(len(cells), states, actions, states)
    rewards = laws.new_empty(len(cells), states, actions)
    for block in _blocks(len(cells)):
        part = cells[block]
        rows = [(*commons[c], *acts[u]) for c, u, _ in part]
        params = program.params(_columns(seen, rows, variables))
        joint = _joint(program, laws[torch.tensor([g for *_, g in part])])
        time = torch.tensor(0)
        kernel = program.module.kernel(params, time, joint)
        moves[block] = kernel.reshape(-1, states, actions, states)
        own = program.module.reward_terms(params, time, joint)[OWN]
        rewards[block] = own.reshape(-1, states, actions)
    shape = (len(commons), len(acts), len(laws))
    return moves.view(*shape, states, actions, states), rewards.view(*shape, states, actions)


def _joint(program: Program, laws: Tensor) -> Tensor:
    """Laws [B, S] with even actions, as the module takes them; nothing reads the actions."""
    even = laws[..., None].expand(-1, -1, program.action_count) / program.action_count
    shape = (*program.states.values(), *program.actions.values())
    return even.reshape(len(laws), *shape).contiguous()


def save_policies(made: OnSimplex, policies: Policies, path: Path) -> None:
    """Write policies with the values of their axes: an npz file of named arrays.

    `member` is [T, C, G, S, A], `major` [T, C, G, U]; `laws` [G, S], `commons` [C, variables],
    `acts` [U, variables] say what C, G and U stand for.

    Raises:
        UsageError: the file cannot be written.
    """
    variables = [".".join((player, name)) for player, _, name in made.observed.states]
    actions = [".".join((player, name)) for player, _, name in made.observed.actions]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        numpy.savez_compressed(
            path,
            member=policies.member.numpy(),
            major=policies.major.numpy(),
            laws=made.game.laws.numpy(),
            commons=numpy.array(made.commons),
            acts=numpy.array(made.acts),
            variables=numpy.array(variables),
            actions=numpy.array(actions),
        )
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None
