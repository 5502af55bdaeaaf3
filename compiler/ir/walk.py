"""Questions about the arena: what a root reaches, and which leaves a node depends on.

Arguments come before their node, so every answer is one pass without recursion.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mfdsl.compiler.ir.model import Model, Node

MEANS = ("mean", "mean_if", "mean_others", "mean_others_if")
MEMBERS = (*MEANS, "min_members", "max_members", "min_others", "max_others", "w2")
REDUCTIONS = ("sum_over", "prod_over", "min_over", "max_over", "any_over", "all_over")
LAW = (*MEMBERS, "table")
OWN = ("state", "action", "noise")


@dataclass(frozen=True)
class Leaves:
    """The free leaves of an expression.

    `own` holds (op, name) of own variables, `peers` (depth, op, name) of variables of members bound
    further out, `indices` the depths of indices bound further out. `law` is true when a mean over
    the population occurs anywhere inside.
    """

    own: frozenset[tuple[str, str]] = frozenset()
    peers: frozenset[tuple[int, str, str]] = frozenset()
    indices: frozenset[int] = frozenset()
    parameters: frozenset[str] = frozenset()
    time: bool = False
    law: bool = False

    @property
    def depths(self) -> frozenset[int]:
        """Depths of the binders that the expression is not closed under."""
        return frozenset(depth for depth, _, _ in self.peers) | self.indices

    def names(self, op: str) -> frozenset[str]:
        """Names of the own variables of one sort: `state`, `action` or `noise`."""
        return frozenset(name for sort, name in self.own if sort == op)


def depth_of(node: Node) -> int:
    """The depth at which a mean or a peer leaf is bound: the first part of its attribute."""
    assert isinstance(node.attr, tuple)
    return int(node.attr[0])


def given(node: int | None) -> int:
    """A node that every tabular model has: a law at t = 0, a next value, a density."""
    assert node is not None
    return node


def reachable(nodes: Sequence[Node], roots: Iterable[int]) -> list[int]:
    """All nodes under `roots`, arguments first."""
    seen = set(roots)
    stack = list(seen)
    while stack:
        for argument in nodes[stack.pop()].args:
            if argument not in seen:
                seen.add(argument)
                stack.append(argument)
    return sorted(seen)


def free_leaves(nodes: Sequence[Node], known: Sequence[Leaves] = ()) -> list[Leaves]:
    """The free leaves of every node of the arena; `known` are those of the first nodes."""
    found = list(known)
    for node in nodes[len(found) :]:
        found.append(_leaf(node) or _joined(node, [found[i] for i in node.args]))
    return found


def model_roots(model: Model) -> list[int]:
    """Every node that the population of a model points at, in the order of declaration."""
    population = model.population
    roots = [n for s in population.states for n in (s.initial, s.next) if n is not None]
    roots += [noise.density for noise in population.noises if noise.density is not None]
    roots += [population.legal] if population.legal is not None else []
    roots += [term.node for term in population.rewards]
    return roots + [named.node for named in (*population.lets, *population.observe)]


def _leaf(node: Node) -> Leaves | None:
    attr = node.attr
    if node.op in OWN:
        return Leaves(own=frozenset({(node.op, str(attr))}))
    if node.op in ("peer_state", "peer_action"):
        assert isinstance(attr, tuple)
        return Leaves(peers=frozenset({(int(attr[0]), node.op, str(attr[1]))}))
    if node.op == "index":
        assert isinstance(attr, int)
        return Leaves(indices=frozenset({attr}))
    if node.op == "param":
        return Leaves(parameters=frozenset({str(attr)}))
    return Leaves(time=True) if node.op == "time" else None


def _joined(node: Node, parts: Sequence[Leaves]) -> Leaves:
    """The leaves of all arguments, less what the node itself binds."""
    if len(parts) == 1 and node.op not in LAW:
        return parts[0]
    empty: frozenset[int] = frozenset()
    peers = frozenset[tuple[int, str, str]]().union(*(p.peers for p in parts))
    indices = empty.union(*(p.indices for p in parts))
    if node.op in MEMBERS:
        peers = frozenset(p for p in peers if p[0] != depth_of(node))
    if node.op in REDUCTIONS:
        indices = frozenset(d for d in indices if d != node.attr)
    return Leaves(
        own=frozenset[tuple[str, str]]().union(*(p.own for p in parts)),
        peers=peers,
        indices=indices,
        parameters=frozenset[str]().union(*(p.parameters for p in parts)),
        time=any(p.time for p in parts),
        law=node.op in LAW or any(p.law for p in parts),
    )


def law_moves(model: Model) -> bool:
    """Whether the law of a population enters the next states of anybody."""
    roots = [s.next for p in model.players for s in p.states if s.next is not None]
    roots += [n.density for p in model.players for n in p.noises if n.density is not None]
    return any(model.nodes[k].op in MEMBERS for k in reachable(model.nodes, roots))
