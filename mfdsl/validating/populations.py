"""Theorems A and B for the populations of a game without majors and common noise.

All types of all populations stand side by side: the tables of several populations have the
population as first state, so that each type starts, and stays, among the states of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mfdsl.compiler.analysis.asymmetry.asymmetry import Measured, measured
from mfdsl.compiler.ir.model import Player
from mfdsl.game import Game
from mfdsl.runtime.finite_population.constants import Constants
from mfdsl.runtime.finite_population.recursion import Asymmetry, Crowd, Seen
from mfdsl.runtime.finite_population.theorem_a import Bound, bound_gain, least_players
from mfdsl.runtime.finite_population.theorem_b import (
    Composition,
    TypedFlow,
    TypedGame,
    theorem_b,
    typed_flow,
    typed_gains,
)
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.validating.asymmetric import Everybody, asymmetry_of, everybody, reward_range, seen_by
from mfdsl.validating.blocks import Blocks, Floats, Ints, block_constants
from mfdsl.validating.certified import Among, AtSize, FinitePopulation, at_size
from mfdsl.validating.clusters import clustered
from mfdsl.validating.law_slopes import law_slopes
from mfdsl.validating.typed_game import game_of_types, typed_program
from mfdsl.validating.worst_player import deviator_of, simulated_worst

Curve = Callable[[int], Bound]


@dataclass(frozen=True)
class Analysed:
    """The game of types and that of mean types, their constants and gains along the policy.

    `induced` and `solver_gaps` have one row for each population, `caps` [populations] the most
    that a player gets in a step.
    """

    game: TypedGame
    blocks: Blocks
    flow: TypedFlow
    typed: Constants
    gains: Floats
    induced: Constants
    solver_gaps: Floats
    caps: Floats
    seen: Seen
    composition: Composition
    note: str


@dataclass(frozen=True)
class Curves:
    """Bounds as functions of the number of players in each population.

    `typed` has a row for each type, `before` one for each population (theorem A), `everybody` rows
    whose populations are `of_row`; None where theorem B does not speak of everybody.
    """

    typed: Curve
    before: Curve
    everybody: Curve | None
    of_row: Ints

    def of(self, population: int) -> list[Curve]:
        """What holds for all members of a population."""
        rows = np.flatnonzero(self.of_row == population)
        first = [_rows(self.before, np.array([population]))]
        return first if self.everybody is None else [*first, _rows(self.everybody, rows)]


def _rows(curve: Curve, rows: Ints) -> Curve:
    def chosen(players: int) -> Bound:
        found = curve(players)
        terms = {name: values[rows] for name, values in found.terms.items()}
        return replace(found, epsilon=found.epsilon[rows], cap=found.cap[rows], terms=terms)

    return chosen


def certified_populations(
    game: Game,
    policy: TabularPolicy,
    table: Floats,
    agents: Sequence[int],
    target: float | None,
    seed: int,
) -> FinitePopulation:
    """The report; `table` [stages, states, actions] are the probabilities of the policy.

    Raises:
        UsageError: a population has types without a list, or the tables are too large.
    """
    players = game.model.populations
    alike = [
        (measured(game.model, p.name, "dynamics"), measured(game.model, p.name, "reward"))
        for p in players
    ]
    types = clustered(
        game, [everybody(game.model, p, *m) for p, m in zip(players, alike, strict=True)]
    )
    analysed = _analysed(game, types, table)
    unlike = asymmetry_of(game.model, alike, analysed.induced.steps)
    curves = _curves(analysed, types, unlike)
    among = tuple(
        _among(game, policy, k, (analysed, types[k], curves), alike[k], agents, target, seed)
        for k in range(len(players))
    )
    return FinitePopulation(game.name, analysed.induced.steps, target, among)


def _among(
    game: Game,
    policy: TabularPolicy,
    population: int,
    known: tuple[Analysed, Everybody, Curves],
    alike: tuple[Measured, Measured],
    agents: Sequence[int],
    target: float | None,
    seed: int,
) -> Among:
    """The entry of one population."""
    analysed, own, curves = known
    player = game.model.populations[population]
    mine = analysed.blocks.types(population)
    worst = int(analysed.gains[mine].argmax())
    numbers = whole_copies(player, agents)
    values = {name: v[worst] for name, v in own.types.values.items()}
    deviator = deviator_of(game, player, analysed.game, analysed.flow, int(mine[worst]), values)
    return Among(
        player=player.name,
        kind="population",
        dynamics=alike[0],
        reward=alike[1],
        sizes=tuple(_at(n, population, curves, analysed) for n in numbers),
        least=None if target is None else _least(player, curves.of(population), target),
        simulated=simulated_worst(game, policy, deviator, numbers, seed),
        worst_type={name: np.asarray(v).tolist() for name, v in values.items()},
        constants=shown_constants(analysed.typed, mine),
        notes=_notes(game, own, analysed.note, player),
    )


def _analysed(game: Game, types: Sequence[Everybody], table: Floats) -> Analysed:
    stages, players = len(table), game.model.populations
    program, params, blocks = typed_program(game, [t.types for t in types])
    shares = np.concatenate([t.types.shares / t.types.shares.sum() for t in types])
    typed = game_of_types(program, params, shares, stages, blocks)
    means = replace(blocks, of_type=np.arange(len(players)))
    alone = np.ones(len(players))
    induced = game_of_types(game.program, game.program.params(), alone, stages, means)
    if typed.steps > stages:  # what is done after the last decision does not matter
        last = np.zeros_like(table[:1])
        last[..., 0] = 1.0
        table = np.concatenate([table, last])
    slopes = law_slopes(game, (typed, blocks), (induced, means), stages)
    flow, mean_flow = typed_flow(typed, table), typed_flow(induced, table)
    own = (slopes.kernel, slopes.reward)
    return Analysed(
        game=typed,
        blocks=blocks,
        flow=flow,
        typed=block_constants(typed, flow, table, blocks, own, slopes.groups),
        gains=typed_gains(typed, flow, table),
        induced=block_constants(induced, mean_flow, table, means, slopes.induced, slopes.groups),
        solver_gaps=typed_gains(induced, mean_flow, table),
        caps=np.array([reward_range(game.model, p) for p in players]),
        seen=seen_by(game.model),
        composition="fixed" if any(t.types.fixed for t in types) else "drawn",
        note=slopes.note,
    )


def _curves(analysed: Analysed, types: Sequence[Everybody], unlike: Asymmetry) -> Curves:
    count, of_type = analysed.blocks.count, analysed.blocks.of_type
    caps = analysed.typed.weights.sum() * analysed.caps

    def of_types(players: int) -> Bound:
        return theorem_b(
            analysed.typed,
            count * players,
            analysed.gains,
            analysed.caps[of_type],
            composition=analysed.composition,
            solver_gap=analysed.solver_gaps[of_type],
            seen=analysed.seen,
        )

    def before(players: int) -> Bound:
        return bound_gain(
            analysed.induced,
            Crowd(count * players, analysed.seen),
            {"solver gap": analysed.solver_gaps},
            caps,
            asymmetry=unlike,
            types=np.arange(count),
        )

    if all(t.complete for t in types):
        return Curves(of_types, before, of_types, of_type)
    if any(t.apart is None for t in types):
        return Curves(of_types, before, None, of_type)
    rows = np.flatnonzero(np.concatenate([t.types.centres for t in types]))

    def near(players: int) -> Bound:
        return bound_gain(
            analysed.typed,
            Crowd(count * players, analysed.seen, mixed=analysed.composition == "fixed"),
            {"type incentive": analysed.gains[rows]},
            caps[of_type[rows]],
            asymmetry=_apart(analysed, types, rows),
            types=rows,
        )

    return Curves(of_types, before, near, of_type[rows])


def _apart(analysed: Analysed, types: Sequence[Everybody], rows: Ints) -> Asymmetry:
    """How far a player may be from the type of a row, and the others from theirs in the mean."""
    apart = np.concatenate([t.apart for t in types if t.apart is not None])[rows]
    others = max(t.others for t in types)
    none = np.zeros((len(rows), analysed.typed.steps))
    alpha, beta = none + apart[:, :1], none + apart[:, 1:].max(1)[:, None]
    return Asymmetry(alpha, beta, none[:, 0], none + others, none[:, 0])


def _at(players: int, population: int, curves: Curves, analysed: Analysed) -> AtSize:
    bound, first = curves.typed(players), curves.before(players)
    mine = analysed.blocks.types(population)
    worst = int(mine[bound.epsilon[mine].argmax()])
    gains, shares = analysed.gains[mine], analysed.game.shares[mine]
    order = np.argsort(gains)
    high = gains[order][np.searchsorted(shares[order].cumsum(), 0.95 * shares.sum())]
    mean = float((gains * shares).sum() / shares.sum())
    return at_size(
        players,
        bound,
        worst,
        min(curve(players).worst for curve in curves.of(population)),
        float(first.epsilon[population]),
        (float(gains.max()), float(high), mean),
    )


def whole_copies(player: Player, agents: Sequence[int]) -> tuple[int, ...]:
    """The numbers of agents, of given ones the next whole copies of them."""
    if not player.fixed or player.agents is None:
        return tuple(agents)
    return tuple(sorted({-(-n // player.agents) * player.agents for n in agents}))


def _least(player: Player, curves: Sequence[Curve], target: float) -> int | None:
    """The smallest of the least numbers of the theorems."""
    found = [least_players(curve, target) for curve in curves]
    known = [n for n in found if n is not None]
    return min(whole_copies(player, known), default=None)


def shown_constants(found: Constants, rows: Ints) -> dict[str, float]:
    """The largest constants of some types along the flow."""
    return {
        "K": float(found.own_slope[rows].max()),
        "K of the policy": float(found.crowd_slope.max()),
        "L": float(found.reward_slope[rows].max()),
        "delta": float(found.own_mixing[rows].max()),
        "delta of the policy": float(found.crowd_mixing.max()),
        "reward span": float(found.reward_span[rows].max()),
        "c": float(found.spread.max()),
    }


def _notes(game: Game, own: Everybody, slopes: str, player: Player) -> tuple[str, ...]:
    notes = [slopes]
    if own.others > 0:
        notes.append(
            f"{len(own.types.shares)} clusters of types, in the mean {own.others:.3g} apart"
        )
    if own.types.note is not None:
        between = "a priori only" if own.apart is None else "by those of cells of all draws"
        between = "by those at the ends" if own.complete else between
        notes.append(f"types: {own.types.note}; gains between them are bounded {between}")
        notes.append("the flow is that of the Gauss points in the place of their law")
    if player.fixed:
        notes.append("players are those of the files, and whole copies of them")
    if game.program.grids:
        notes.append("the tables put continuous variables on points")
    return tuple(notes)
