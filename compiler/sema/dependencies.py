"""Who needs whom: names that expressions mention, cycles among them, and the order of draws."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappop, heappush

from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.sema.context import LetSymbol, Symbol
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast


def identifiers(expr: object, *, plain: bool = False) -> Iterator[tuple[str, Span]]:
    """Every name that `expr` mentions, with its place.

    Called functions and members after a point count too, unless only `plain` names are wanted.
    """
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Name):
            yield node.name, node.span
        elif isinstance(node, ast.Ident):
            if not plain:
                yield node.name, node.span
        elif isinstance(node, tuple):
            stack.extend(reversed(node))
        elif isinstance(node, ast.Tree):
            stack.extend(
                getattr(node, field.name)
                for field in reversed(dataclasses.fields(node))
                if field.name != "span"
            )


def called_in(expr: object) -> Iterator[tuple[str, Span]]:
    """Every function that `expr` calls, with its place."""
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Call):
            yield node.function.name, node.function.span
        if isinstance(node, tuple):
            stack.extend(reversed(node))
        elif isinstance(node, ast.Tree):
            stack.extend(getattr(node, f.name) for f in dataclasses.fields(node))


def names_in(expr: ast.Expr, members: Mapping[str, Symbol]) -> set[str]:
    """Names that `expr` mentions, following the lets of the population."""
    seen: set[str] = set()
    stack: list[ast.Expr] = [expr]
    while stack:
        for name, _ in identifiers(stack.pop(), plain=True):
            if name in seen:
                continue
            seen.add(name)
            symbol = members.get(name)
            if isinstance(symbol, LetSymbol):
                stack.append(symbol.declaration.value)
    return seen


def draw_order(needs: Mapping[str, set[str]]) -> list[str]:
    """The names in an order in which each comes after those it needs, else as declared.

    Members of a cycle come in the order of declaration: reading one that is not drawn yet is an
    error where it is read.
    """
    place = {name: k for k, name in enumerate(needs)}
    missing = {name: len((wanted - {name}) & needs.keys()) for name, wanted in needs.items()}
    readers: dict[str, list[str]] = {name: [] for name in needs}
    for name, wanted in needs.items():
        for other in (wanted - {name}) & needs.keys():
            readers[other].append(name)
    ready = [place[name] for name, count in missing.items() if count == 0]
    names, done = list(needs), set[str]()
    order: list[str] = []
    first = 0
    while len(order) < len(names):
        while first < len(names) and names[first] in done:
            first += 1
        chosen = names[heappop(ready)] if ready else names[first]
        if chosen in done:
            continue
        done.add(chosen)
        order.append(chosen)
        for reader in readers[chosen]:
            missing[reader] -= 1
            if missing[reader] == 0:
                heappush(ready, place[reader])
    return order


def report_cycles(
    sink: Sink, bodies: Mapping[str, tuple[ast.Ident, ast.Expr]], code: str, message: str
) -> set[str]:
    """Report each cycle among the definitions once and give the names that lie on one."""
    mentioned = called_in if code == "MFG210" else identifiers
    edges = {
        name: {other: span for other, span in mentioned(body) if other in bodies}
        for name, (_, body) in bodies.items()
    }
    if _is_acyclic(edges):
        return set()
    import networkx  # imported only when there is a cycle to show: it costs 0.1 s

    graph = networkx.DiGraph([(a, b) for a, targets in edges.items() for b in targets])
    on_cycle: set[str] = set()
    for component in networkx.strongly_connected_components(graph):
        nodes = sorted(component, key=list(bodies).index)
        loops = len(nodes) > 1 or graph.has_edge(nodes[0], nodes[0])
        if not loops:
            continue
        on_cycle |= component
        cycle = _shortest_cycle(graph.subgraph(component), nodes)
        _report(sink, bodies, cycle, code, message)
    return on_cycle


def _is_acyclic(edges: Mapping[str, Mapping[str, Span]]) -> bool:
    remaining = {name: set(targets) for name, targets in edges.items()}
    while remaining:
        free = [name for name, targets in remaining.items() if not targets & remaining.keys()]
        if not free:
            return False
        for name in free:
            del remaining[name]
    return True


def _shortest_cycle(graph: object, nodes: list[str]) -> list[str]:
    import networkx

    best: list[str] = []
    for node in nodes:
        for target in sorted(graph.successors(node)):  # type: ignore[attr-defined]
            path = networkx.shortest_path(graph, target, node)
            if not best or len(path) < len(best):
                best = list(path)
    return best


def _report(
    sink: Sink,
    bodies: Mapping[str, tuple[ast.Ident, ast.Expr]],
    cycle: list[str],
    code: str,
    message: str,
) -> None:
    first = min(cycle, key=list(bodies).index)
    start = cycle.index(first)
    places = [(name, bodies[name][0].span) for name in cycle[start:] + cycle[:start]]
    report_cycle(sink, places, code, message)


def report_cycle(
    sink: Sink, cycle: Sequence[tuple[str, Span]], code: str, message: str, help: str = ""
) -> None:
    """Report definitions, each with its place, of which each needs the one after it."""
    names = [f"`{name}`" for name, _ in cycle]
    shown = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
    labels = [(span, f"needs {names[(i + 1) % len(cycle)]}") for i, (_, span) in enumerate(cycle)]
    helps = {
        "MFG601": "let one of them act on the next step by making it a `state`",
        "MFG210": "functions are expanded where they are called, so recursion is not possible",
    }
    if len(cycle) == 1:
        helps["MFG601"] = "let it act on the next step by making it a `state`"
    text = f"{shown} {message if len(cycle) > 1 else message.replace('each other', 'itself')}"
    if len(cycle) == 1:
        text = text.replace("define ", "defines ").replace("call ", "calls ")
    sink.report(
        code, text, labels[0][0], labels[0][1], also=labels[1:], helps=[help or helps[code]]
    )
