"""What is compared between players: a reward, or the masses of the next states."""

from dataclasses import dataclass
from itertools import product
from math import prod

from mfdsl.compiler.analysis.asymmetry.averages import type_index
from mfdsl.compiler.analysis.kernels import finite_moving, leaf_of, moving_noises
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Player
from mfdsl.compiler.ir.types import BOOL, INT, REAL
from mfdsl.compiler.ir.walk import given, reachable

MAX_OUTCOMES = 64
MAX_STATES = 64


@dataclass(frozen=True)
class Outputs:
    """Roots whose l1 distance is wanted.

    `sharp` says that the distance is attained; without it, it is only an upper bound: several
    outcomes of the noises may be one next state, or a noise is held fixed.
    """

    roots: tuple[int, ...]
    names: tuple[str, ...]
    sharp: bool = True


def reads_traits(copies: Copies, root: int, names: frozenset[str]) -> bool:
    """Whether an expression of a member reads one of its own traits."""
    below = (copies.nodes[i] for i in reachable(copies.nodes, [root]))
    return any(node.op == "trait" and node.attr in names for node in below)


def transition_masses(copies: Copies, player: Player, names: frozenset[str]) -> Outputs:
    """Masses of the next states of a player, as expressions of its state, action and traits.

    Raises:
        Unsupported: a real next state depends on a hidden trait, or there are too many outcomes.
    """
    facts = copies.facts
    real = [s for s in player.states if not facts.types[s.type].finite or facts.types[s.type].dims]
    for state in real:
        if reads_traits(copies, given(state.next), names):
            raise Unsupported(
                f"the next `{state.name}` is not finite and depends on a hidden trait"
            )
    noises = finite_moving(facts.nodes, player)
    sizes = [facts.types[n.type].size for n in noises]
    if prod(sizes) > MAX_OUTCOMES:
        raise Unsupported(f"a law over {prod(sizes)} outcomes")
    states = [s for s in player.states if s not in real]
    weights, nexts = [], []
    for values in product(*(range(size) for size in sizes)):
        instead = {
            leaf: copies.const(facts.types[n.type].first + value, leaf)
            for n, value in zip(noises, values, strict=True)
            if (leaf := leaf_of(facts, player, n.name)) is not None
        }
        densities = [copies.replaced(given(n.density), instead) for n in noises]
        weights.append(_product(copies, densities))
        nexts.append([copies.replaced(given(s.next), instead) for s in states])
    fixed = len(noises) < len(moving_noises(facts.nodes, player))
    kinds = [facts.types[s.type] for s in states]
    if real or prod(k.size for k in kinds) > MAX_STATES:
        if any(reads_traits(copies, n, names) for row in nexts for n in row):
            raise Unsupported("many next states that depend on a hidden trait")
        return Outputs(tuple(weights), tuple(map(str, range(len(weights)))), sharp=False)
    roots, labels = [], []
    for place in product(*(range(k.first, k.first + k.size) for k in kinds)):
        parts = [
            _product(
                copies, [weight, *(_is(copies, n, v) for n, v in zip(row, place, strict=True))]
            )
            for weight, row in zip(weights, nexts, strict=True)
        ]
        roots.append(_sum(copies, parts))
        labels.append(", ".join(map(str, place)))
    return Outputs(tuple(roots), tuple(labels), sharp=not fixed)


def _is(copies: Copies, node: int, value: int) -> int:
    """1 where a next state has that value, else 0."""
    real, whole, truth = (type_index(copies, t) for t in (REAL, INT, BOOL))
    same = copies.add("eq", (node, copies.const(value, node)), None, truth)
    return copies.add("real", (copies.add("ind", (same,), None, whole),), None, real)


def _product(copies: Copies, parts: list[int]) -> int:
    real = type_index(copies, REAL)
    if not parts:
        return copies.add("const", (), 1.0, real)
    return parts[0] if len(parts) == 1 else copies.add("mul", tuple(parts), None, real)


def _sum(copies: Copies, parts: list[int]) -> int:
    real = type_index(copies, REAL)
    return parts[0] if len(parts) == 1 else copies.add("add", tuple(parts), None, real)


def total(copies: Copies, nodes: list[int]) -> int:
    """The sum of terms; 0 without any."""
    return _sum(copies, nodes) if nodes else copies.add("const", (), 0.0, type_index(copies, REAL))


def difference(copies: Copies, one: int, other: int) -> int:
    """One node minus another of the same shape, without what both have in common."""
    nodes = copies.nodes
    type_ = nodes[one].type
    if one == other:
        return copies.add("const", (), 0.0, type_)
    a, b = nodes[one], nodes[other]
    same = a.op == b.op and a.attr == b.attr and len(a.args) == len(b.args)
    apart = [k for k, (x, y) in enumerate(zip(a.args, b.args, strict=False)) if x != y]
    if same and a.op == "add":
        parts = [difference(copies, a.args[k], b.args[k]) for k in apart]
        return parts[0] if len(parts) == 1 else copies.add("add", tuple(parts), None, type_)
    through = {"neg": [0], "mean": [0], "mean_others": [0], "sum_over": [0], "div": [0]}
    if same and len(apart) == 1 and (a.op == "mul" or apart == through.get(a.op)):
        args = list(a.args)
        args[apart[0]] = difference(copies, a.args[apart[0]], b.args[apart[0]])
        return copies.add(a.op, tuple(args), a.attr, type_)
    if same and a.op == "if" and a.args[0] == b.args[0]:
        parts = [difference(copies, a.args[k], b.args[k]) for k in (1, 2)]
        return copies.add("if", (a.args[0], *parts), None, type_)
    negative = copies.add("neg", (other,), None, type_)
    return copies.add("add", (one, negative), None, type_)
