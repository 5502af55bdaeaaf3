"""Graphs of a spec: nodes and links with their numbers, written in place or read from a file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mfdsl.compiler.imports import Files, Loaded, data_file
from mfdsl.compiler.ir.model import Graph
from mfdsl.compiler.ir.spaces import link_type, node_type
from mfdsl.compiler.ir.types import REAL, Type
from mfdsl.compiler.sema import sets
from mfdsl.compiler.sema.context import Context
from mfdsl.compiler.sema.data import DataError
from mfdsl.compiler.sema.graph_files import Link, read_links
from mfdsl.compiler.sema.suggestions import did_you_mean
from mfdsl.compiler.sema.values import POISON, Env, GraphName, Poison, Term, Value
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast

MAX_NODES = 100_000
MAX_LINKS = 1_000_000
PARALLEL = "of two roads between the same nodes, one needs a node in between: `A -> M -> B`"


@dataclass(slots=True)
class _Growing:
    """A graph while its items are read: names and places of what is already there."""

    nodes: dict[str, int] = field(default_factory=dict)
    node_numbers: dict[int, dict[str, float]] = field(default_factory=dict)
    links: dict[tuple[int, int], Span] = field(default_factory=dict)
    numbers: list[dict[str, float]] = field(default_factory=list)

    def node(self, name: str) -> int:
        """The position of a node, which is added when it is new."""
        return self.nodes.setdefault(name, len(self.nodes))


def declare_graphs(ctx: Context, unit: ast.Unit, loaded: Loaded, files: Files) -> None:
    """Build the graphs of a file."""
    for declaration in unit.declarations:
        if isinstance(declaration, ast.Graph):
            declare_graph(ctx, unit, declaration, loaded, files)


def declare_graph(
    ctx: Context, unit: ast.Unit, declaration: ast.Graph, loaded: Loaded, files: Files
) -> None:
    """Build a graph that is not there yet; the parameters that its numbers use must be bound."""
    name, scope = declaration.name.name, ctx.scopes[unit.file]
    if name in scope:
        return
    graph = _graph(ctx, unit, declaration, loaded, files)
    scope[name] = POISON if graph is None else GraphName(graph)
    if graph is not None:
        ctx.graphs[name] = graph


def _graph(
    ctx: Context, unit: ast.Unit, declaration: ast.Graph, loaded: Loaded, files: Files
) -> Graph | None:
    growing, failed = _Growing(), False
    for item in declaration.items:
        if isinstance(item, ast.GraphNode):
            failed |= not _add_node(ctx, unit.file, growing, item)
        elif isinstance(item, ast.GraphLink):
            failed |= not _add_written(ctx, unit.file, growing, item)
        else:
            failed |= not _add_file(ctx, unit.file, growing, item, loaded, files)
    if failed or not _small_enough(ctx, growing, declaration):
        return None
    if not growing.links:
        ctx.error(
            "MFG111",
            f"graph `{declaration.name.name}` has no link",
            declaration.name.span,
            "nobody can move",
            helps=['add `link A -> B`, or `file "links.csv"`'],
        )
        return None
    attributes = _columns(ctx, growing, declaration)
    nodes = _node_columns(ctx, growing, declaration)
    if attributes is None or nodes is None:
        return None
    return Graph(
        name=declaration.name.name,
        nodes=tuple(growing.nodes),
        links=tuple(growing.links),
        attributes=attributes,
        node_attributes=nodes,
        doc=declaration.doc,
    )


def _small_enough(ctx: Context, growing: _Growing, declaration: ast.Graph) -> bool:
    for count, limit, what in (
        (len(growing.nodes), MAX_NODES, "nodes"),
        (len(growing.links), MAX_LINKS, "links"),
    ):
        if count > limit:
            ctx.error(
                "MFG701",
                f"the graph has more than {limit:,} {what}",
                declaration.name.span,
                "the limit of a graph",
            )
            return False
    return True


def _settings(ctx: Context, file: str, settings: Sequence[ast.Setting]) -> dict[str, float] | None:
    numbers: dict[str, float] = {}
    env = Env(file=file, static=True)
    for setting in settings:
        name = setting.name.name
        if name in numbers:
            ctx.error("MFG102", f"`{name}` is already given", setting.name.span, "given again")
            return None
        value = sets.static_real(ctx, env, setting.value, "a number of a graph")
        if value is None:
            return None
        numbers[name] = value
    return numbers


def _add_node(ctx: Context, file: str, growing: _Growing, item: ast.GraphNode) -> bool:
    numbers = _settings(ctx, file, item.settings)
    if numbers is None:
        return False
    place = growing.node(item.name.name)
    if place in growing.node_numbers:
        ctx.error(
            "MFG102", f"`{item.name.name}` is already a node", item.name.span, "declared again"
        )
        return False
    growing.node_numbers[place] = numbers
    return True


def _add_written(ctx: Context, file: str, growing: _Growing, item: ast.GraphLink) -> bool:
    numbers = _settings(ctx, file, item.settings)
    if numbers is None:
        return False
    ends = (growing.node(item.tail.name), growing.node(item.head.name))
    both = [ends, ends[::-1]] if item.both_ways and ends[0] != ends[1] else [ends]
    for link in both:
        if link in growing.links:
            ctx.error(
                "MFG102",
                "there already is a link between these nodes",
                item.span,
                "declared again",
                also=[(growing.links[link], "declared here first")],
                helps=[PARALLEL],
            )
            return False
        growing.links[link] = item.span
        growing.numbers.append(numbers)
    return True


def _add_file(
    ctx: Context,
    file: str,
    growing: _Growing,
    item: ast.GraphFile,
    loaded: Loaded,
    files: Files,
) -> bool:
    path = data_file(loaded, file, item.path, files, ctx.sink)
    if path is None:
        return False
    try:
        return _add_links(ctx, growing, item, read_links(path))
    except DataError as error:
        ctx.error("MFG705", str(error), item.path.span, "read here")
        return False


def _add_links(ctx: Context, growing: _Growing, item: ast.GraphFile, found: Iterable[Link]) -> bool:
    """Add the links of a file, of which no more are read than a graph may have."""
    for link in found:
        ends = (growing.node(link.tail), growing.node(link.head))
        if ends in growing.links:
            ctx.error(
                "MFG705",
                f"`{item.path.value}` {link.where}: the link from {link.tail} to {link.head}"
                " is there already",
                item.path.span,
                "links are told apart by their ends",
                helps=[PARALLEL],
            )
            return False
        growing.links[ends] = item.path.span
        growing.numbers.append(dict(link.numbers))
        if len(growing.nodes) > MAX_NODES or len(growing.links) > MAX_LINKS:
            break
    return True


def _columns(
    ctx: Context, growing: _Growing, declaration: ast.Graph
) -> dict[str, tuple[float, ...]] | None:
    """The numbers of the links by name; every link must have them all."""
    names = list(dict.fromkeys(name for numbers in growing.numbers for name in numbers))
    nodes = list(growing.nodes)
    for ends, numbers in zip(growing.links, growing.numbers, strict=True):
        missing = [name for name in names if name not in numbers]
        if missing:
            ctx.error(
                "MFG111",
                f"the link {nodes[ends[0]]} -> {nodes[ends[1]]} has no `{missing[0]}`",
                growing.links[ends],
                "other links have it",
                also=[(declaration.name.span, "every link of a graph has the same numbers")],
                helps=did_you_mean(missing[0], numbers, []),
            )
            return None
    return {name: tuple(numbers[name] for numbers in growing.numbers) for name in names}


def _node_columns(
    ctx: Context, growing: _Growing, declaration: ast.Graph
) -> dict[str, tuple[float, ...]] | None:
    """The numbers of the nodes by name; every node must have them all."""
    names = list(dict.fromkeys(n for numbers in growing.node_numbers.values() for n in numbers))
    for name, place in growing.nodes.items():
        missing = [n for n in names if n not in growing.node_numbers.get(place, {})]
        if missing:
            ctx.error(
                "MFG111",
                f"the node {name} has no `{missing[0]}`",
                declaration.name.span,
                "other nodes have it",
                helps=[f"add `node {name} {{ {missing[0]} = 0 }}`"],
            )
            return None
    return {
        n: tuple(growing.node_numbers[place][n] for place in growing.nodes.values()) for n in names
    }


def graph_field(ctx: Context, graph: Graph, name: str) -> Value | None:
    """`city.A`: the node of that name, or None."""
    ctx.used.add(graph.name)
    if name in graph.nodes:
        return ctx.constant(graph.nodes.index(name), node_type(graph))
    return None


def graph_parts(graph: Graph) -> list[str]:
    """What may stand after the name of a graph and a point."""
    return ["node", "link", *graph.nodes]


def entry_of(ctx: Context, graph: Graph, expr: ast.Index) -> Value:
    """`city[A, B]`: the link from A to B; `city[A]`: a node, `city["Main St"]` or `city[7]` where
    its name in a file is no name of the language.
    """
    ctx.used.add(graph.name)
    ends = [argument.value for argument in expr.indices]
    if len(ends) not in (1, 2):
        return ctx.error(
            "MFG202",
            f"links of `{graph.name}` are written `{graph.name}[from, to]`",
            expr.span,
            f"{len(ends)} names here",
        )
    places = []
    for end in ends:
        name = _node_name(end)
        if name is None or name not in graph.nodes:
            near = [n for n in graph.nodes if n.isidentifier()]  # these replace it as they are
            return ctx.error(
                "MFG107",
                f"graph `{graph.name}` has no node {f'`{name}`' if name else 'here'}",
                end.span,
                "the ends of a link are nodes by name" if len(ends) == 2 else "a node by its name",
                helps=did_you_mean(name, near, [end.span]) if name else [],
            )
        places.append(graph.nodes.index(name))
    if len(places) == 1:
        return ctx.constant(places[0], node_type(graph))
    link = (places[0], places[1])
    if link not in graph.links:
        away = [graph.nodes[h] for t, h in graph.links if t == places[0]]
        return ctx.error(
            "MFG107",
            f"graph `{graph.name}` has no link from {graph.nodes[link[0]]} to"
            f" {graph.nodes[link[1]]}",
            expr.span,
            f"from {graph.nodes[link[0]]} links go to {', '.join(away[:6]) or 'nowhere'}",
        )
    return ctx.constant(graph.links.index(link), link_type(graph))


def _node_name(end: ast.Expr) -> str | None:
    """The name of a node as it is written: `A`, `city.A`, `"Main St"` or `7`."""
    match end:
        case ast.Name(name=name):
            return name
        case ast.Field(name=ident):
            return ident.name
        case ast.Text(value=text):
            return text
        case ast.Number(value=value, integral=True):
            return str(value)
    return None


def attribute(ctx: Context, term: Term, name: str, span: Span) -> Value | None:
    """`e.t0` of a link or a node: its number of that name, or None when there is none."""
    graph = ctx.graphs[term.type.name or ""]
    numbers: Mapping[str, tuple[float, ...]] = (
        graph.attributes if term.type.kind == "link" else graph.node_attributes
    )
    if name not in numbers:
        return None
    values = numbers[name]
    return _entry(ctx, values, term, REAL, span)


def attributes_of(ctx: Context, term: Term) -> list[str]:
    """The numbers that a link or a node has, by name."""
    graph = ctx.graphs[term.type.name or ""]
    return list(graph.attributes if term.type.kind == "link" else graph.node_attributes)


def lower_end(ctx: Context, value: Value, name: str, span: Span) -> Value:
    """`tail(e)` and `head(e)`: the nodes that a link leaves and reaches."""
    if isinstance(value, Poison):
        return POISON
    if not isinstance(value, Term) or value.type.kind != "link" or value.type.dims:
        return ctx.error(
            "MFG201", f"`{name}` is asked of a link", span, "not a link", helps=[f"`{name}(e)`"]
        )
    graph = ctx.graphs[value.type.name or ""]
    ends = [float(link[name == "head"]) for link in graph.links]
    return _entry(ctx, ends, value, node_type(graph), span)


def _entry(ctx: Context, values: Sequence[float], term: Term, type: Type, span: Span) -> Term:
    """The entry of a table over nodes or links at `term`."""
    if len(set(values)) == 1:
        return ctx.constant(values[0], type)
    exact = ctx.exact(term)
    if exact is not None:
        return ctx.constant(values[int(exact)], type)
    array = ctx.builder.array((len(values),), values, kind="real" if type == REAL else "int")
    return ctx.node("element", (array, term.node), type, span)
