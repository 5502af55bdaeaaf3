"""Witnesses in the words of a spec: values by name, laws by their members."""

from mfdsl.compiler.analysis.certificate import Witness
from mfdsl.compiler.analysis.slopes.domain import Space
from mfdsl.compiler.analysis.slopes.law_slope import LawSlope
from mfdsl.compiler.analysis.slopes.point_slope import PointSlope
from mfdsl.compiler.analysis.slopes.tape import Tape, first_of
from mfdsl.compiler.analysis.slopes.value import LargestValue

SHOWN = 6  # kinds of members of a law that are named


def place_witness(tape: Tape, place: tuple[int, ...]) -> Witness:
    """Values of the enumerated variables at a grid point."""
    found: Witness = {}
    for leaf, position in zip(tape.grid, place, strict=True):
        node = tape.facts.nodes[leaf]
        name = "t" if node.op == "time" else variable_name(node.attr)
        found[name] = int(first_of(tape.facts, leaf) + position)
    return found


def variable_name(attr: object) -> str:
    """The name of a variable as it is written."""
    return ".".join(map(str, attr)) if isinstance(attr, tuple) else str(attr)


def law_text(law: object, space: Space) -> str:
    """Masses by member, largest first."""
    import numpy as np

    weights = np.asarray(law)
    order = np.argsort(-weights)[:SHOWN]
    parts = []
    for k in order:
        if weights[k] <= 0:
            break
        where = np.unravel_index(k, [size for _, size in space]) if space else ()
        names = ", ".join(
            f"{name}={int(p)}" for ((_, name), _), p in zip(space, where, strict=True)
        )
        parts.append(f"{100 * weights[k]:.4g}% {names or 'all'}")
    return "; ".join(parts)


def law_witness(problem: LawSlope) -> Witness | None:
    """Where the largest slope was attained, and which mass moves."""
    at = problem.attained
    if at is None:
        return None
    found = place_witness(problem.tape, at.place)
    for name, law in at.laws.items():
        found[f"law of {name}"] = law_text(law, problem.spaces[name])
    space = problem.spaces[problem.population]
    found["moves"] = f"{_member(at.off, space)} -> {_member(at.to, space)}"
    return found


def _member(number: int, space: Space) -> str:
    import numpy as np

    where = np.unravel_index(number, [size for _, size in space]) if space else ()
    return ", ".join(f"{n}={int(p)}" for ((_, n), _), p in zip(space, where, strict=True))


def point_witness(problem: PointSlope) -> Witness | None:
    """The point at which the largest slope was attained, and the way it goes."""
    at = problem.attained
    if at is None:
        return None
    found = place_witness(problem.tape, at.place)
    for coordinate, value in zip(problem.tape.coordinates, at.point, strict=True):
        if coordinate.statistic is None:
            node = problem.tape.facts.nodes[coordinate.node]
            entry = "".join(f"[{k}]" for k in coordinate.entry)
            name = "t" if node.op == "time" else variable_name(node.attr)
            found[f"{name}{entry}"] = float(value)
    return found


def value_witness(problem: LargestValue) -> Witness | None:
    """Where the largest value was attained."""
    if problem.place is None or problem.point is None:
        return None
    found = place_witness(problem.tape, problem.place)
    for name, law in problem.laws.items():
        found[f"law of {name}"] = law_text(law, problem.spaces[name])
    return found
