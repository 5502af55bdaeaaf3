"""Exact optimal transport between clouds of equal masses, as compiled loops (needs numba).

Prices start from those of transport between groups of neighbours, which start from those of groups
three times as large, the largest from transport along each axis alone (from coarse to fine as
Merigot 2011, doi 10.1111/j.1467-8659.2011.02032.x). A start only saves paths: `transport_paths.py`
ends at a plan of least cost whatever it is.
"""

import numpy as np

from mfdsl.runtime.kept_loops import INNER, njit
from mfdsl.runtime.transport_paths import (
    FAR,
    LANES,
    VECTORS,
    place_the_rest,
    settled,
    wanted_sites,
)

SKEWED = 0.05  # worth a look at other axes: off-diagonal share of the covariances
FINER = 3  # times as many groups as before
SMALLEST = 1e-300
FEWEST = 12  # groups; fewer are not worth their while
EXACT = 0.1  # share of groups without room, below which prices along axes are good enough
SOFT = 0.4  # width of the kernel that smooths prices, in areas of groups


@njit(cache=True)
def transport(x, y, value, in_x, in_y):  # type: ignore[no-untyped-def]
    """Write values [B] and slopes [B, n, d], [B, m, d] of x [B, n, d] and y [B, m, d], n >= m.

    Coordinates are finite. Each game is solved by itself: nothing is carried to the next.
    """
    for b in range(len(x)):
        cost = _costs(x[b], y[b])
        price = _prices(x[b], y[b], cost)
        wanted, paid, _ = wanted_sites(cost, price, len(y[b]))
        plan = settled(cost, wanted, len(y[b]))
        place_the_rest(cost, price, paid, plan)
        _measure(x[b], y[b], cost, plan, value[b : b + 1], in_x[b], in_y[b])


@njit(cache=True, fastmath=VECTORS)
def _costs(x, y):  # type: ignore[no-untyped-def]
    """Squared distances of points in the plane or in more dimensions; one pass for the plane."""
    n, m = len(x), len(y)
    across = y.T.copy()
    cost = np.empty((n, (m + LANES - 1) // LANES * LANES))
    for i in range(n):
        cost[i, m:] = np.inf
        first, last = x[i, 0], x[i, -1]
        for j in range(m):
            cost[i, j] = (first - across[0, j]) ** 2 + (last - across[-1, j]) ** 2
        for d in range(1, x.shape[1] - 1):
            at = x[i, d]
            for j in range(m):
                cost[i, j] += (at - across[d, j]) ** 2
    return cost


@njit(cache=True)
def _prices(x, y, cost):  # type: ignore[no-untyped-def]
    """Prices to start from: those of groups, from coarse to fine, or along axes for few sites."""
    levels = [(x, y)]
    while len(levels[-1][1]) // FINER >= FEWEST:
        points, sites = levels[-1]
        count = len(sites) // FINER
        levels.append((_grouped(points, count), _grouped(sites, count)))
    if len(levels) == 1:
        return _prices_of_axes(x, y, cost)
    points, sites = levels.pop()
    count = len(sites)
    across = _costs(points, sites)
    price = _prices_of_axes(points, sites, across)
    if settled(across, wanted_sites(across, price, count)[0], count).waiting.sum() <= EXACT * count:
        return _prices_of_axes(x, y, cost)
    while True:
        net = _solved(across, price, count)
        heat = SOFT * np.sqrt(_area(points)) * np.sqrt(_area(sites)) / count
        coarse = points
        points, sites = levels.pop()
        count = len(sites)
        price = _extended(coarse, net, sites, heat)
        if len(levels) == 0:
            return price
        across = _costs(points, sites)


@njit(cache=True, **INNER)
def _grouped(x, count):  # type: ignore[no-untyped-def]
    """Means of `count` groups of neighbours: runs along the second axis in strips of the first.

    Sizes of groups differ by one at most.
    """
    n, strips = len(x), int(np.ceil(np.sqrt(count)))
    order = np.argsort(x[:, 0].copy())  # strided, another sort would be compiled
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


@njit(cache=True, **INNER)
def _solved(cost, price, m):  # type: ignore[no-untyped-def]
    """What each of as many points as sites pays in the plan of least cost, less the price."""
    wanted, paid, _ = wanted_sites(cost, price, m)
    plan = settled(cost, wanted, m)
    place_the_rest(cost, price, paid, plan)
    net = np.zeros(len(price))
    for k in range(m):
        net[plan.point[k, 0]] = cost[plan.point[k, 0], k] - price[k]
    return net


@njit(cache=True, **INNER)
def _area(x):  # type: ignore[no-untyped-def]
    """The area of a square with the variance of the points."""
    total = 0.0
    for d in range(x.shape[1]):
        middle = x[:, d].sum() / len(x)
        for i in range(len(x)):
            total += (x[i, d] - middle) ** 2 / len(x)
    return 12 * total / x.shape[1]


@njit(cache=True, fastmath=VECTORS, **INNER)
def _extended(points, net, y, heat):  # type: ignore[no-untyped-def]
    """Prices at sites: the highest at which no point would leave, with a soft minimum over points.

    The hard one has a corner between any two points, where all would gather. Chances are those of
    `(1 - gap / 8 heat)^8`, which is nearly `exp(-gap / heat)` and fills vector registers.
    """
    n, m = len(points), len(y)
    across = _costs(y, points)
    price = np.zeros((m + LANES - 1) // LANES * LANES)
    row = np.empty(across.shape[1])
    bits, highest = row.view(np.int64), net[:n].max()
    scale = 1 / max(8 * heat, SMALLEST)
    for j in range(m):
        lowest = FAR
        for i in range(len(row)):
            bits[i] = np.float64(across[j, i] + (highest - net[i])).view(np.int64)
            lowest = min(lowest, bits[i])
        low = np.int64(lowest).view(np.float64)
        total = 0.0
        for i in range(n):
            share = max(0.0, 1 - (row[i] - low) * scale)
            share *= share
            share *= share
            total += share * share
        price[j] = low - heat * np.log(total) - highest
    return price


@njit(cache=True, **INNER)
def _prices_of_axes(x, y, cost):  # type: ignore[no-untyped-def]
    """Prices along the given or along better axes."""
    axes = np.eye(x.shape[1])
    price = _prices_along(axes, x, y, cost.shape[1])
    if x.shape[1] == 2:
        share, cosine, sine = _skew(x, y)
        if share > SKEWED:
            axes = np.array([[cosine, sine], [-sine, cosine]])
            others = _prices_along(axes, x, y, cost.shape[1])
            if wanted_sites(cost, others, len(y))[2] > wanted_sites(cost, price, len(y))[2]:
                return others
    return price


@njit(cache=True, **INNER)
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


@njit(cache=True, **INNER)
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


@njit(cache=True, **INNER)
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


@njit(cache=True, **INNER)
def _coordinates(x, axis):  # type: ignore[no-untyped-def]
    along = np.zeros(len(x))
    for i in range(len(x)):
        for d in range(len(axis)):
            along[i] += axis[d] * x[i, d]
    return along


@njit(cache=True, **INNER)
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
