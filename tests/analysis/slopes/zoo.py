"""Expressions whose constants are known by hand (half the span of the gradient, in l1)."""

from collections.abc import Callable, Sequence
from math import exp

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.ir.types import Type
from tests.analysis.slopes.spec import Spec, ints, reals

TWO, THREE, FIVE = ints(2), ints(3), ints(5)
Entry = tuple[Callable[[Spec], int], float]


def share(s: Spec, value: int = 1, type: Type = TWO) -> int:
    return s.mass("x", type, value)


def point(s: Spec, type: Type, last: int, depth: int = 0) -> int:
    """The place of a member: its kind over the last one, from 0 to 1."""
    return s.op("mul", s.op("real", s.peer("x", type, depth)), s.r(f"{1 / last}"))


def centre(s: Spec) -> int:
    """The mean of y in 0, 1/4, ..., 1."""
    return s.mean(point(s, FIVE, 4))


def one_less(s: Spec, a: int) -> int:
    return s.sub(s.r(1), a)


def barrier(s: Spec) -> int:
    return s.op("neg", s.op("log", s.op("add", share(s), s.r("0.1"))))


def congestion(s: Spec) -> int:
    return s.op("mul", s.r(-2), s.op("pow", share(s), s.r("1.5")))


def infection(s: Spec) -> int:
    return one_less(s, s.op("pow", one_less(s, s.op("mul", s.r("0.8"), share(s))), s.r(5)))


def distancing(s: Spec) -> int:
    u = s.own("u", reals(0, 1), "action")
    less = one_less(s, s.op("mul", s.r("0.4"), u))
    return s.op("mul", s.r("0.9"), share(s), less)


def logistic(s: Spec) -> int:
    steep = s.op("mul", s.r(-10), s.sub(share(s), s.r("0.4")))
    return s.op("div", s.r(1), s.op("add", s.r(1), s.op("exp", steep)))


def travel_time(s: Spec) -> int:
    flow = s.op("pow", s.op("div", share(s), s.r("0.5")), s.r(4))
    return s.op("add", s.r(1), s.op("mul", s.r("0.15"), flow))


def capacity(s: Spec) -> int:
    return s.op("min", s.r(1), s.op("div", s.r("0.2"), share(s)))


def attraction(s: Spec) -> int:
    x = s.own("z", reals(0, 1))
    apart = s.sub(x, centre(s))
    return s.op("mul", s.r("-0.5"), apart, apart)


def scissors(s: Spec) -> int:
    m = [share(s, k, THREE) for k in range(3)]
    return s.sub(s.op("mul", m[0], m[1]), s.op("mul", m[1], m[2]))


def quotient(s: Spec) -> int:
    m = [share(s, k, THREE) for k in range(2)]
    return s.op("div", m[0], s.op("add", m[0], m[1], s.r("0.05")))


def contrast(s: Spec) -> int:
    m = [share(s, k, THREE) for k in range(2)]
    return s.op("tanh", s.op("mul", s.r(5), s.sub(m[0], m[1])))


def kernel_mean(s: Spec) -> int:
    x = s.own("z", reals(0, 1))
    apart = s.sub(x, point(s, FIVE, 4))
    return s.mean(s.op("exp", s.op("mul", s.r(-8), apart, apart)))


def clipped(s: Spec) -> int:
    x, u = s.own("z", reals(0, 1)), s.own("u", reals(-1, 1), "action")
    pull = s.op("mul", s.r("-0.5"), s.sub(centre(s), x))
    moved = s.op("add", x, s.op("div", u, s.r(10)), pull)
    return s.op("max", s.op("min", moved, s.r(1)), s.r(0))


def smoothed(s: Spec) -> int:
    weight = s.op("add", s.r("0.1"), s.op("mul", s.r("0.9"), point(s, FIVE, 4)))
    return s.op("neg", s.op("log", s.op("add", s.r("0.1"), s.mean(weight))))


def variance(s: Spec) -> int:
    y = point(s, FIVE, 4)
    return s.sub(s.mean(s.op("mul", y, y)), s.op("mul", centre(s), centre(s)))


def tent(s: Spec) -> int:
    return s.op("if", s.op("lt", share(s), s.r("0.5")), share(s), one_less(s, share(s)))


def capped(s: Spec) -> int:
    both = s.op("mul", share(s, 0, THREE), share(s, 1, THREE))
    return s.op("if", s.op("lt", both, s.r("0.1")), both, s.r("0.1"))


def routed(s: Spec) -> int:
    """The share of the first of three routes whose costs are 1 + 2 m[k]."""
    parts = [s.op("exp", s.op("neg", s.op("mul", s.r("2"), share(s, k, THREE)))) for k in range(3)]
    return s.op("div", parts[0], s.op("add", *parts))


def mixture(s: Spec) -> int:
    m = share(s)
    rest = one_less(s, m)
    decay = s.op("mul", s.op("exp", s.op("mul", s.r(-3), m)), rest, rest)
    return s.op("add", decay, s.op("mul", m, s.op("log", s.op("add", m, s.r("0.01")))))


LAW: dict[str, Entry] = {
    "-log(m + .1)": (barrier, 5.0),
    "-2 m^1.5": (congestion, 1.5),
    "1 - (1 - .8 m)^5": (infection, 2.0),
    ".9 m (1 - .4 u)": (distancing, 0.45),
    "logistic(10 (m - .4))": (logistic, 1.25),
    "1 + .15 (m / .5)^4": (travel_time, 4.8),
    "min(1, .2 / m)": (capacity, 2.5),
    "-(x - E y)^2 / 2": (attraction, 0.5),
    "m1 m2 - m2 m3": (scissors, 1.0),
    "m1 / (m1 + m2 + .05)": (quotient, 10.0),
    "tanh(5 (m1 - m2))": (contrast, 5.0),
    "E exp(-8 (x - y)^2)": (kernel_mean, (1 - exp(-8)) / 2),
    "clip(x + u/10 - (E y - x)/2)": (clipped, 0.25),
    "-log(.1 + K m)": (smoothed, 0.5 * 0.9 / 0.2),
    "E y^2 - (E y)^2": (variance, 0.5),
    "where(m < 1/2, m, 1 - m)": (tent, 0.5),
    "where(m1 m2 < .1, m1 m2, .1)": (capped, 0.5),
}


def step(s: Spec) -> int:
    return s.op("if", s.op("lt", share(s), s.r("0.5")), s.r(0), s.r(1))


def counted(s: Spec) -> int:
    return s.ind(s.op("lt", share(s), s.r("0.5")))


def entropy(s: Spec) -> int:
    return s.op("mul", share(s), s.op("log", share(s)))


def unbounded(op: str) -> Callable[[Spec], int]:
    return lambda s: s.op(op, share(s))


def turned(s: Spec) -> int:
    """The angle of (-1, m - 1/2), which jumps by a turn."""
    return s.op("atan2", s.sub(share(s), s.r("0.5")), s.r(-1))


def wrapped(s: Spec) -> int:
    return s.op("rem", s.op("mul", s.r(10), share(s)), s.r(1))


JUMPS = {"where(m < 1/2, 0, 1)": step, "[m < 1/2]": counted, "atan2": turned, "10 m mod 1": wrapped}
POLES = {"log m": unbounded("log"), "m log m": entropy, "sqrt m": unbounded("sqrt")}


def in_law(build: Callable[[Spec], int], budget: Budget | None = None) -> Certificate:
    """What the engine says of an entry."""
    s = Spec()
    return s.in_law(build(s), budget=budget)


def kernel(build: Callable[[Spec], Sequence[int]], budget: Budget | None = None) -> Certificate:
    """What the engine says of a draw with these masses."""
    s = Spec()
    return s.kernel_in_law(build(s), TWO, budget)


def drawn(s: Spec, a: int) -> Sequence[int]:
    """The masses of a coin."""
    return a, one_less(s, a)


def sis_map(s: Spec) -> int:
    """The mass of the infected one step later."""
    m = share(s)
    new = s.op("mul", s.r("0.6"), m, one_less(s, m))
    return s.op("add", s.op("mul", s.r("0.7"), m), new)


KERNELS: dict[str, Entry] = {
    "infection": (infection, 4.0),
    "distancing": (distancing, 0.9),
    "SIS population map": (sis_map, 1.3),
}

TABLE = {
    **{name: LAW[name] for name in list(LAW)[:14] if name != "-log(.1 + K m)"},
    "share of one route of three": (routed, 0.4712),
    "exp(-3 m) (1 - m)^2 + m log(m + .01)": (mixture, 4.802585),
    **{name: (build, float("inf")) for name, build in POLES.items()},
}
