"""How far the players of a population are from the types that theorem B looks at, or from one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
from mfdsl.runtime.finite_population.constants import FULL
from mfdsl.runtime.finite_population.recursion import Asymmetry, Seen
from mfdsl.validating.typed_game import Floats, Types, types_of


@dataclass(frozen=True)
class Everybody:
    """The types of a population; `complete` where their bounds are everybody's.

    Else `apart` [types, 3] is how far the members near each type may be from it, in dynamics (l1),
    rewards and final rewards, None where that is not known, and `others` the mean over all members
    of the first.
    """

    types: Types
    complete: bool
    apart: Floats | None
    others: float = 0.0


def everybody(model: Model, player: Player, dynamics: Measured, reward: Measured) -> Everybody:
    """The types whose bounds hold for all members, as far as that is known."""
    plain = types_of(model, player)
    if plain.note is None or (plain.ends and _convex(model, player, dynamics, reward)):
        return Everybody(plain, True, np.zeros((len(plain.shares), 3)))
    if not plain.ends or starts_apart(model, player):
        return Everybody(plain, False, None)
    found = [sensitivities(model, player, what) for what in ("dynamics", "reward", "final")]
    if any(bounds is None for bounds in found):
        return Everybody(plain, False, None)
    slopes = [sum(bounds.values()) for bounds in found if bounds is not None]
    types = types_of(model, player, near=True)
    return Everybody(types, False, np.tile(types.radius * np.array(slopes), (len(types.shares), 1)))


def _convex(model: Model, player: Player, dynamics: Measured, reward: Measured) -> bool:
    """Whether the ends of the draws of traits have the largest gains of all, exactly.

    Where everybody moves alike and rewards are affine in each draw, the value of a response is,
    too, so that the gain, a maximum of such, is convex in each and largest at an end.
    """
    affine = reward.upper == 0 or VERTICES in reward.method
    final = not any(t.final for t in player.rewards)
    return dynamics.upper == 0 and affine and final and not starts_apart(model, player)


def starts_apart(model: Model, player: Player) -> bool:
    """Whether the first states of a player depend on its hidden traits."""
    names = frozenset(t.name for t in hidden_of(model, player))
    copies = Copies(facts_of(model))
    starts = [n for s in player.states for n in (s.initial, s.start) if n is not None]
    return any(reads_traits(copies, n, names) for n in starts)


def asymmetry_of(model: Model, alike: Sequence[tuple[Measured, Measured]], steps: int) -> Asymmetry:
    """The worst player of each population, among others of the largest mean of any population."""
    stages = model.horizon.steps or 0
    rows = len(alike)
    beta = np.array([[_centred(reward)] for _, reward in alike]) * np.ones(steps)
    if steps > stages:
        finals = [measured(model, p.name, "final") for p in model.populations]
        beta[:, -1] = [_centred(final) for final in finals]
    apart = np.array([FULL if starts_apart(model, p) else 0.0 for p in model.populations])
    alpha = np.array([[min(dynamics.upper, FULL)] for dynamics, _ in alike])
    mean = max(min(dynamics.mean[1], FULL) for dynamics, _ in alike)
    return Asymmetry(
        transitions=alpha * np.ones(steps),
        rewards=beta,
        initial=apart,
        others_transitions=np.full((rows, steps), mean),
        others_initial=np.full(rows, apart.max()),
    )


def _centred(found: Measured) -> float:
    return found.upper if found.centred is None else min(found.upper, found.centred[1])


def reward_range(model: Model, player: Player) -> float:
    """Span of what one player gets in a step, over everything."""
    spans = []
    for final in (False, True):
        roots = [t.node for t in player.rewards if t.final == final]
        low, high = value_range(model, roots) if roots else (0.0, 0.0)
        spans.append(high - low)
    return max(spans)


def seen_by(model: Model) -> Seen:
    """Whether laws are those of everybody or of the others; that of everybody moves more.

    Raises:
        UsageError: some are the one and some the other.
    """
    roots = [n for p in model.populations for n in player_roots(p)]
    ops = {model.nodes[i].op for i in reachable(model.nodes, roots)}
    means = {op for op in ops if op.startswith("mean")}
    others = {op for op in means if op.startswith("mean_others")}
    if others and others != means:
        raise UsageError("laws of everybody beside laws of the others have no bound here")
    return "others" if others else "everyone"
