"""Exact optimal transport between clouds of equal masses, as compiled loops (needs numba).

Masses are whole units: of n points each holds m / gcd(n, m), of m sites each takes n / gcd(n, m).
The dual puts a price on each site; a point wants the site where cost less price is least. Prices
start from those of transport between groups of neighbours, which start from those of groups three
times as large, the largest from transport along each axis alone (from coarse to fine as Merigot
2011, doi 10.1111/j.1467-8659.2011.02032.x); every point takes the site it wants while there is
room, and what is left over is placed along shortest augmenting paths between sites, which keep
prices and plan complementary (Jonker and Volgenant 1987, with capacities). So the end is a plan of
least cost up to the rounding of sums, whatever the start: a start only saves paths.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfdsl.runtime.kept_loops import njit

LANES = 16  # rows are padded to whole vector registers, with a cost of infinity
SKEWED = 0.05  # worth a look at other axes: off-diagonal share of the covariances
FINER = 3  # times as many groups as before
SMALLEST = 1e-300
FEWEST = 12  # groups; fewer are not worth their while
EXACT = 0.1  # share of groups without room, below which prices along axes are good enough
SOFT = 0.4  # width of the kernel that smooths prices, in areas of groups
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


@njit(cache=True)
def transport(x, y, value, in_x, in_y):  # type: ignore[no-untyped-def]
    """Write values [B] and slopes [B, n, d], [B, m, d] of x [B, n, d] and y [B, m, d], n >= m.

    Coordinates are finite. Each game is solved by itself: nothing is carried to the next.
    """
    for b in range(len(x)):
        cost = _costs(x[b], y[b])
        price = _prices(x[b], y[b], cost)
        plan = _settled(cost, _wanted(cost, price, len(y[b]))[0], len(y[b]))
        _place_the_rest(cost, price, plan)
        _measure(x[b], y[b], cost, plan, value[b : b + 1], in_x[b], in_y[b])


@njit(cache=True, fastmath=VECTORS)
def _costs(x, y):  # type: ignore[no-untyped-def]
    n, m = len(x), len(y)
    across = y.T.copy()
    cost = np.empty((n, (m + LANES - 1) // LANES * LANES))
    for i in range(n):
        cost[i, :m] = 0.0
        cost[i, m:] = np.inf
        for d in range(x.shape[1]):
            at = x[i, d]
            for j in range(m):
                gap = at - across[d, j]
                cost[i, j] += gap * gap
    return cost


@njit(cache=True)
def _prices(x, y, cost):  # type: ignore[no-untyped-def]
    """Prices to start from: those of groups, from coarse to fine, or along axes for few sites."""
    coarsest = len(y)
    while coarsest // FINER >= FEWEST:
        coarsest //= FINER
    if coarsest == len(y):
        return _prices_of_axes(x, y, cost)
    count = coarsest
    points, sites = _grouped(x, count), _grouped(y, count)
    across = _costs(points, sites)
    price = _prices_of_axes(points, sites, across)
    if _settled(across, _wanted(across, price, count)[0], count).waiting.sum() <= EXACT * count:
        return _prices_of_axes(x, y, cost)
    while True:
        net = _solved(across, price, count)
        heat = SOFT * np.sqrt(_area(points)) * np.sqrt(_area(sites)) / count
        count = min(count * FINER, len(y))
        if count * FINER > len(y):
            return _extended(points, net, y, heat)
        coarse, points, sites = points, _grouped(x, count), _grouped(y, count)
        across = _costs(points, sites)
        price = _extended(coarse, net, sites, heat)


@njit(cache=True)
def _grouped(x, count):  # type: ignore[no-untyped-def]
    """Means of `count` groups of neighbours: runs along the second axis in strips of the first.

    Sizes of groups differ by one at most.
    """
    n, strips = len(x), int(np.ceil(np.sqrt(count)))
    order = np.argsort(x[:, 0])
    found = np.zeros((count, x.shape[1]))
    for s in range(strips):
        first, last = s * count // strips, (s + 1) * count // strips
        begin = first * n // count
        strip = order[begin : last * n // count]
        strip = strip[np.argsort(x[strip, 1])]
        for k in range(first, last):
            low, high = k * n // count, (k + 1) * n // count
            for i in range(low, high):
                for d in range(x.shape[1]):
                    found[k, d] += x[strip[i - begin], d] / (high - low)
    return found


@njit(cache=True)
def _solved(cost, price, m):  # type: ignore[no-untyped-def]
    """What each of as many points as sites pays in the plan of least cost, less the price."""
    plan = _settled(cost, _wanted(cost, price, m)[0], m)
    _place_the_rest(cost, price, plan)
    net = np.zeros(len(price))
    for k in range(m):
        net[plan.point[k, 0]] = cost[plan.point[k, 0], k] - price[k]
    return net


@njit(cache=True)
def _area(x):  # type: ignore[no-untyped-def]
    """The area of a square with the variance of the points."""
    total = 0.0
    for d in range(x.shape[1]):
        middle = x[:, d].sum() / len(x)
        for i in range(len(x)):
            total += (x[i, d] - middle) ** 2 / len(x)
    return 12 * total / x.shape[1]


@njit(cache=True, fastmath=VECTORS)
def _extended(points, net, y, heat):  # type: ignore[no-untyped-def]
    """Prices at sites: the highest at which no point would leave, with a soft minimum over points.

    The hard one has a corner between any two points, where all would gather. Chances are those of
    `(1 - gap / 8 heat)^8`, which is nearly `exp(-gap / heat)` and fills vector registers.
    """
    n, m = len(points), len(y)
    across = _costs(y, points)
    price = np.zeros((m + LANES - 1) // LANES * LANES)
    row, lanes = np.empty(across.shape[1]), np.empty(LANES)
    scale = 1 / max(8 * heat, SMALLEST)
    for j in range(m):
        for i in range(len(row)):
            row[i] = across[j, i] - net[i]
        low = row[_least(row, lanes)]
        total = 0.0
        for i in range(n):
            share = max(0.0, 1 - (row[i] - low) * scale)
            share *= share
            share *= share
            total += share * share
        price[j] = low - heat * np.log(total)
    return price


@njit(cache=True)
def _prices_of_axes(x, y, cost):  # type: ignore[no-untyped-def]
    """Prices along the given or along better axes."""
    axes = np.eye(x.shape[1])
    price = _prices_along(axes, x, y, cost.shape[1])
    if x.shape[1] == 2:
        share, cosine, sine = _skew(x, y)
        if share > SKEWED:
            axes = np.array([[cosine, sine], [-sine, cosine]])
            others = _prices_along(axes, x, y, cost.shape[1])
            if _wanted(cost, others, len(y))[1] > _wanted(cost, price, len(y))[1]:
                return others
    return price


@njit(cache=True)
def _skew(x, y):  # type: ignore[no-untyped-def]
    """Eigenvectors of the map between Gaussians of these covariances P (of x) and Q (of y).

    In the plane the geometric mean of P and Q^-1 is a multiple of P / sqrt|P| + Q^-1 sqrt|Q|.
    """
    p, q = _spread(x), _spread(y)
    of_p = np.sqrt(max(p[0] * p[2] - p[1] ** 2, 0.0))
    of_q = np.sqrt(max(q[0] * q[2] - q[1] ** 2, 0.0))
    first = p[0] * of_q + q[2] * of_p
    cross = p[1] * of_q - q[1] * of_p
    last = p[2] * of_q + q[0] * of_p
    if first + last <= 0.0:
        return 0.0, 1.0, 0.0
    angle = 0.5 * np.arctan2(2 * cross, first - last)
    return abs(cross) / (first + last), np.cos(angle), np.sin(angle)


@njit(cache=True)
def _spread(x):  # type: ignore[no-untyped-def]
    """The covariance times the number of points: its first, cross and last entry."""
    first, cross, last = 0.0, 0.0, 0.0
    a, b = 0.0, 0.0
    for i in range(len(x)):
        a += x[i, 0] / len(x)
        b += x[i, 1] / len(x)
    for i in range(len(x)):
        first += (x[i, 0] - a) ** 2
        cross += (x[i, 0] - a) * (x[i, 1] - b)
        last += (x[i, 1] - b) ** 2
    return first, cross, last


@njit(cache=True)
def _prices_along(axes, x, y, width):  # type: ignore[no-untyped-def]
    """Prices that are optimal when coordinates along the axes are independent in both clouds.

    Along an axis the k-th site gets the k-th slice of the points; their mean is the slope of a
    convex potential, and the price is the square less twice the potential.
    """
    n, m = len(x), len(y)
    price = np.zeros(width)
    total = np.zeros(n + 1)
    for axis in axes:
        points, sites = _coordinates(x, axis), _coordinates(y, axis)
        points = points[np.argsort(points)]
        for i in range(n):
            total[i + 1] = total[i] + points[i]
        potential, reached, last, slope = 0.0, 0.0, 0.0, 0.0
        for k, j in enumerate(np.argsort(sites)):
            whole, part = divmod((k + 1) * n, m)
            here = total[whole] + (points[whole] * part / m if part else 0.0)
            mean = (here - reached) * m / n
            if k:
                potential += 0.5 * (slope + mean) * (sites[j] - last)
            price[j] += sites[j] ** 2 - 2 * potential
            reached, last, slope = here, sites[j], mean
    return price


@njit(cache=True)
def _coordinates(x, axis):  # type: ignore[no-untyped-def]
    along = np.zeros(len(x))
    for i in range(len(x)):
        for d in range(len(axis)):
            along[i] += axis[d] * x[i, d]
    return along


@njit(cache=True, fastmath=VECTORS)
def _wanted(cost, price, m):  # type: ignore[no-untyped-def]
    """The site each point wants, and the value of the dual at the prices."""
    wanted = np.empty(len(cost), np.int64)
    net, lanes = np.empty(cost.shape[1]), np.empty(LANES)
    bound = 0.0
    for i in range(len(cost)):
        row = cost[i]
        for j in range(len(net)):
            net[j] = row[j] - price[j]
        wanted[i] = _least(net, lanes)
        bound += net[wanted[i]]
    return wanted, bound / len(cost) + price[:m].sum() / m


@njit(cache=True, fastmath=VECTORS)
def _least(label, lanes):  # type: ignore[no-untyped-def]
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
def _settled(cost, wanted, m):  # type: ignore[no-untyped-def]
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
def _place_the_rest(cost, price, plan):  # type: ignore[no-untyped-def]
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
    found, least = 0, np.inf
    for e in range(held[k]):
        more = cost[point[k, e], j] - cost[point[k, e], k]
        if more < least:
            found, least = e, more
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


@njit(cache=True)
def _measure(x, y, cost, plan, value, in_x, in_y):  # type: ignore[no-untyped-def]
    total = len(x) * (len(y) // np.gcd(len(x), len(y)))
    value[0] = 0.0
    in_x[:] = 0.0
    in_y[:] = 0.0
    for k in range(len(y)):
        for e in range(plan.held[k]):
            i, mass = plan.point[k, e], plan.units[k, e] / total
            value[0] += mass * cost[i, k]
            for d in range(x.shape[1]):
                slope = 2 * mass * (x[i, d] - y[k, d])
                in_x[i, d] += slope
                in_y[k, d] -= slope
