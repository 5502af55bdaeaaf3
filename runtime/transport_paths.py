"""Plans of exact transport from prices: shortest augmenting paths (needs numba).

Masses are whole units: of n points each holds m / gcd(n, m), of m sites each takes n / gcd(n, m).
The dual puts a price on each site; a point wants the site where cost less price is least. Every
point takes the site it wants while there is room, and what is left over is placed along shortest
augmenting paths between sites, which keep prices and plan complementary (Jonker and Volgenant
1987, with capacities). So the end is a plan of least cost up to the rounding of sums, whatever the
prices at the start.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfdsl.runtime.kept_loops import INNER, njit

LANES = 16  # rows are padded to whole vector registers, with a cost of infinity
FAR = 0x7FF0000000000000  # the bits of infinity
# Sums may be reordered, which lets them fill vector registers; there are no nans here.
VECTORS = {"nnan", "nsz", "reassoc"}


class Plan(NamedTuple):
    """Who is where: entries [site, 0..held[site] - 1] name points and their units there."""

    point: NDArray[np.int32]
    units: NDArray[np.int32]
    held: NDArray[np.int64]
    room: NDArray[np.int64]
    waiting: NDArray[np.int64]


class Links(NamedTuple):
    """What one unit of a site costs more at another: `extra[k, j]`, least over the points in k.

    Rows with `stale` are of an older plan. There are none where a site holds one point.
    """

    extra: NDArray[np.float64]
    stale: NDArray[np.bool_]


class Search(NamedTuple):
    """The labels of one search for room, by site; sites `closed` in this order at `distance`.

    A label is the bits of a distance as an integer, with the number of the site in the last of
    them: the least of these integers, which fills vector registers, says who and how far. With up
    to 4,096 sites distances lose 2^-40 of themselves at most. They count from what the source paid
    at first, so that they are small beside costs, whose sums are rounded more than that.
    """

    label: NDArray[np.int64]
    before: NDArray[np.int64]
    open_price: NDArray[np.float64]
    closed: NDArray[np.int64]
    distance: NDArray[np.float64]


@njit(cache=True)
def wanted_sites(cost, price, m):  # type: ignore[no-untyped-def]
    """The site each point wants, what it pays there less the price, and the value of the dual.

    Prices [width] are lowered by the highest: then net costs are not negative, and their bits, as
    integers, are in the same order.
    """
    price -= price[:m].max()
    n, width = cost.shape
    wanted, paid = np.empty(n, np.int64), np.empty(n)
    net = np.empty(width)
    bits = net.view(np.int64)
    bound = 0.0
    for i in range(n):
        low = _net(cost, i, price, bits)
        wanted[i] = _place(low, bits)
        paid[i] = net[wanted[i]]
        bound += paid[i]
    return wanted, paid, bound / n + price[:m].sum() / m


@njit(cache=True, **INNER)
def _net(cost, i, price, bits):  # type: ignore[no-untyped-def]
    """Net costs of a point as `bits`, and the least of them.

    A minimum of integers fills vector registers without lanes in memory.
    """
    low = FAR
    for j in range(len(bits)):
        bits[j] = np.float64(cost[i, j] - price[j]).view(np.int64)
        low = min(low, bits[j])
    return low


@njit(cache=True, **INNER)
def _place(low, bits):  # type: ignore[no-untyped-def]
    """The first place of a number, which is there."""
    start, here = -LANES, False
    while not here:
        start += LANES
        for k in range(LANES):
            here |= bits[start + k] == low
    while bits[start] != low:
        start += 1
    return start


@njit(cache=True)
def settled(cost, wanted, m):  # type: ignore[no-untyped-def]
    """Everybody where they want to be, in the order of the points and while there is room."""
    n = len(cost)
    unit = np.gcd(n, m)
    holds, takes = m // unit, n // unit
    shape = (m, min(takes, n))
    point, units = np.empty(shape, np.int32), np.empty(shape, np.int32)
    held, room, waiting = np.zeros(m, np.int64), np.full(m, takes), np.full(n, holds)
    for i in range(n):
        j = wanted[i]
        moved = min(waiting[i], room[j])
        if moved > 0:
            point[j, held[j]], units[j, held[j]] = i, moved
            held[j] += 1
            room[j] -= moved
            waiting[i] -= moved
    return Plan(point, units, held, room, waiting)


@njit(cache=True)
def place_the_rest(cost, price, paid, plan):  # type: ignore[no-untyped-def]
    """Place who waits along shortest paths; the plan and prices [width] end complementary.

    `paid` is the least that each point could pay at the prices, which only fall from here on.
    """
    m, width = len(plan.room), len(price)
    shared = m if plan.point.shape[1] > 1 else 0
    links = Links(np.empty((shared, width)), np.ones(m, np.bool_))
    search = Search(
        np.empty(width, np.int64),
        np.empty(width, np.int64),
        np.empty(width),
        np.empty(m, np.int64),
        np.empty(m),
    )
    for i in range(len(cost)):
        while plan.waiting[i] > 0:
            site = _search(i, cost, price, paid[i], plan, links, search)
            _augment(i, site, cost, plan, links, search)


@njit(cache=True, **INNER)
def _search(source, cost, price, paid, plan, links, search):  # type: ignore[no-untyped-def]
    """The nearest site with room (Dijkstra on costs less prices); prices follow."""
    # Out of their tuples once: each reading of an array from a tuple counts a reference, and so
    # does each row that is taken out of an array.
    label, before, open_price, order, distance = search
    point, room, extra, stale = plan.point, plan.room, links.extra, links.stale
    sites = np.int64(1)  # a power of two, for the last bits of labels
    while sites < len(label):
        sites *= 2
    for j in range(len(price)):
        open_price[j] = price[j]
        label[j] = FAR
    low = _relax(np.int64(-1), cost, source, -paid, sites, label, before, open_price)
    closed = 0
    while True:
        k = low & (sites - 1)
        reach = np.int64(low & -sites).view(np.float64)
        if room[k] > 0:
            break
        order[closed], distance[closed] = k, reach
        closed += 1
        base = reach + price[k]
        open_price[k], label[k] = -np.inf, FAR  # never opened again
        if len(extra) == 0:  # the one point there says what its unit costs more elsewhere
            i = np.int64(point[k, 0])
            low = _relax(k, cost, i, base - cost[i, k], sites, label, before, open_price)
            continue
        if stale[k]:
            stale[k] = False
            _renew(k, cost, point, plan.held[k], extra)
        low = _relax(k, extra, k, base, sites, label, before, open_price)
    for c in range(closed):
        price[order[c]] -= reach - distance[c]
    return k


@njit(cache=True, inline="always")
def _relax(k, rows, r, base, sites, label, before, open_price):  # type: ignore[no-untyped-def]
    """Labels by way of site k, and the least of them all."""
    low = FAR
    for j in range(len(label)):
        through = np.float64(base + rows[r, j] - open_price[j]).view(np.int64) & -sites | j
        known = label[j]
        before[j] = k if through < known else before[j]
        through = min(through, known)
        label[j] = through
        low = min(low, through)
    return low


@njit(cache=True, fastmath=VECTORS, **INNER)
def _lower(extra, k, cost, i):  # type: ignore[no-untyped-def]
    for j in range(extra.shape[1]):
        extra[k, j] = min(extra[k, j], cost[i, j] - cost[i, k])


@njit(cache=True, fastmath=VECTORS, **INNER)
def _renew(k, cost, point, held, extra):  # type: ignore[no-untyped-def]
    i = point[k, 0]
    for j in range(extra.shape[1]):
        extra[k, j] = cost[i, j] - cost[i, k]
    for e in range(1, held):
        _lower(extra, k, cost, point[k, e])


@njit(cache=True, **INNER)
def _augment(source, site, cost, plan, links, search):  # type: ignore[no-untyped-def]
    """Move as many units as the path to the site allows, from its end to the source."""
    point, units, held, room, waiting = plan
    extra, stale = links
    before, leaves = search.before, search.closed  # the searched order is not read again
    moved = min(waiting[source], room[site])
    steps, k = 0, site
    while before[k] >= 0:
        previous = before[k]
        leaves[steps] = _cheapest_to_move(previous, k, cost, point, held)
        moved = min(moved, units[previous, leaves[steps]])
        steps, k = steps + 1, previous
    waiting[source] -= moved
    room[site] -= moved
    k = site
    for step in range(steps + 1):
        previous, i = before[k], source
        if step < steps:
            i = point[previous, leaves[step]]
            stale[previous] |= _remove(previous, leaves[step], moved, point, units, held)
        if _add(k, i, moved, point, units, held) and len(extra) > 0 and not stale[k]:
            _lower(extra, k, cost, i)
        k = previous


@njit(cache=True, **INNER)
def _cheapest_to_move(k, j, cost, point, held):  # type: ignore[no-untyped-def]
    """The entry of site k whose unit costs least more at site j."""
    found, lowest = 0, np.inf
    for e in range(held[k]):
        more = cost[point[k, e], j] - cost[point[k, e], k]
        if more < lowest:
            found, lowest = e, more
    return found


@njit(cache=True, **INNER)
def _add(k, i, moved, point, units, held):  # type: ignore[no-untyped-def]
    """Whether the point is new among those that site k holds."""
    for e in range(held[k]):
        if point[k, e] == i:
            units[k, e] += moved
            return False
    point[k, held[k]], units[k, held[k]] = i, moved
    held[k] += 1
    return True


@njit(cache=True, **INNER)
def _remove(k, entry, moved, point, units, held):  # type: ignore[no-untyped-def]
    """Whether nothing is left of an entry of site k; then the last one takes its place."""
    units[k, entry] -= moved
    if units[k, entry] > 0:
        return False
    held[k] -= 1
    point[k, entry], units[k, entry] = point[k, held[k]], units[k, held[k]]
    return True
