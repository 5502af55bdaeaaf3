"""Theorem A around majors and common noise: the constants are the worst over all pasts and turns.

Along a past the population has a law of its own, and what its members meet is one of its turns.
Until the majors' path splits from its limit, the others are as near their law as in theorem A
(`runtime/finite_population/majors.py`). The gain in the limit is that of a response that follows
the past, so it covers all that players can see.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.lipschitz import Question, Source, Subject, Term, lipschitz
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.subjects import law_name
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.walk import given, reachable
from mfdsl.compiler.tabular.rebuild import player_roots
from mfdsl.game import Game
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.finite_population.constants import Constants, affine_slopes, along_flow
from mfdsl.runtime.finite_population.majors import bound_major
from mfdsl.runtime.finite_population.recursion import Crowd, MajorSlopes
from mfdsl.runtime.finite_population.theorem_a import (
    Bound,
    bound_gain,
    least_players,
    reward_cap,
)
from mfdsl.runtime.policy import TabularPolicy, adding_up
from mfdsl.validating.asymmetric import reward_range, seen_by
from mfdsl.validating.blocks import EXACT_MIXING, Floats, Ints
from mfdsl.validating.certified import Among, AtSize, FinitePopulation, at_size
from mfdsl.validating.conditional_game import ConditionalGame, conditional_game
from mfdsl.validating.law_slopes import NO_BOUND, SECONDS, affine, certified_slopes
from mfdsl.validating.past_stages import Stage, stages_of
from mfdsl.validating.populations import shown_constants

Curve = Callable[[int], Bound]


def certified_around(
    game: Game, policy: TabularPolicy, agents: Sequence[int], target: float | None
) -> FinitePopulation:
    """The report of the population and of each major.

    Raises:
        UsageError: there are several populations, hidden traits, or too many pasts.
    """
    inside = conditional_game(game)
    player = game.model.population
    with torch.no_grad():
        view = build_view(game.program)
        evaluation = Evaluation(view, view.policy(adding_up(policy.probs.double())))
        gaps = evaluation.exploitability.per_population
        constants, note = _constants(game, inside, evaluation)
    steps = constants.steps
    slope = np.full((steps, 1), _path_slope(inside.small, player))
    range_ = reward_range(game.model, player)
    majors = MajorSlopes(slope, np.full((1, steps), range_), _at_once(inside))
    gap = {player.name: max(0.0, gaps[player.name])}
    cap = np.array([reward_cap(constants, range_)])
    seen = seen_by(game.model)

    def minors(players: int) -> Bound:
        terms = {"solver gap": np.array([gap[player.name]])}
        return bound_gain(constants, Crowd(players, seen), terms, cap, majors=majors)

    notes = (note, "the policy follows the past of the common state", *_grids(game))
    among = [_entry(player, minors, agents, target, max(0.0, gaps[player.name]), constants, notes)]
    for major in (p for p in game.model.players if p.kind == "major" and p.rewards):
        curve = _major_curve(game.model, major, constants, majors, max(0.0, gaps[major.name]))
        notes = ("the constant of its reward is certified", *_grids(game))
        among.append(
            _entry(major, curve, agents, target, max(0.0, gaps[major.name]), constants, notes)
        )
    return FinitePopulation(game.name, steps, target, tuple(among))


def _grids(game: Game) -> tuple[str, ...]:
    return ("the tables put continuous variables on points",) if game.program.grids else ()


def _entry(
    player: Player,
    curve: Curve,
    agents: Sequence[int],
    target: float | None,
    gap: float,
    constants: Constants,
    notes: tuple[str, ...],
) -> Among:
    def at(players: int) -> AtSize:
        bound = curve(players)
        return at_size(players, bound, 0, bound.worst, bound.worst, (gap, gap, gap))

    return Among(
        player=player.name,
        kind="major" if player.kind == "major" else "population",
        dynamics=None,
        reward=None,
        sizes=tuple(at(n) for n in agents),
        least=None if target is None else least_players(curve, target),
        simulated=None,
        worst_type={},
        constants=shown_constants(constants, np.zeros(1, dtype=np.int64)),
        notes=notes,
    )


def _major_curve(
    model: Model, major: Player, constants: Constants, majors: MajorSlopes, gap: float
) -> Curve:
    """The bound of one major as a function of the number of members."""
    _, running, final = certified_slopes(model, major)
    slopes = np.full((constants.steps, 1), running)
    if constants.steps > (model.horizon.steps or 0):
        slopes[-1] = final
    span = reward_range(model, major)
    return lambda players: bound_major(constants, players, majors, gap, slopes, span)


def _path_slope(small: Model, player: Player) -> float:
    """l1 change of the law of a turn per unit of l1 distance of the law of the population.

    Noises are drawn one after another, so that their changes add up; that of one is at most the
    sum of those of the probabilities of its values.
    """
    facts, total = facts_of(small), 0.0
    source = Source(law_name(player), "law", player)
    for other in (p for p in small.players if p.kind != "population"):
        for noise in (n for n in other.noises if n.density is not None):
            density = given(noise.density)
            if not source.read_by(facts, density):
                continue
            subject = Subject(noise.name, (Term(noise.name, density),))
            found = lipschitz(Question(facts, subject, source, Budget(seconds=SECONDS)))
            known = found.upper is not None and (found.norm or "").startswith("l1")
            upper = found.upper if known and found.upper is not None else NO_BOUND
            total += upper * small.types[noise.type].size
    return min(total, NO_BOUND)


def _at_once(inside: ConditionalGame) -> bool:
    """Whether a reward reads a common noise whose law reads that of the population."""
    small, by_law = inside.small, set(inside.tree.by_law)
    roots = [t.node for p in small.players for t in p.rewards]
    roots += [n.density for p in small.populations for n in p.noises if n.density is not None]
    read = (small.nodes[i] for i in reachable(small.nodes, roots))
    return any(n.op == "common_noise" and n.attr in by_law for n in read)


def _constants(
    game: Game, inside: ConditionalGame, evaluation: Evaluation
) -> tuple[Constants, str]:
    """The worst constants of each stage over pasts and turns, and what the slopes rest on."""
    stages = stages_of(game, inside, evaluation)
    small = inside.small
    straight = affine(small)
    known = None if straight else certified_slopes(small, small.population)
    roots = [n for p in small.players for n in player_roots(p)]
    by_action = any(small.nodes[i].op == "peer_action" for i in reachable(small.nodes, roots))
    states, actions = inside.shape
    groups = None if by_action else np.repeat(np.arange(states)[:, None], actions, axis=1)
    found = [_of_stage(inside, stage, known, groups) for stage in stages]
    note = "constants exact: affine in the law" if straight else "constants certified for all laws"
    if known is not None and max(known) >= NO_BOUND:
        note = "no Lipschitz constant is known: the bound is the cap"
    weights = game.model.discount ** np.arange(len(found), dtype=np.float64)
    return replace(_one_after_another(found), weights=weights), note


def _one_after_another(stages: Sequence[Constants]) -> Constants:
    """The worst of each stage, as the steps of one."""

    def joined(name: str, axis: int) -> Floats:
        return np.concatenate(
            [getattr(c, name).max(axis, keepdims=True) for c in stages], axis=axis
        )

    return Constants(
        reward_slope=joined("reward_slope", 1),
        own_slope=joined("own_slope", 1),
        crowd_slope=joined("crowd_slope", 0),
        own_mixing=joined("own_mixing", 1),
        crowd_mixing=joined("crowd_mixing", 0),
        reward_span=joined("reward_span", 1),
        spread=joined("spread", 1),
        width=joined("width", 0),
        weights=np.ones(len(stages)),
        shares=np.ones(1),
    )


def _of_stage(
    inside: ConditionalGame,
    stage: Stage,
    known: tuple[float, float, float] | None,
    groups: Ints | None,
) -> Constants:
    """The constants at each past and turn, one as a step."""
    last = stage.t == inside.tree.stages
    shape = (1, *stage.policy.shape, 1)
    if known is None:
        kernel, reward = _exact_slopes(inside, stage, last=last)
    else:
        kernel = np.full(shape, 0.0 if last else known[0])
        reward = np.full(shape, known[2] if last else known[1])
    return along_flow(
        stage.kernels[None],
        stage.rewards[None],
        stage.joint,
        stage.policy,
        kernel,
        reward,
        groups=groups,
        legal=stage.legal,
        exact_mixing=stage.policy[0].size <= EXACT_MIXING,
    )


def _exact_slopes(inside: ConditionalGame, stage: Stage, *, last: bool) -> tuple[Floats, Floats]:
    """l1 moduli [1, B, states, actions, 1] of tables that are affine in the law."""
    states, actions = inside.shape
    batch = len(stage.joint)
    columns = np.array(list(stage.values.values()), dtype=np.int64).reshape(-1, batch)
    distinct, place = np.unique(columns, axis=1, return_inverse=True)
    number, cells = distinct.shape[1], states if last else states * actions
    number = max(number, 1) if len(columns) else 1
    place = place.reshape(-1) if len(columns) else np.zeros(batch, dtype=np.int64)
    repeated = np.repeat(distinct, cells, axis=1)
    values = {name: [int(v) for v in row] for name, row in zip(stage.values, repeated, strict=True)}
    laws = np.tile(np.eye(cells), (number, 1))

    def gradient(name: str, end: tuple[int, ...]) -> Floats:
        made = inside.tables(name, stage.t, values, laws)
        return np.moveaxis(made.reshape(number, cells, *end), 1, -1)

    shape = (1, batch, states, actions, 1)
    if last:
        final = affine_slopes(gradient("final_rewards", (states, 1)))[place]
        return np.zeros(shape), np.broadcast_to(final[None, :, :, None, None], shape)
    kernel = affine_slopes(gradient("kernel", (states, actions, states)))[place]
    reward = affine_slopes(gradient("rewards", (states, actions, 1)))[place]
    return kernel[None, ..., None], reward[None, ..., None]
