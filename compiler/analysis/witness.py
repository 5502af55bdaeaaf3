"""Witnesses in the words of a spec: values by name, laws by their members."""

import numpy as np

from mfdsl.compiler.analysis.certificate import Witness
from mfdsl.compiler.analysis.intervals import Array
from mfdsl.compiler.analysis.slopes.domain import Space
from mfdsl.compiler.analysis.slopes.jumps import Cliff
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.point_slope import PointSlope
from mfdsl.compiler.analysis.slopes.segments import Segment
from mfdsl.compiler.analysis.slopes.tape import Tape, first_of
from mfdsl.compiler.analysis.slopes.value import LargestValue

SHOWN = 6  # kinds of members of a law that are named


def place_witness(tape: Tape, place: tuple[int, ...]) -> Witness:
    """Values of the enumerated variables at a grid point."""
    found: Witness = {}
    for leaf, position in zip(tape.grid, place, strict=True):
        found[leaf_name(tape, leaf)] = value_name(tape, leaf, int(position))
    return found


def leaf_name(tape: Tape, leaf: int) -> str:
    """The name of a variable as it is written."""
    node = tape.facts.nodes[leaf]
    if node.op == "time":
        return "t"
    return ".".join(map(str, node.attr)) if isinstance(node.attr, tuple) else str(node.attr)


def value_name(tape: Tape, leaf: int, position: int) -> int | str:
    """A value by its position: enum values by name, cells as `grid[row, column]`."""
    facts, value = tape.facts, first_of(tape.facts, leaf) + position
    type_ = facts.types[facts.nodes[leaf].type]
    name = str(type_.name)
    if type_.kind == "enum" and name in facts.names:
        return facts.names[name][value]
    if type_.kind == "bool":
        return "true" if value else "false"
    if type_.kind == "cell" and name in facts.grids:
        space = facts.grids[name]
        row, column = next(
            (p for p, k in space.cells.items() if k == value), divmod(value, space.grid.width)
        )
        return f"{name}[{row}, {column}]"
    return value


def law_text(tape: Tape, law: Array, population: str, space: Space) -> str:
    """Masses by member of a population, largest first."""
    order = np.argsort(-law, kind="stable")[:SHOWN]
    masses = [(law[k], member_text(tape, int(k), population, space)) for k in order if law[k] > 0]
    return ", ".join(f"{100 * mass:.4g}% {text}" for mass, text in masses)


def member_text(tape: Tape, number: int, population: str, space: Space) -> str:
    """A kind of member by its values; a single variable without its name."""
    where = np.unravel_index(number, [size for _, size in space]) if space else ()
    mine = [s.axes for s in tape.statistics if s.population == population]
    leaves = {v: tape.inner[axis - len(tape.grid)] for axes in mine for v, axis in axes.items()}
    values = [
        (variable[1], value_name(tape, leaves[variable], int(p)))
        for (variable, _), p in zip(space, where, strict=True)
    ]
    if len(values) == 1:
        return str(values[0][1])
    return "(" + ", ".join(f"{name} = {value}" for name, value in values) + ")" if values else "all"


def law_witness(problem: LawSlope) -> Witness | None:
    """Where the largest slope was attained, and which mass moves."""
    at, tape = problem.attained, problem.tape
    if at is None:
        return None
    found = place_witness(tape, at.place)
    for name, law in at.laws.items():
        found[f"law of {name}"] = law_text(tape, law, name, problem.spaces[name])
    for coordinate, value in zip(tape.coordinates, at.point, strict=True):
        if tape.facts.nodes[coordinate.node].op == "param":
            found[leaf_name(tape, coordinate.node)] = float(value)
    mine = problem.population, problem.spaces[problem.population]
    found["moving"] = f"{member_text(tape, at.off, *mine)} to {member_text(tape, at.to, *mine)}"
    return found


def point_witness(problem: PointSlope) -> Witness | None:
    """The point at which the largest slope was attained."""
    at, tape = problem.attained, problem.tape
    if at is None:
        return None
    found = place_witness(tape, at.place)
    for coordinate, value in zip(tape.coordinates, at.point, strict=True):
        if coordinate.statistic is None:
            entry = "".join(f"[{k}]" for k in coordinate.entry)
            found[f"{leaf_name(tape, coordinate.node)}{entry}"] = float(value)
    return found


def value_witness(problem: LargestValue) -> Witness | None:
    """Where the largest value was attained."""
    if problem.place is None or problem.point is None:
        return None
    found = place_witness(problem.tape, problem.place)
    for name, law in problem.laws.items():
        found[f"law of {name}"] = law_text(problem.tape, law, name, problem.spaces[name])
    return found


def straddle_witness(
    problem: LawSlope | PointSlope, segment: Segment, cliff: Cliff, gap: float
) -> Witness:
    """Two points or laws, how far they are apart, and how far their values are at least."""
    tape = problem.tape
    found = place_witness(tape, tuple(map(int, segment.row.places[0])))
    before, after = (
        (1 - share) * segment.start + share * segment.end for share in (cliff.at, cliff.to)
    )
    if isinstance(problem, LawSlope):
        mine = problem.population, problem.spaces[problem.population]
        found[f"law of {problem.population}"] = law_text(tape, before, *mine)
        found["towards"] = law_text(tape, segment.end, *mine)
    else:
        for k, coordinate in enumerate(tape.coordinates):
            if coordinate.statistic is None:
                entry = "".join(f"[{i}]" for i in coordinate.entry)
                name = f"{leaf_name(tape, coordinate.node)}{entry}"
                ends = [float(before[k]), float(after[k])]
                found[name] = ends[0] if ends[0] == ends[1] else f"{ends[0]!r} and {ends[1]!r}"
    return found | {"change": gap, "distance": cliff.width}
