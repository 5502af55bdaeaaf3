"""What a policy of the mean-field limit is worth among N players: certified, and simulated.

Theorem A (before anything else is known: alpha and beta), theorem B (each type's best response
against the flow of all types), the curve over N with its parts, and the least N for a target.
Yardim and He, L4DC 2025, arXiv:2408.15173, for the question; the bounds are those of the design
note "approximate symmetry", 2. Arithmetic is float64 without outward rounding.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfdsl.compiler.analysis.asymmetry.asymmetry import Measured, measured, value_range
from mfdsl.compiler.analysis.asymmetry.extremes import VERTICES
from mfdsl.compiler.analysis.asymmetry.outputs import reads_traits
from mfdsl.compiler.analysis.asymmetry.sensitivity import sensitivities
from mfdsl.compiler.analysis.asymmetry.traits import hidden_of
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.walk import reachable
from mfdsl.compiler.tabular.rebuild import player_roots
from mfdsl.errors import UsageError
from mfdsl.game import Game
from mfdsl.runtime.finite_population.constants import Constants, along_flow
from mfdsl.runtime.finite_population.recursion import Asymmetry, Crowd, Seen
from mfdsl.runtime.finite_population.theorem_a import (
    Bound,
    bound_gain,
    least_players,
    reward_cap,
    theorem_a,
)
from mfdsl.runtime.finite_population.theorem_b import (
    Composition,
    TypedFlow,
    TypedGame,
    theorem_b,
    typed_flow,
    typed_gains,
)
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.solution import Solution
from mfdsl.validating.finite_population_text import lines_of, plain
from mfdsl.validating.law_slopes import LawSlopes, law_slopes
from mfdsl.validating.simulated_gain import (
    LEAST_GAMES,
    MOST_AGENTS,
    Deviator,
    SimulatedGain,
    simulated_gain,
)
from mfdsl.validating.typed_game import Types, game_of_types, typed_program, types_of

Floats = NDArray[np.float64]
Near = tuple[float, float, float]
"""Change of dynamics, rewards and final rewards as all draws move by 1 each."""

LARGEST_L1 = 2.0
EXACT_MIXING = 400  # pairs of state and action; beyond that delta is 1


@dataclass(frozen=True)
class AtSize:
    """What is certified with N players: no player gains more than `worst`.

    `typed` is theorem B at the types that are looked at, `a_priori` theorem A for everybody;
    `worst` is the smaller one, with what players may be apart from a type added to the first.
    `limit` are the worst, 95 % and mean gain of a type in the limit, `finite` what N adds at most,
    `terms` the parts of the worst type by cause, `cap` what holds for any policy.
    """

    players: int
    worst: float
    typed: float
    a_priori: float
    limit: tuple[float, float, float]
    finite: float
    terms: dict[str, float]
    cap: float
    vacuous: bool


@dataclass(frozen=True)
class FinitePopulation:
    """The report of a policy among finitely many players.

    `dynamics` and `reward` are alpha and beta, `sizes` one entry for each number of players asked
    for, `least` the least number for `target` (None: no number is enough), `simulated` the gain of
    the worst type among the fewest players, None where that cannot be simulated. `notes` say what
    rests on what.
    """

    name: str
    steps: int
    dynamics: Measured
    reward: Measured
    sizes: tuple[AtSize, ...]
    target: float | None
    least: int | None
    simulated: SimulatedGain | None
    worst_type: dict[str, Any]
    constants: dict[str, float]
    notes: tuple[str, ...]

    def text(self) -> str:
        """The report as lines of text."""
        return "\n".join(lines_of(self)) + "\n"

    def to_json(self) -> dict[str, Any]:
        """The report as plain data; numbers that are not finite are null."""
        found: dict[str, Any] = json.loads(json.dumps(plain(self), default=float))
        return found


@dataclass(frozen=True)
class _Analysed:
    """The induced game, the typed game, and their constants along the flow of the policy."""

    typed: Constants
    induced: Constants
    gains: Floats
    solver_gap: float
    shares: Floats
    flow: TypedFlow
    game: TypedGame
    cap: float
    slopes: LawSlopes


def finite_population_report(
    game: Game,
    solution: Solution | TabularPolicy,
    agents: Sequence[int],
    target: float | None = None,
    seed: int = 0,
) -> FinitePopulation:
    """Certificates for a policy of a game with tables, among each number of `agents`.

    Raises:
        UsageError: the game has no tables, majors or several populations, no finite horizon, or
            members who read hidden traits of each other.
    """
    if not agents or min(agents) < 2:
        raise UsageError("give numbers of players, at least two")
    player = _only_population(game)
    policy = solution if isinstance(solution, TabularPolicy) else solution.policy
    table = _table(game, policy)
    dynamics, reward = (measured(game.model, player.name, w) for w in ("dynamics", "reward"))
    types, complete, near = _everybody(game.model, player, dynamics, reward)
    analysed = _analysed(game, player, types, table)
    unlike = _asymmetry(game.model, player, dynamics, reward, analysed.induced.steps)
    seen = _seen(game.model, player)
    composition: Composition = "fixed" if types.fixed else "drawn"
    per_step = np.full(len(analysed.gains), analysed.cap)

    def of_types(players: int) -> Bound:
        return theorem_b(
            analysed.typed,
            players,
            analysed.gains,
            per_step,
            composition=composition,
            solver_gap=analysed.solver_gap,
            seen=seen,
        )

    def before(players: int) -> Bound:
        gap = analysed.solver_gap
        return theorem_a(analysed.induced, players, gap, analysed.cap, asymmetry=unlike, seen=seen)

    def of_all(players: int) -> Bound:
        if complete:
            return of_types(players)
        return before(players) if near is None else _near(analysed, types, near, players, seen)

    bounds = (of_all, before)
    sizes = []
    for n in agents:
        first, everybody = before(n), of_all(n)
        epsilon = min(everybody.worst, first.worst)
        sizes.append(_at_size(n, of_types(n), epsilon, first, analysed))
    worst = int(analysed.gains.argmax())
    return FinitePopulation(
        name=game.name,
        steps=analysed.induced.steps,
        dynamics=dynamics,
        reward=reward,
        sizes=tuple(sizes),
        target=target,
        least=None if target is None else _least(bounds, target),
        simulated=_simulated(game, player, policy, types, analysed, worst, agents, seed),
        worst_type={name: np.asarray(v[worst]).tolist() for name, v in types.values.items()},
        constants=_constants(analysed.typed),
        notes=_notes(game, types, analysed.slopes, complete=complete, near=near),
    )


def _only_population(game: Game) -> Player:
    if len(game.model.players) != 1 or game.model.objective != "nash":
        raise UsageError("bounds for finite populations are for one population on its own")
    if game.model.horizon.kind != "finite":
        raise UsageError("bounds for finite populations are for finite horizons")
    return game.model.population


def _table(game: Game, policy: TabularPolicy) -> Floats:
    shape = (game.program.horizon or 0, game.program.state_count, game.program.action_count)
    probs = policy.probs.detach().to("cpu").double().numpy()
    if len(probs) != 1 or probs.shape[2:] != shape[1:] or probs.shape[1] not in (1, shape[0]):
        raise UsageError(f"a policy of shape {tuple(probs.shape)} does not fit `{game.name}`")
    return np.broadcast_to(probs[0], shape)


def _analysed(game: Game, player: Player, types: Types, table: Floats) -> _Analysed:
    stages = game.program.horizon or 0
    program, params = typed_program(game, player, types)
    typed = game_of_types(program, params, types.shares, stages)
    induced = game_of_types(game.program, game.program.params(), np.ones(1), stages)
    if typed.steps > stages:  # what is done after the last decision does not matter
        last = np.zeros_like(table[:1])
        last[..., 0] = 1.0
        table = np.concatenate([table, last])
    slopes = law_slopes(game, player, typed, induced, stages)
    flow, mean_flow = typed_flow(typed, table), typed_flow(induced, table)
    return _Analysed(
        typed=_along(typed, flow, table, slopes, slopes.kernel, slopes.reward),
        induced=_along(induced, mean_flow, table, slopes, *slopes.induced),
        gains=typed_gains(typed, flow, table),
        solver_gap=float(typed_gains(induced, mean_flow, table)[0]),
        shares=typed.shares,
        flow=flow,
        game=typed,
        cap=_reward_range(game.model, player),
        slopes=slopes,
    )


def _along(
    game: TypedGame,
    flow: TypedFlow,
    table: Floats,
    slopes: LawSlopes,
    kernel: Floats,
    reward: Floats,
) -> Constants:
    return along_flow(
        flow.kernels,
        flow.rewards,
        flow.joint,
        table,
        kernel,
        reward,
        groups=slopes.groups,
        legal=game.legal,
        discount=game.discount,
        exact_mixing=table[0].size <= EXACT_MIXING,
    )


def _reward_range(model: Model, player: Player) -> float:
    """Span of what one player gets in a step, over everything."""
    spans = []
    for final in (False, True):
        roots = [t.node for t in player.rewards if t.final == final]
        low, high = value_range(model, roots) if roots else (0.0, 0.0)
        spans.append(high - low)
    return max(spans)


def _seen(model: Model, player: Player) -> Seen:
    """Whether laws are those of everybody or of the others; that of everybody moves more."""
    nodes = (model.nodes[i] for i in reachable(model.nodes, player_roots(player)))
    ops = {n.op for n in nodes if n.op.startswith("mean")}
    others = {op for op in ops if op.startswith("mean_others")}
    if others and others != ops:
        raise UsageError("laws of everybody beside laws of the others have no bound here")
    return "others" if others else "everyone"


def _asymmetry(
    model: Model, player: Player, dynamics: Measured, reward: Measured, steps: int
) -> Asymmetry:
    """The worst player among others of mean asymmetry, one row."""
    stages = model.horizon.steps or 0
    beta = np.full((1, steps), _centred(reward))
    if steps > stages:
        beta[:, -1] = _centred(measured(model, player.name, "final"))
    apart = LARGEST_L1 if _starts_apart(model, player) else 0.0
    return Asymmetry(
        transitions=np.full((1, steps), min(dynamics.upper, LARGEST_L1)),
        rewards=beta,
        initial=np.array([apart]),
        others_transitions=np.full((1, steps), min(dynamics.mean[1], LARGEST_L1)),
        others_initial=np.array([apart]),
    )


def _centred(found: Measured) -> float:
    return found.upper if found.centred is None else min(found.upper, found.centred[1])


def _at_size(
    players: int, bound: Bound, epsilon: float, before: Bound, analysed: _Analysed
) -> AtSize:
    worst = int(bound.epsilon.argmax())
    shares, gains = analysed.shares, analysed.gains
    order = np.argsort(gains)
    high = gains[order][np.searchsorted(shares[order].cumsum(), 0.95 * shares.sum())]
    typed, cap = float(bound.epsilon[worst]), float(bound.cap[worst])
    return AtSize(
        players=players,
        worst=epsilon,
        typed=typed,
        a_priori=before.worst,
        limit=(float(gains.max()), float(high), float((gains * shares).sum())),
        finite=float(sum(v[worst] for k, v in bound.terms.items() if k not in LIMIT)),
        terms={name: float(v[worst]) for name, v in bound.terms.items()},
        cap=cap,
        vacuous=epsilon >= cap,
    )


LIMIT = ("solver gap", "type incentive")


def _least(bounds: Sequence[Callable[[int], Bound]], target: float) -> int | None:
    """The smallest of the least numbers of the theorems."""
    found = [least_players(bound, target) for bound in bounds]
    return min((n for n in found if n is not None), default=None)


def _convex(model: Model, player: Player, dynamics: Measured, reward: Measured) -> bool:
    """Whether the ends of the draws of traits have the largest gains of all, exactly.

    Where everybody moves alike and rewards are affine in each draw, the value of a response is,
    too, so that the gain, a maximum of such, is convex in each and largest at an end.
    """
    affine = reward.upper == 0 or VERTICES in reward.method
    final = not any(t.final for t in player.rewards)
    return dynamics.upper == 0 and affine and final and not _starts_apart(model, player)


def _everybody(
    model: Model, player: Player, dynamics: Measured, reward: Measured
) -> tuple[Types, bool, Near | None]:
    """The types, whether their bounds are everybody's, and how far others are from them."""
    plain = types_of(model, player)
    if plain.note is None or (plain.ends and _convex(model, player, dynamics, reward)):
        return plain, True, None
    if not plain.ends or _starts_apart(model, player):
        return plain, False, None
    found = [sensitivities(model, player, what) for what in ("dynamics", "reward", "final")]
    if any(bounds is None for bounds in found):
        return plain, False, None
    types = types_of(model, player, near=True)
    slopes = [sum(bounds.values()) for bounds in found if bounds is not None]
    return types, False, (slopes[0], slopes[1], slopes[2])


def _near(analysed: _Analysed, types: Types, near: Near, players: int, seen: Seen) -> Bound:
    """Theorem B for everybody: a player is at most a cell apart from a type, as in theorem A."""
    rows = np.flatnonzero(types.centres)
    steps = analysed.typed.steps
    dynamics, running, final = (types.radius * slope for slope in near)
    beta = np.full((len(rows), steps), max(running, final))
    none = np.zeros((len(rows), steps))
    return bound_gain(
        analysed.typed,
        Crowd(players, seen),
        {"type incentive": analysed.gains[rows]},
        np.full(len(rows), reward_cap(analysed.typed, analysed.cap)),
        asymmetry=Asymmetry(none + dynamics, beta, none[:, 0], none, none[:, 0]),
        types=rows,
    )


def _starts_apart(model: Model, player: Player) -> bool:
    """Whether the first states of a player depend on its hidden traits."""
    names = frozenset(t.name for t in hidden_of(model, player))
    copies = Copies(facts_of(model))
    starts = [n for s in player.states for n in (s.initial, s.start) if n is not None]
    return any(reads_traits(copies, n, names) for n in starts)


def best_response(game: TypedGame, flow: TypedFlow, kind: int) -> NDArray[np.int64]:
    """Best actions [steps, states] of one type against the flow."""
    best = np.zeros(game.initial.shape[1])
    actions = np.zeros((game.steps, len(best)), dtype=np.int64)
    for h in reversed(range(game.steps)):
        kernel, reward = flow.kernels[kind, h], flow.rewards[kind, h]
        q = reward + game.discount * kernel @ best
        if game.legal is not None:
            q = np.where(game.legal > 0, q, -np.inf)
        actions[h], best = q.argmax(-1), q.max(-1)
    return actions


def _simulated(
    game: Game,
    player: Player,
    policy: TabularPolicy,
    types: Types,
    analysed: _Analysed,
    worst: int,
    agents: Sequence[int],
    seed: int,
) -> SimulatedGain | None:
    """The gain of the worst type in the game itself; None where there are too many."""
    stages = game.program.horizon or 0
    if _starts_apart(game.model, player) or game.program.grids:
        return None
    own = {name: v[worst] for name, v in types.values.items()}
    players, agent = min(agents), 0
    if player.fixed:
        if player.agents is None or player.agents not in agents:
            return None
        players = player.agents
        state = game.simulator(agents=players, batch=1, seed=seed).reset()
        group = getattr(state, game.agents.populations[0])
        fields = game.agents.variables(game.agents.populations[0], "state")
        same = np.ones(players, dtype=bool)
        for name, value in own.items():
            same &= np.isclose(group[fields.index(name)][0].numpy(), value, rtol=1e-9)
        agent, own = int(np.flatnonzero(same)[0]), {}
    if players > MOST_AGENTS // LEAST_GAMES:
        return None
    response = best_response(analysed.game, analysed.flow, worst)[:stages]
    deviator = Deviator(agent, own, response)
    return simulated_gain(game, policy, deviator, players, seed=seed)


def _constants(found: Constants) -> dict[str, float]:
    return {
        "K": float(found.own_slope.max()),
        "K of the policy": float(found.crowd_slope.max()),
        "L": float(found.reward_slope.max()),
        "delta": float(found.own_mixing.max()),
        "delta of the policy": float(found.crowd_mixing.max()),
        "reward span": float(found.reward_span.max()),
        "c": float(found.spread.max()),
    }


def _notes(
    game: Game, types: Types, slopes: LawSlopes, *, complete: bool, near: Near | None
) -> tuple[str, ...]:
    notes = [slopes.note]
    if types.note is not None:
        between = "by those of cells of all draws" if near else "a priori only"
        between = "by those at the ends" if complete else between
        notes.append(f"types: {types.note}; gains between them are bounded " + between)
        if not complete:
            notes.append("the flow is that of these Gauss points in the place of their law")
    if types.fixed:
        notes.append("players are those of the files, other numbers whole copies of them")
    if game.reduced is not None and not game.reduced.exact:
        notes.append("the tables put continuous variables on points")
    return tuple(notes)
