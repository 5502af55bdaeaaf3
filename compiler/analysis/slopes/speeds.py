"""How fast coordinates move along directions: of mass in a law, or of variables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mfdsl.compiler.analysis.slopes.centred import Centred, centred, hulled, plus
from mfdsl.compiler.analysis.slopes.curvature import Curvature
from mfdsl.compiler.analysis.slopes.tape import Statistic, Tape, Unsupported
from mfdsl.compiler.ir.walk import given


@dataclass(frozen=True)
class Speeds:
    """Speeds of coordinates [rows, directions, coordinates], and their derivatives in coordinates
    [rows, directions, coordinates, coordinates]; None where they are constant. Rows may be one.
    """

    speed: Centred
    change: Centred | None


SpeedsOf = Callable[[Curvature], Speeds]


def moving_statistics(tape: Tape, moves: Callable[[Statistic], bool]) -> list[Statistic]:
    """Statistics that move along some directions: those that `moves` says do.

    Raises:
        Unsupported: one is conditional, or inside another mean, or some coordinate stands for
            several numbers, which have no common middle.
    """
    found = [s for s in tape.statistics if moves(s)]
    places = {s.coordinate for s in found}
    if tape.several or any(s.coordinate is None for s in tape.statistics):
        raise Unsupported("a coordinate that is several numbers")
    if any(s.mass is not None for s in found):
        raise Unsupported("a conditional mean that moves")
    for statistic in tape.statistics:
        below = tape.touched[statistic.body]
        if statistic.mass is not None:
            below = below | tape.touched[statistic.mass]
        if below & places:
            raise Unsupported("a mean that moves inside another")
    return found


def law_speeds(statistics: Sequence[Statistic]) -> SpeedsOf:
    """Along the directions of a pass, in which mass goes from one kind of member to another."""

    def speeds(pass_: Curvature) -> Speeds:
        columns, changes = {}, {}
        for statistic in statistics:
            place = given(statistic.coordinate)
            columns[place] = _moved(pass_, statistic, centred(pass_.value(statistic.body)))
            gradient = pass_.gradient(statistic.body)
            if gradient is not None:
                changes[place] = _moved(pass_, statistic, gradient)
        return _assembled(pass_, pass_.moves.count, columns, changes)

    return speeds


def _moved(pass_: Curvature, statistic: Statistic, body: Centred) -> Centred:
    """The body where mass goes to less that where it comes from, [rows, directions, ...]."""
    moves = pass_.moves
    assert moves.to is not None and moves.off is not None
    to, off = (
        Centred(*(pass_.at_members(statistic, e, places) for e in (body.middle, body.radius)))
        for places in (moves.to, moves.off)
    )
    apart = plus(to, Centred(-off.middle, off.radius))
    inner = tuple(range(2, 2 + len(pass_.tape.inner)))
    ends = (np.moveaxis(e, -1, 1).squeeze(inner) for e in (apart.middle, apart.radius))
    return Centred(*ends)


def point_speeds(statistics: Sequence[Statistic], moving: Sequence[int]) -> SpeedsOf:
    """Along the coordinates that move, one by one. A mean moves as its body does at some members,
    or on average over some.
    """
    which = list(moving)

    def speeds(pass_: Curvature) -> Speeds:
        columns, changes = {}, {}
        for k, place in enumerate(which):
            unit = np.zeros((1, len(which)))
            unit[0, k] = 1.0
            columns[place] = Centred(unit, np.zeros_like(unit))
        for statistic in statistics:
            place = given(statistic.coordinate)
            gradient, hessian = pass_.gradient(statistic.body), pass_.hessian(statistic.body)
            if gradient is not None:
                columns[place] = _averaged(pass_, statistic, gradient, which, 1)
            if hessian is not None:
                changes[place] = _averaged(pass_, statistic, hessian, which, 2)
        return _assembled(pass_, len(which), columns, changes)

    return speeds


def _averaged(
    pass_: Curvature, statistic: Statistic, body: Centred, which: list[int], more: int
) -> Centred:
    """Derivatives in the coordinates `which`, around those at all members."""
    size = len(pass_.tape.coordinates)
    ends = []
    for end in (body.middle, body.radius):
        wide = np.broadcast_to(end, (*end.shape[:-more], *(size,) * more))
        ends.append(wide.take(which, -more))
    around = hulled(Centred(ends[0], ends[1]), pass_.member_axes(statistic))
    inner = tuple(range(1, 1 + len(pass_.tape.inner)))
    return Centred(around.middle.squeeze(inner), around.radius.squeeze(inner))


def _assembled(
    pass_: Curvature,
    directions: int,
    columns: Mapping[int, Centred],
    changes: Mapping[int, Centred],
) -> Speeds:
    """Speeds by coordinate as one table; those that are not there are 0."""
    size = len(pass_.tape.coordinates)
    count = max((len(c.middle) for c in (*columns.values(), *changes.values())), default=1)
    speed = Centred(*(np.zeros((count, directions, size)) for _ in range(2)))
    for place, column in columns.items():
        speed.middle[..., place], speed.radius[..., place] = column.middle, column.radius
    if not changes:
        return Speeds(speed, None)
    change = Centred(*(np.zeros((count, directions, size, size)) for _ in range(2)))
    for place, each in changes.items():
        change.middle[..., place, :], change.radius[..., place, :] = each.middle, each.radius
    return Speeds(speed, change)
