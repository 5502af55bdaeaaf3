"""A readable dump of a model: its players, then its nodes, one line each."""

from collections.abc import Iterator, Sequence

from mfdsl.compiler.ir.model import Model, Node, Parameter, Player
from mfdsl.compiler.ir.types import Type


def model_text(model: Model) -> str:
    """The dump; the same model always gives the same text, ending in a line break."""
    lines = [_headline(model), *_declarations(model), *_population(model), "nodes"]
    width = len(str(len(model.nodes)))
    lines += [
        f"  %{i:<{width}} = {_node(node)} : {type_text(model.types[node.type])}"
        for i, node in enumerate(model.nodes)
    ]
    return "\n".join(lines) + "\n"


def type_text(type: Type) -> str:
    """A type in a few words: `int 0..9 ring`, `real [0, 1]`, `Health (2)`, `real[3, 2]`."""
    if type.kind in ("enum", "cell", "move", "node", "link"):
        word = type.name if type.kind == "enum" else f"{type.name}.{type.kind}"
        text = f"{word} ({type.size})"
    elif type.kind == "bool":
        text = "bool"
    elif type.lo is None and type.hi is None:
        text = type.kind
    else:
        low = "-inf" if type.lo is None else type.lo
        high = "inf" if type.hi is None else type.hi
        span = f"{low}..{high}" if type.kind == "int" else f"[{low}, {high}]"
        text = f"{type.kind} {span}{' ring' if type.periodic else ''}"
    return f"{text}{list(type.dims)}" if type.dims else text


def _headline(model: Model) -> str:
    horizon = model.horizon.kind
    steps = f" {model.horizon.steps}" if model.horizon.steps is not None else ""
    return (
        f"model {model.name} (abi {model.abi}, {model.objective}, {horizon}{steps},"
        f" discount {model.discount!r})"
    )


def _declarations(model: Model) -> Iterator[str]:
    for parameter in model.parameters:
        yield _parameter(parameter, model.types[parameter.type])
    for enum in model.enums:
        yield f"enum {enum.name}: {', '.join(enum.values)}"
    for grid in model.grids:
        shape = f"{grid.height} x {grid.width}{' torus' if grid.periodic else ''}"
        walls = "" if grid.rows is None else " mapped"
        yield f"grid {grid.name}: {shape}{walls}, moves {', '.join(m[0] for m in grid.moves)}"
    for place, array in enumerate(model.arrays):
        yield f"array {place}: {list(array.dims)}, {len(array.values)} values"


def _parameter(parameter: Parameter, type: Type) -> str:
    value = parameter.value
    shown = f"{len(value)} values" if isinstance(value, tuple) else repr(value)
    return (
        f"{'structural ' if parameter.structural else ''}param {parameter.name}"
        f" : {type_text(type)} = {shown}"
    )


def _population(model: Model) -> Iterator[str]:
    population = model.population
    handle = f" as {population.handle}" if population.handle else ""
    yield f"population {population.name}{handle}"
    for state in population.states:
        kind = type_text(model.types[state.type])
        yield f"  state {state.name} : {kind}, initial %{state.initial}, next %{state.next}"
    for action in population.actions:
        yield f"  action {action.name} : {type_text(model.types[action.type])}"
    for noise in population.noises:
        kind = type_text(model.types[noise.type])
        yield f"  noise {noise.name} : {kind}, density %{noise.density}"
    yield from _roots(population)


def _roots(population: Player) -> Iterator[str]:
    if population.legal is not None:
        yield f"  legal %{population.legal}"
    for let in population.lets:
        yield f"  let {let.name} %{let.node}"
    for term in population.rewards:
        yield f"  {'final ' if term.final else ''}reward {term.name} %{term.node}"
    for item in population.observe:
        yield f"  observe {item.name} %{item.node}"


def _node(node: Node) -> str:
    attr = _attribute(node.attr)
    inner = ", ".join(f"%{i}" for i in node.args)
    return " ".join(part for part in (node.op, attr, f"({inner})" if inner else "") if part)


def _attribute(attr: int | float | str | Sequence[int | str] | None) -> str:
    if attr is None:
        return ""
    if isinstance(attr, (int, float, str)):
        return str(attr)
    return ".".join(str(part) for part in attr)
