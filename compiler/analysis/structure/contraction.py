"""Contraction of the soft fixed-point iteration: from which temperature on, and what that costs.

The map takes a flow to the soft best response at a temperature, and that to its own flow. With
L_mu, K_mu the l1 moduli of reward and kernel in the law, delta_P the Dobrushin coefficient and
L = delta_P + K_mu, policies at stage k move by (1 / temperature) sum over j >= k of
B[k, j] |law_j| and flows at stage h by sum over k <= h of L^(h - k) |policy_k|; the map contracts
above tau* = the spectral radius of F B (compare Cui and Koeppl, Approximately solving mean field
games via entropy-regularized deep reinforcement learning, AISTATS 2021, arXiv:2102.01585). The
radius is bounded by the quotients of Collatz and Wielandt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.clock import processor_time
from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.kernels import reads_means
from mfdsl.compiler.analysis.slopes.domain import STILL, root_rows, spaces_of
from mfdsl.compiler.analysis.slopes.forward import Forward
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.tape import Tape, Unsupported
from mfdsl.compiler.analysis.slopes.taping import make_tape
from mfdsl.compiler.analysis.structure.existence import continuity
from mfdsl.compiler.analysis.structure.mixing import kernel_modulus, mixing
from mfdsl.compiler.analysis.structure.stages import draws_from_law, mean_of, total_of
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.sight import hidden

MAX_STAGES = 2000
ROUNDS = 60
ROUNDING = 1e-9  # relative: more than all rounding of sums of positive numbers here


@dataclass(frozen=True)
class Factors:
    """Upper bounds, in l1: moduli of running reward, final reward and kernel in the law; spans of
    both rewards; distance of next states of two members, and of two actions at one state.
    """

    running: float
    final: float
    kernel: float
    span: float
    final_span: float
    members: float
    actions: float


def contraction(model: Model, copies: Copies, seconds: float) -> Certificate:
    """The certificate `contraction`: `upper` is the temperature from which on flows contract."""
    started = processor_time()
    why = _outside(model)
    obligations: tuple[Certificate, ...] = ()
    upper = math.inf
    detail = why
    if why is None:
        player = model.population
        try:
            means = [mean_of(model, copies, t.node, player) for t in player.rewards]
            if any(draws_from_law(copies.facts, model.players, n) for n in means):
                raise Unsupported("a reward reads a noise whose chances depend on the law")
            broken = [c for c in continuity(model, copies, seconds) if c.verdict != "proved"]
            if broken:
                raise Unsupported(f"{broken[0].subject}: {broken[0].detail}")
            factors = factors_of(model, copies, player)
            obligations = _obligations(player, factors)
            upper, detail = threshold(model, factors)
        except Unsupported as error:
            detail = str(error)
    proved = math.isfinite(upper)
    return Certificate(
        claim="contraction",
        subject="soft fixed point",
        source="mu",
        verdict="proved" if proved else "unknown",
        upper=upper if proved else None,
        norm="weighted l1 of flows",
        method=("moduli of reward and kernel", "quotients of Collatz and Wielandt"),
        rigor="enclosure",
        reason=None if proved else "unsupported" if not obligations else "domain",
        detail=detail,
        obligations=obligations,
        seconds=round(processor_time() - started, 6),
    )


def _outside(model: Model) -> str | None:
    """Why the theorem does not cover a game."""
    if not model.tabular:
        return _shape(model)
    if model.horizon.kind == "infinite":
        return "the theorem has a finite or a stationary horizon"
    if model.horizon.steps is not None and model.horizon.steps > MAX_STAGES:
        return f"more than {MAX_STAGES} stages"
    unseen = hidden(model, model.population)
    if unseen is not None:
        return f"the theorem has policies that see the state and t, and these do not see `{unseen}`"
    return None


def _shape(model: Model) -> str:
    """What keeps a game from being one population with finite variables and nothing else."""
    if model.objective == "team":
        return "the players are a team: the theorem is about Nash equilibria"
    if len(model.populations) != 1:
        return f"{len(model.populations)} populations: the theorem has one"
    other = next((p for p in model.players if p.kind != "population"), None)
    if other is not None:
        article = "a major" if other.kind == "major" else "an environment"
        return f"{article}, `{other.name}`: the theorem has one population and nothing else"
    player = model.population
    if player.traits:
        return f"a trait, `{player.traits[0].name}`: the theorem has states and actions"
    for v in (*player.states, *player.actions, *player.noises):
        if model.types[v.type].dims or not model.types[v.type].finite:
            return f"`{v.name}` is not a finite scalar, as all variables of the theorem are"
    return "it reads more of single members than their law, which the theorem does not have"


def factors_of(model: Model, copies: Copies, player: Player) -> Factors:
    """The factors of a tabular game, from bounds over all laws at once.

    Raises:
        Unsupported: an expression has no interval slopes.
    """
    running = [mean_of(model, copies, t.node, player) for t in player.rewards if not t.final]
    final = [mean_of(model, copies, t.node, player) for t in player.rewards if t.final]
    near = mixing(model, copies, player)
    return Factors(
        _modulus(copies, player, running),
        _modulus(copies, player, final),
        kernel_modulus(copies, player),
        _span(copies, running),
        _span(copies, final),
        near.members,
        near.actions,
    )


def _modulus(copies: Copies, player: Player, nodes: Sequence[int]) -> float:
    reading = [n for n in nodes if reads_means(copies.facts, n, player.name)]
    if not reading:
        return 0.0
    tape = make_tape(copies.facts, [total_of(copies, reading)])
    problem = LawSlope(tape, player.name)
    return float(problem.bound(root_rows(tape)).max())


def _span(copies: Copies, nodes: Sequence[int]) -> float:
    if not nodes:
        return 0.0
    tape = make_tape(copies.facts, [total_of(copies, nodes)])
    lo, hi = _values(tape)
    return float(np.nextafter(hi.max() - lo.min(), np.inf))


def _values(tape: Tape) -> tuple[Array, Array]:
    value = Forward(tape, root_rows(tape), STILL, None, spaces_of(tape)).value(tape.roots[0])
    return value.lo, value.hi


def threshold(model: Model, factors: Factors) -> tuple[float, str]:
    """tau*, infinite where there is none, and what to know about it."""
    masked = model.population.legal is not None
    if masked and factors.kernel > 0:
        return math.inf, "masked actions, with a kernel that reads the law, are not covered"
    if not all(math.isfinite(f) for f in (factors.running, factors.final, factors.kernel)):
        return math.inf, "a modulus is not bounded"
    if factors.kernel > 0 and not math.isfinite(factors.span + factors.final_span):
        return math.inf, "the reward is not bounded"
    if model.horizon.kind == "stationary":
        return _stationary(model, factors)
    stages = model.horizon.steps or 0
    root = spectral_bound(stages, model.discount, factors)
    if not math.isfinite(root):
        return math.inf, f"the bound overflows over {stages} stages: L = {_growth(factors):.4g}"
    bias = root * stages * _entropy(model)
    return root, f"bias of the entropy at this temperature: up to {bias:.4g}"


def _growth(factors: Factors) -> float:
    return factors.members + factors.kernel


def _entropy(model: Model) -> float:
    sizes = [model.types[a.type].size for a in model.population.actions]
    return math.log(max(math.prod(sizes), 1))


def spectral_bound(stages: int, discount: float, factors: Factors) -> float:
    """An upper bound of the spectral radius of F B; inf where it overflows."""
    count = stages + 1
    spans = np.zeros(count + 1)
    spans[stages] = factors.final_span
    for j in range(stages - 1, -1, -1):
        spans[j] = factors.span + discount * factors.members * spans[j + 1]
    weights = np.zeros(count)
    weights[:stages] = factors.running
    if factors.kernel > 0:
        weights[:stages] += 0.5 * discount * factors.kernel * spans[1 : stages + 1]
    weights[stages] = factors.final
    if not np.any(weights):
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        best = _collatz_wielandt(weights, discount, _growth(factors), stages)
    return best * (1 + ROUNDING * count) if math.isfinite(best) else math.inf


def _collatz_wielandt(weights: Array, discount: float, growth: float, stages: int) -> float:
    """The least quotient max (M w)_i / w_i over some rounds of power iteration."""
    w = np.ones(stages + 1)
    best = math.inf
    for _ in range(ROUNDS):
        after = _applied(weights, discount, growth, stages, w)
        if not np.isfinite(after).all():
            break
        best = min(best, float((after / w).max()))
        top = float(after.max())
        if top == 0:
            break
        w = np.maximum(after / top, 1e-12)
    return best


def _applied(weights: Array, discount: float, growth: float, stages: int, w: Array) -> Array:
    """F B w: policies from later laws, flows from earlier policies."""
    policies = np.zeros(stages + 1)
    moved = weights[stages] * w[stages]
    for k in range(stages - 1, -1, -1):
        moved = weights[k] * w[k] + discount * moved
        policies[k] = moved
    flows = np.zeros(stages + 1)
    carried = 0.0
    for h in range(stages + 1):
        carried = growth * carried + policies[h]
        flows[h] = carried
    return flows


def _stationary(model: Model, factors: Factors) -> tuple[float, str]:
    """tau* of the law that a step under the soft best response leads to."""
    if _reads_actions(model):
        return math.inf, "a stationary law is covered where only laws of states are read"
    growth = _growth(factors)
    if growth >= 1:
        return math.inf, f"one step of the kernel does not contract: delta_P + K_mu = {growth:.4g}"
    gamma = model.discount
    span = factors.span / (1 - gamma * factors.members) if factors.kernel > 0 else 0.0
    slope = (factors.running + 0.5 * gamma * factors.kernel * span) / (1 - gamma)
    root = factors.actions * slope / (1 - growth) * (1 + ROUNDING)
    bias = root * _entropy(model) / (1 - gamma)
    return root, f"bias of the entropy at this temperature: up to {bias:.4g}"


def _reads_actions(model: Model) -> bool:
    return any(node.op == "peer_action" for node in model.nodes)


def _obligations(player: Player, factors: Factors) -> tuple[Certificate, ...]:
    norms = {
        "L_mu": (factors.running, "l1 -> absolute value"),
        "L_mu of the final reward": (factors.final, "l1 -> absolute value"),
        "K_mu": (factors.kernel, "l1 -> l1"),
        "span of the reward": (factors.span, "absolute value"),
        "delta_P": (factors.members, "total variation"),
        "delta_P between actions": (factors.actions, "total variation"),
    }
    return tuple(
        Certificate(
            claim=name,
            subject=player.name,
            source="mu",
            verdict="proved" if math.isfinite(value) else "unknown",
            upper=value if math.isfinite(value) else None,
            norm=norm,
            method=("interval derivatives with Clarke rules",)
            if name[0] in "LK"
            else ("enumeration over all laws",),
            rigor="enclosure",
            reason=None if math.isfinite(value) else "domain",
        )
        for name, (value, norm) in norms.items()
    )
