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

from mfdsl.runtime.kept_loops import njit

LANES = 16  # rows are padded to whole vector registers, with a cost of infinity
# Sums may be reordered, which lets minima fill vector registers; there are no nans here.
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
    """The labels of one search for room, by site; sites `closed` in this order at `distance`."""

    label: NDArray[np.float64]
    before: NDArray[np.int32]
    open_price: NDArray[np.float64]
    closed: NDArray[np.int64]
    distance: NDArray[np.float64]


@njit(cache=True, fastmath=VECTORS)
def wanted_sites(cost, price, m):  # type: ignore[no-untyped-def]
    """The site each point wants, and the value of the dual at the prices."""
    wanted = np.empty(len(cost), np.int64)
    net, lanes = np.empty(cost.shape[1]), np.empty(LANES)
    bound = 0.0
    for i in range(len(cost)):
        row = cost[i]
        for j in range(len(net)):
            net[j] = row[j] - price[j]
        wanted[i] = least(net, lanes)
        bound += net[wanted[i]]
    return wanted, bound / len(cost) + price[:m].sum() / m


@njit(cache=True, fastmath=VECTORS)
def least(label, lanes):  # type: ignore[no-untyped-def]
    """A place of the smallest label: the minimum lane by lane, then who has it."""
    for k in range(LANES):
        lanes[k] = label[k]
    for start in range(LANES, len(label), LANES):
        for k in range(LANES):
            lanes[k] = min(lanes[k], label[start + k])
    low = np.inf
    for k in range(LANES):
        low = min(low, lanes[k])
    start = 0
    while lanes[start] != low:
        start += 1
    while label[start] != low:
        start += LANES
    return start


@njit(cache=True)
def _first(bits):  # type: ignore[no-untyped-def]
    """A place of the smallest of numbers that are not negative, given their bits as integers.

    The minimum of integers fills vector registers without lanes in memory. One just below 0 by
    rounding counts as the smallest, which it is.
    """
    low = bits[0]
    for j in range(len(bits)):
        low = min(low, bits[j])
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
    plan = Plan(
        np.empty(shape, np.int32),
        np.empty(shape, np.int32),
        np.zeros(m, np.int64),
        np.full(m, takes),
        np.full(n, holds),
    )
    for i in range(n):
        j = wanted[i]
        moved = min(plan.waiting[i], plan.room[j])
        if moved > 0:
            _add(j, i, moved, plan.point, plan.units, plan.held)
            plan.room[j] -= moved
            plan.waiting[i] -= moved
    return plan


@njit(cache=True)
def place_the_rest(cost, price, plan):  # type: ignore[no-untyped-def]
    """Place who waits along shortest paths; the plan and prices [width] end complementary."""
    m, width = len(plan.room), len(price)
    price -= price[:m].max()  # then no label is negative, and their bits are in the same order
    shared = m if plan.point.shape[1] > 1 else 0
    links = Links(np.empty((shared, width)), np.ones(m, np.bool_))
    search = Search(
        np.empty(width),
        np.empty(width, np.int32),
        np.empty(width),
        np.empty(m, np.int64),
        np.empty(m),
    )
    for i in range(len(cost)):
        while plan.waiting[i] > 0:
            site = _search(i, cost, price, plan, links, search)
            _augment(i, site, cost, plan, links, search)


@njit(cache=True, fastmath=VECTORS)
def _search(source, cost, price, plan, links, search):  # type: ignore[no-untyped-def]
    """The nearest site with room (Dijkstra on costs less prices); prices follow."""
    # Out of their tuples once: each reading of an array from a tuple counts a reference, and so
    # does each row that is taken out of an array.
    label, before, open_price, order, distance = search
    bits = label.view(np.int64)
    point, room, extra, stale = plan.point, plan.room, links.extra, links.stale
    for j in range(len(price)):
        open_price[j] = price[j]
        label[j] = cost[source, j] - price[j]
        before[j] = -1
    closed = 0
    while True:
        k = _first(bits)
        reach = label[k]
        if room[k] > 0:
            break
        order[closed], distance[closed] = k, reach
        closed += 1
        base = reach + price[k]
        open_price[k], label[k] = -np.inf, np.inf  # never opened again
        if len(extra) == 0:  # the one point there says what its unit costs more elsewhere
            i = point[k, 0]
            _relax(k, cost, i, base - cost[i, k], label, before, open_price)
            continue
        if stale[k]:
            stale[k] = False
            _renew(k, cost, point, plan.held[k], extra)
        _relax(k, extra, k, base, label, before, open_price)
    for c in range(closed):
        price[order[c]] -= reach - distance[c]
    return k


@njit(cache=True, fastmath=VECTORS)
def _relax(k, rows, r, base, label, before, open_price):  # type: ignore[no-untyped-def]
    for j in range(len(label)):
        through = base + rows[r, j] - open_price[j]
        if through < label[j]:
            label[j] = through
            before[j] = k


@njit(cache=True, fastmath=VECTORS)
def _lower(extra, k, cost, i):  # type: ignore[no-untyped-def]
    for j in range(extra.shape[1]):
        extra[k, j] = min(extra[k, j], cost[i, j] - cost[i, k])


@njit(cache=True, fastmath=VECTORS)
def _renew(k, cost, point, held, extra):  # type: ignore[no-untyped-def]
    i = point[k, 0]
    for j in range(extra.shape[1]):
        extra[k, j] = cost[i, j] - cost[i, k]
    for e in range(1, held):
        _lower(extra, k, cost, point[k, e])


@njit(cache=True)
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


@njit(cache=True)
def _cheapest_to_move(k, j, cost, point, held):  # type: ignore[no-untyped-def]
    """The entry of site k whose unit costs least more at site j."""
    found, lowest = 0, np.inf
    for e in range(held[k]):
        more = cost[point[k, e], j] - cost[point[k, e], k]
        if more < lowest:
            found, lowest = e, more
    return found


@njit(cache=True)
def _add(k, i, moved, point, units, held):  # type: ignore[no-untyped-def]
    """Whether the point is new among those that site k holds."""
    for e in range(held[k]):
        if point[k, e] == i:
            units[k, e] += moved
            return False
    point[k, held[k]], units[k, held[k]] = i, moved
    held[k] += 1
    return True


@njit(cache=True)
def _remove(k, entry, moved, point, units, held):  # type: ignore[no-untyped-def]
    """Whether nothing is left of an entry of site k; then the last one takes its place."""
    units[k, entry] -= moved
    if units[k, entry] > 0:
        return False
    held[k] -= 1
    point[k, entry], units[k, entry] = point[k, held[k]], units[k, held[k]]
    return True
