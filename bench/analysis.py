"""Brackets and times of Lipschitz constants: the expressions of the zoo, harder ones, and a game.

Prints for each expression both bounds, the boxes of the search and milliseconds (the median of
five runs after one that is not counted), then their median, then the same of shares of more routes
and of a polynomial of degree 6 in 6 masses, then the analysis of a game of 100 states and 5
actions. Run as `python -m bench.analysis`.
"""

import time
from collections.abc import Callable
from statistics import median

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.slopes.search import Budget
from tests.analysis.slopes import zoo
from tests.analysis.slopes.spec import Spec, ints

RUNS = 5
STATES, ACTIONS = 100, 5


def crowded(states: int = STATES, actions: int = ACTIONS) -> Spec:
    """A beach bar with a crowd kernel and a price of actions."""
    s = Spec()
    x, a = s.own("x", ints(states)), s.own("a", ints(actions), "action")
    own = s.mean(s.ind(s.op("eq", s.peer("x", ints(states)), x)))
    moved = s.mean(s.op("real", s.peer("a", ints(actions), 0, "action")))
    apart = s.op("abs", s.sub(s.peer("x", ints(states)), x))
    near = s.mean(s.op("exp", s.op("mul", s.r("-0.1"), s.op("real", apart))))
    price = s.op("mul", s.op("real", a), s.op("add", s.r(1), moved), s.r("0.1"))
    crowd = s.op("neg", s.op("log", s.op("add", own, s.r("0.1"))))
    s.op("add", crowd, s.op("neg", price), s.op("neg", s.op("log", s.op("add", near, s.r("0.2")))))
    return s


def routes(count: int) -> Callable[[Spec], int]:
    """The share of the first of some routes whose costs are 1 + 2 m[k]."""

    def build(s: Spec) -> int:
        masses = [zoo.share(s, k, ints(count)) for k in range(count)]
        flows = [s.op("exp", s.op("mul", s.r(-2), m)) for m in masses]
        return s.op("div", flows[0], s.op("add", *flows))

    return build


def ring(s: Spec) -> int:
    """The sum of q[i]^5 q[i + 1] around six kinds."""
    q = [zoo.share(s, k, ints(6)) for k in range(6)]
    return s.op("add", *(s.op("mul", *[q[k]] * 5, q[(k + 1) % 6]) for k in range(6)))


HARD: dict[str, tuple[Callable[[Spec], int], Budget]] = {
    "5 routes, 1 %": (routes(5), Budget(gap=1e-2, seconds=5.0)),
    "8 routes, 1 %": (routes(8), Budget(gap=1e-2, seconds=30.0)),
    "30 routes": (routes(30), Budget()),
    "sum of q[i]^5 q[i + 1], 6 kinds": (ring, Budget()),
}


def timed(name: str, ask: object) -> float:
    """Milliseconds of one question; prints its answer."""
    assert callable(ask)
    found: Certificate = ask()
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        found = ask()
        times.append(1e3 * (time.perf_counter() - began))
    upper = "none" if found.upper is None else f"{found.upper:.6g}"
    print(f"{name:32s} {found.verdict:8s} [{found.lower:.6g}, {upper}]", end=" ")
    print(f"{found.boxes:7d} boxes {median(times):8.1f} ms")
    return median(times)


def main() -> None:
    """Print the table."""
    times = [
        timed(name, lambda build=build: zoo.in_law(build))
        for name, build in (
            *((name, build) for name, (build, _) in zoo.TABLE.items()),
            *((name, zoo.JUMPS[name]) for name in ("where(m < 1/2, 0, 1)",)),
        )
    ]
    print(f"{'median':32s} {median(times):.1f} ms\n")
    for name, (build, budget) in HARD.items():
        timed(name, lambda build=build, budget=budget: zoo.in_law(build, budget))
    spec = crowded()
    node = len(spec.b.nodes) - 1
    timed(f"{STATES} states, {ACTIONS} actions", lambda: spec.in_law(node))


if __name__ == "__main__":
    main()
