"""Kernels of finite populations in exact fractions, where the spec gives them as such.

A chance is a pair of ends; both agree where it is a rational number of the spec. Chances that are
irrational, or vary with something that is not fixed here, lie between the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product as joint
from math import isfinite, prod

import numpy as np

from mfdsl.compiler.analysis.counted import late
from mfdsl.compiler.analysis.enclosure import Evaluator
from mfdsl.compiler.analysis.kernels import moving_noises
from mfdsl.compiler.analysis.structure.masses import Variable, rebuilt, sized
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.decimals import UndefinedError
from mfdsl.compiler.analysis.symbolic.evaluation import Point, value_at
from mfdsl.compiler.analysis.symbolic.terms import Terms, UnsupportedError, written_out
from mfdsl.compiler.ir.model import NoiseVariable, Player
from mfdsl.compiler.ir.walk import given, reachable

MAX_CELLS = 600  # states times actions
MAX_OUTCOMES = 20_000  # cells times outcomes of noises
ROUNDED = Fraction(1, 10**8)  # relative: how far weights of a spec may be from adding up to 1

Chance = tuple[Fraction, Fraction]
Values = tuple[int, ...]
NEVER: Chance = (Fraction(0), Fraction(0))
ALWAYS: Chance = (Fraction(1), Fraction(1))
TIME: Variable = ("time", "None")


class OutOfTimeError(UnsupportedError):
    """The steps were spent before all chances were read."""


@dataclass(frozen=True)
class Step:
    """One stage: actions that are legal [states], and chances of next states by cell (s, a)."""

    legal: tuple[tuple[int, ...], ...]
    nexts: Mapping[tuple[int, int], Mapping[int, Chance]]

    @property
    def exact(self) -> bool:
        """Whether every chance is one fraction."""
        return all(lo == hi for row in self.nexts.values() for lo, hi in row.values())


@dataclass(frozen=True)
class Chain:
    """A population whose members move among finitely many states; traits are states that stay.

    `states` and `actions` hold the values of `held` and `acted`, `initial` the law at t = 0. The
    expressions are over own leaves, noises and time: `nexts` of the states without traits,
    `densities` of the noises, with their values, and the mask `legal`.
    """

    player: Player
    held: tuple[Variable, ...]
    acted: tuple[Variable, ...]
    states: tuple[Values, ...]
    actions: tuple[Values, ...]
    initial: tuple[Chance, ...]
    timed: bool
    terms: Terms
    nexts: tuple[int, ...]
    densities: tuple[int, ...]
    legal: int | None
    noises: tuple[tuple[Variable, range], ...]

    def own(self, state: int, action: int) -> dict[Variable, int]:
        """The values of all own variables of a cell."""
        found = dict(zip(self.held, self.states[state], strict=True))
        return found | dict(zip(self.acted, self.actions[action], strict=True))


def chain_of(copies: Copies, player: Player) -> Chain:
    """The kernel of a population that reads no law.

    Raises:
        UnsupportedError: a variable is not a finite scalar, or there are too many cells.
        TooManyNodes: an expression is too long when it is written out.
    """
    carried = (*player.states, *player.traits)
    held = tuple(
        [("state", s.name) for s in player.states] + [("trait", s.name) for s in player.traits]
    )
    acted = tuple(("action", a.name) for a in player.actions)
    states = tuple(joint(*(sized(player, copies.types, v) for v in held)))
    actions = tuple(joint(*(sized(player, copies.types, v) for v in acted)))
    drawn = moving_noises(copies.nodes, player)
    noises = tuple((("noise", n.name), _drawn(copies, n)) for n in drawn)
    cells, outcomes = len(states) * len(actions), prod(len(v) for _, v in noises)
    if cells > MAX_CELLS or cells * outcomes > MAX_OUTCOMES:
        raise UnsupportedError(f"{cells} states and actions, {outcomes} outcomes at each")
    groups = [
        [given(s.next) for s in player.states],
        [given(n.density) for n in drawn],
        [n for n in (player.legal,) if n is not None],
        [s.initial for s in carried if s.initial is not None],
        [s.start for s in carried if s.start is not None],
    ]
    terms, nodes = written_out(copies.facts, [n for g in groups for n in g], bind=True)
    rest = iter(nodes)
    nexts, densities, legal, masses, starts = (tuple(next(rest) for _ in g) for g in groups)
    moving = reachable(terms.nodes, (*nexts, *densities, *legal))
    fixed = [v for v, s in zip(held, carried, strict=True) if s.start is not None]
    initial = tuple(
        _start(terms, dict(zip(held, state, strict=True)), masses, fixed, starts)
        for state in states
    )
    return Chain(
        player,
        held,
        acted,
        states,
        actions,
        initial,
        any(terms.nodes[i].op == "time" for i in moving),
        terms,
        nexts,
        densities,
        legal[0] if legal else None,
        noises,
    )


def _drawn(copies: Copies, noise: NoiseVariable) -> range:
    type_ = copies.types[noise.type]
    if noise.density is None or type_.dims:
        raise UnsupportedError(f"the noise `{noise.name}` is not finite")
    return range(type_.first, type_.first + type_.size)


def _start(
    terms: Terms,
    own: Mapping[Variable, int],
    masses: Sequence[int],
    fixed: Sequence[Variable],
    starts: Sequence[int],
) -> Chance:
    """The mass of a state at t = 0: the product of all masses where fixed values are met."""
    for variable, node in zip(fixed, starts, strict=True):
        if _whole(terms, _placed(terms, node, own)) != own[variable]:
            return NEVER
    return _product([_chance(terms, _placed(terms, node, own)) for node in masses])


def step_at(chain: Chain, t: int, deadline: float) -> Step:
    """The legal actions and the chances of next states at a stage.

    Raises:
        UnsupportedError: a next state or a mask has no certain value.
        OutOfTimeError: no steps are left.
    """
    place = {state: k for k, state in enumerate(chain.states)}
    legal: list[tuple[int, ...]] = []
    nexts: dict[tuple[int, int], dict[int, Chance]] = {}
    for s in range(len(chain.states)):
        allowed = []
        for a in range(len(chain.actions)):
            if late(deadline):
                raise OutOfTimeError("no steps to read all chances")
            own = chain.own(s, a) | {TIME: t}
            mask = None if chain.legal is None else _placed(chain.terms, chain.legal, own)
            if mask is None or _whole(chain.terms, mask):
                allowed.append(a)
                nexts[s, a] = _row(chain, own, chain.states[s], place)
        legal.append(tuple(allowed))
    return Step(tuple(legal), nexts)


def _row(
    chain: Chain, own: Mapping[Variable, int], state: Values, place: Mapping[Values, int]
) -> dict[int, Chance]:
    """The chances of the next states of one cell."""
    terms, count = chain.terms, len(chain.nexts)
    here = [_placed(terms, n, own) for n in (*chain.nexts, *chain.densities)]
    found: dict[int, Chance] = {}
    for values in joint(*(v for _, v in chain.noises)):
        drawn = dict(zip((v for v, _ in chain.noises), values, strict=True))
        chance = _product([_chance(terms, _placed(terms, d, drawn)) for d in here[count:]])
        if chance[1] == 0:
            continue
        after = tuple(_whole(terms, _placed(terms, n, drawn)) for n in here[:count])
        to = place[(*after, *state[count:])]
        lo, hi = found.get(to, NEVER)
        found[to] = (lo + chance[0], hi + chance[1])
    whole = sum((lo for lo, _ in found.values()), Fraction(0))
    if whole != 1 and all(lo == hi for lo, hi in found.values()):  # weights that are rounded
        return {to: (lo * (1 - ROUNDED), hi * (1 + ROUNDED)) for to, (lo, hi) in found.items()}
    return found


def _placed(terms: Terms, node: int, values: Mapping[Variable, int]) -> int:
    """A term with numbers in the place of some leaves."""

    def instead(index: int) -> int | None:
        here = terms.nodes[index]
        value = None if here.args else values.get((here.op, str(here.attr)))
        return None if value is None else terms.builder.const(value)

    return rebuilt(terms, node, instead)


def _whole(terms: Terms, node: int) -> int:
    """The whole number that a term is.

    Raises:
        UnsupportedError: it is not a number for certain.
    """
    exact = terms.builder.exact(node)
    if exact is None:
        try:
            lo, hi = value_at(terms, node, Point({}))
        except UndefinedError as error:
            raise UnsupportedError(str(error)) from error
        exact = Fraction(lo) if lo == hi else None
    if exact is None or exact.denominator != 1:
        raise UnsupportedError("a next state or a mask that is not certain")
    return int(exact)


def _chance(terms: Terms, node: int) -> Chance:
    """The ends of a chance.

    Raises:
        UnsupportedError: nothing is known of it.
    """
    exact = terms.builder.exact(node)
    if exact is not None:
        return exact, exact
    try:
        lo, hi = value_at(terms, node, Point({}))
        return max(Fraction(lo), Fraction(0)), Fraction(hi)
    except UndefinedError:
        value = Evaluator(terms.as_facts(), {}).value(node)
    low, high = float(np.min(value.lo)), float(np.max(value.hi))
    if not (isfinite(low) and isfinite(high)):
        raise UnsupportedError("a chance without bounds")
    return max(Fraction(low), Fraction(0)), Fraction(high)


def _product(parts: Sequence[Chance]) -> Chance:
    lo, hi = ALWAYS
    for low, high in parts:
        lo, hi = lo * low, hi * high
    return lo, hi
