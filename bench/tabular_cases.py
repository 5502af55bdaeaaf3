"""The games and sizes that `tabular.py` times, and the peer's game of the same size."""

from dataclasses import dataclass, field

Parameters = dict[str, int | float | str]
MFGLIB_STATES = 3_000
OPENSPIEL_STATES = 2_500
SETTING = "setting"  # in place of parameters: a preset of OpenSpiel's factory


@dataclass(frozen=True)
class Case:
    """One spec at one size, a path from the checkout; `peer` is None where no peer can run it."""

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
        "specs/mfglib_beach_bar",
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
        "specs/crowd_motion",
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
        "specs/crowd_2d",
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
        "specs/crowd_1d",
        {"n": n},
        "openspiel",
        "python_mfg_crowd_modelling",
        {"size": n},
    )


def default(name: str, states: int, spec: str, peer: str, game: str) -> Case:
    """A game of a peer as it comes."""
    return Case(name, states, spec, {}, peer, game)


DEFAULTS = tuple(
    default(f"{game}, T = {stages}", states, f"specs/{spec}", "mfglib", game)
    for game, states, stages, spec in (
        ("left_right", 3, 2, "left_right"),
        ("rock_paper_scissors", 4, 2, "rock_paper_scissors"),
        ("beach_bar", 4, 3, "mfglib_beach_bar"),
        ("conservative_treasure_hunting", 3, 6, "conservative_treasure_hunting"),
        ("equilibrium_price", 4, 5, "equilibrium_price"),
        ("random_linear", 5, 4, "random_linear"),
        ("susceptible_infected", 2, 51, "sis"),
        ("linear_quadratic", 11, 4, "linear_quadratic"),
        ("building_evacuation", 500, 4, "building_evacuation"),
    )
)
# OpenSpiel's tabular code solves other games than it states where rewards pay the last move
# (docs/peers.md); the specs are of those that are stated, which have as many entries.
SPIEL = tuple(
    default(f"{name}, {stages} stages", states, f"specs/{spec}", "openspiel", game)
    for name, states, stages, spec, game in (
        ("crowd 1-D (C++)", 10, 10, "crowd_1d", "mfg_crowd_modelling"),
        ("garnet (C++)", 10, 10, "garnet", "mfg_garnet"),
        (
            "predator and prey (Python)",
            75,
            10,
            "openspiel_predator_prey",
            "python_mfg_predator_prey",
        ),
        ("crowd avoidance (Python)", 44, 10, "crowd_avoidance", "python_mfg_crowd_avoidance"),
        ("linear-quadratic (Python)", 10, 10, "lq_ring", "mean_field_lin_quad"),
        ("periodic aversion (Python)", 21, 20, "periodic_aversion", "python_mfg_periodic_aversion"),
    )
)
BRAESS: Parameters = {"max_num_time_step": 100, "time_step_length": 0.05}
ONE_SHOT = tuple(
    Case(
        f"one shot, {kind}",
        1,
        f"specs/{spec}",
        {},
        "openspiel",
        "mean_field_nfg",
        {"num_actions": 3, "reward_function": kind},
    )
    for kind, spec in (
        ("coop", "nfg_coop"),
        ("dom", "nfg_dom"),
        ("biased_indirect_rps", "nfg_biased_rps"),
    )
)
LINE: Parameters = {"max_num_time_step": 5, "time_step_length": 1.0}
ROUTES = (
    Case(
        "one road (C++), 5 stages",
        8,
        "bench/specs/routing_line",
        {},
        "openspiel",
        "mfg_dynamic_routing",
        {"network": "line", **LINE},
    ),
    Case(
        "one road (Python), 5 stages",
        8,
        "bench/specs/routing_line",
        {},
        "openspiel",
        "python_mfg_dynamic_routing",
        {SETTING: "dynamic_routing_line"},
    ),
    Case(
        "routes (C++), 100 stages",
        287,
        "specs/dynamic_routing",
        {},
        "openspiel",
        "mfg_dynamic_routing",
        {"network": "braess", **BRAESS},
    ),
    Case(
        "routes (Python), 100 stages",
        287,
        "specs/dynamic_routing",
        {},
        "openspiel",
        "python_mfg_dynamic_routing",
        BRAESS,
    ),
)
CASES = (
    *DEFAULTS,
    *map(beach, (100, 300, 500, 1_000, 3_000, 10_000, 100_000)),
    *map(motion, (20, 30)),
    *SPIEL,
    *ONE_SHOT,
    *ROUTES,
    *map(ring, (10, 50)),
    *map(crowd, (10, 20, 50, 100, 200, 500)),
)
