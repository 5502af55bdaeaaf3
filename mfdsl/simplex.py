"""Games of one population beside a major on a grid of laws: from a spec to tables and results."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

import numpy
import torch
from torch import Tensor

from mfdsl.compiler.ir.interpret import values_of
from mfdsl.compiler.tabular.observed import CHANCE, OWN, Observed, Variable
from mfdsl.errors import UsageError
from mfdsl.game import Game
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
from mfdsl.simplex_layout import BLOCK, Layout, check_memory, layout_of, values_on


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
    return tables_of(layout_of(game, points, projection))


def tables_of(layout: Layout) -> OnSimplex:
    """The tables."""
    seen, program, commons, acts = layout.observed, layout.program, layout.commons, layout.acts
    laws = points_of(layout.points, program.state_count)
    chances, paid = _around(seen, program, commons, acts, laws)
    moves, rewards = _members(seen, program, commons, acts, laws)
    first = torch.tensor(layout.chances, dtype=torch.float64)
    law = _first_laws(seen, program, commons, first > 0)
    table = GridGame(
        laws,
        layout.points,
        moves,
        rewards,
        paid,
        chances,
        first,
        law,
        layout.stages,
        program.discount,
        layout.projection,
    )
    return OnSimplex(table, seen, commons, acts)


def solve_on_simplex(
    game: Game,
    method: Method = "omd",
    *,
    points: int = 50,
    projection: Projection = "interpolate",
    iterations: int = 100,
    tolerance: float = 1e-6,
    rate: float = 0.5,
) -> tuple[OnSimplex, Found]:
    """Policies of members and of the major on a grid of laws, with what each gains by leaving.

    Raises:
        UsageError: the game has no such grid, or it does not fit into memory.
    """
    layout = layout_of(game, points, projection)
    return solve_layout(layout, method, iterations=iterations, tolerance=tolerance, rate=rate)


def solve_layout(
    layout: Layout, method: Method, *, iterations: int, tolerance: float, rate: float
) -> tuple[OnSimplex, Found]:
    """`solve_on_simplex` of a game whose grid is laid out.

    Raises:
        UsageError: it does not fit into memory.
    """
    check_memory(layout, method)
    made = tables_of(layout)
    with torch.no_grad():
        return made, equilibrium(
            made.game, method, iterations=iterations, tolerance=tolerance, rate=rate
        )


def control_on_simplex(
    game: Game, *, points: int = 50, projection: Projection = "interpolate"
) -> tuple[OnSimplex, Policies, float]:
    """One plan for members and major that is best for the sum of their rewards, and its value.

    Raises:
        UsageError: the game has no such grid, too many rules of members, or too little memory.
    """
    return control_layout(layout_of(game, points, projection))


def control_layout(layout: Layout) -> tuple[OnSimplex, Policies, float]:
    """`control_on_simplex` of a game whose grid is laid out.

    Raises:
        UsageError: there are too many rules of members, or it does not fit into memory.
    """
    check_memory(layout, "control")
    made = tables_of(layout)
    try:
        with torch.no_grad():
            return made, *control(made.game)
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
    noises = values_on(seen, seen.noises)
    variables = (*seen.states, *seen.actions, *seen.noises)
    cells = (
        (c, u, g, (*common, *act, *noise))
        for c, common in enumerate(commons)
        for u, act in enumerate(acts)
        for noise in noises
        for g in range(len(laws))
    )
    chances = laws.new_zeros(len(commons), len(acts), len(laws), len(commons))
    paid = laws.new_zeros(len(commons), len(acts), len(laws))
    sizes = [len(values_of(seen.kinds[v])) for v in seen.states]
    while part := list(islice(cells, BLOCK)):
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
    shape = (len(commons), len(acts), len(laws))
    cells, count = product(*map(range, shape)), math.prod(shape)
    variables = (*seen.states, *seen.actions)
    moves = laws.new_empty(count, states, actions, states)
    rewards = laws.new_empty(count, states, actions)
    for start in range(0, count, BLOCK):
        part = list(islice(cells, BLOCK))
        block = slice(start, start + len(part))
        rows = [(*commons[c], *acts[u]) for c, u, _ in part]
        params = program.params(_columns(seen, rows, variables))
        joint = _joint(program, laws[torch.tensor([g for *_, g in part])])
        time = torch.tensor(0)
        kernel = program.module.kernel(params, time, joint)
        moves[block] = kernel.reshape(-1, states, actions, states)
        own = program.module.reward_terms(params, time, joint)[OWN]
        rewards[block] = own.reshape(-1, states, actions)
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
