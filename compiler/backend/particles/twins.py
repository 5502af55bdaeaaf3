"""Expressions that are equal but for the name of their index: one tensor serves for both."""

from collections.abc import Sequence

from mfdsl.compiler.backend.particles.arena import Arena

ANY_INDEX = 999_999  # the depth of an index that stands for all of its type


def twins(arena: Arena, below: Sequence[int]) -> dict[int, int]:
    """Nodes with one free index, to the first of them that says the same about another index.

    `below` are all nodes in question, arguments first.
    """
    anonymous: dict[int, dict[int, int]] = {}
    first: dict[int, int] = {}
    found: dict[int, int] = {}
    for i in below:
        facts = arena.facts(i)
        if len(facts.indices) != 1 or facts.peers:
            continue
        (depth,) = facts.indices
        node, known = arena.node(i), anonymous.setdefault(depth, {})
        if node.op == "index":
            known[i] = arena.add("index", (), ANY_INDEX, arena.type_of(i))
        else:
            known[i] = arena.add(
                node.op, [known.get(a, a) for a in node.args], node.attr, arena.type_of(i)
            )
        twin = first.setdefault(known[i], i)
        if twin != i:
            found[i] = twin
    return found
