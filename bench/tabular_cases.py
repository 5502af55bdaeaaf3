"""The games and sizes that `tabular.py` times, and the peer's game of the same size."""

from dataclasses import dataclass, field

Parameters = dict[str, int]
MFGLIB_STATES = 3_000
OPENSPIEL_STATES = 400


@dataclass(frozen=True)
class Case:
    """One spec at one size; `peer` is None where no peer can run it."""

    name: str
    states: int
    spec: str
    parameters: Parameters
    peer: str | None = None
    peer_game: str = ""
    peer_parameters: Parameters = field(default_factory=dict)


def beach(n: int) -> Case:
    """MFGLib's beach bar, T = 10."""
    return Case(
        "beach bar, T = 10",
        n,
        "mfglib_beach_bar",
        {"T": 10, "n": n, "bar": n // 2},
        "mfglib" if n <= MFGLIB_STATES else None,
        "beach_bar",
        {"T": 10, "n": n, "bar_loc": n // 2},
    )


def motion(n: int) -> Case:
    """MFGLib's crowd motion, T = 3."""
    return Case(
        f"crowd motion {n}x{n}, T = 3",
        n * n,
        "crowd_motion",
        {"n": n},
        "mfglib" if n * n <= MFGLIB_STATES else None,
        "crowd_motion",
        {"torus_l": n, "torus_w": n},
    )


def crowd(n: int) -> Case:
    """OpenSpiel's crowd modelling on a torus (C++), ten decisions."""
    return Case(
        f"crowd 2-D {n}x{n}, 10 stages",
        n * n,
        "crowd_2d",
        {"n": n},
        "openspiel" if n * n <= OPENSPIEL_STATES else None,
        "mfg_crowd_modelling_2d",
        {"size": n},
    )


def ring(n: int) -> Case:
    """OpenSpiel's crowd modelling on a ring (Python), ten decisions."""
    return Case(
        f"crowd 1-D, {n} places, 10 stages",
        n,
        "crowd_1d",
        {"n": n},
        "openspiel",
        "python_mfg_crowd_modelling",
        {"size": n},
    )


CASES = (
    *map(beach, (100, 300, 500, 1_000, 10_000, 100_000)),
    *map(motion, (20, 30)),
    *map(crowd, (10, 20, 50, 100, 200, 500)),
    *map(ring, (10, 50)),
)
