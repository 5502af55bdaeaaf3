"""Every pair of a game and an algorithm that MFGLib or OpenSpiel shares with this checkout.

Both peers number iterations alike: 0 is the uniform policy. Options are the peers' defaults.
"""

from dataclasses import dataclass, field

EARLY = (0, 1, 3, 10, 30)
LATE = (*EARLY, 50, 100)
Options = dict[str, float | str]


@dataclass(frozen=True)
class Pair:
    """One algorithm of a peer on one of its games, and our solver and spec for the same.

    `peer` is "mfglib" (float32, as it comes), "mfglib64" (torch's default set to float64) or
    "openspiel"; `spec` is a path from the checkout.
    """

    peer: str
    peer_game: str
    algorithm: str
    spec: str
    solver: str
    options: Options = field(default_factory=dict)
    iterations: tuple[int, ...] = LATE

    @property
    def key(self) -> str:
        """Name of the pair in the kept figures."""
        return f"{self.peer} {self.peer_game} {self.algorithm}"


MFGLIB_GAMES = {
    "left_right": "left_right",
    "rock_paper_scissors": "rock_paper_scissors",
    "beach_bar": "mfglib_beach_bar",
    "conservative_treasure_hunting": "conservative_treasure_hunting",
    "equilibrium_price": "equilibrium_price",
    "random_linear": "random_linear",
    "susceptible_infected": "sis",
    "crowd_motion": "crowd_motion",
    "linear_quadratic": "linear_quadratic",
    "building_evacuation": "building_evacuation",
}
MFGLIB_SOLVERS: dict[str, tuple[str, Options]] = {
    "fp": ("fictitious_play", {}),
    "fixed_point": ("fixed_point", {}),
    "omd": ("omd", {"learning_rate": 1.0}),
    "prior": ("fixed_point", {"temperature": 1.0}),
}
OPENSPIEL_GAMES = {
    "python_mfg_crowd_modelling": "bench/openspiel/crowd_1d.mfg",
    "mfg_crowd_modelling": "bench/openspiel/crowd_1d.mfg",
    "mfg_crowd_modelling_2d": "bench/openspiel/crowd_2d.mfg",
    "crowd_modelling_2d_four_rooms": "specs/four_rooms.mfg",
    "mean_field_lin_quad": "bench/openspiel/linear_quadratic.mfg",
    "python_mfg_periodic_aversion": "bench/openspiel/periodic_aversion.mfg",
    "mfg_garnet": "bench/openspiel/garnet.mfg",
    "nfg:coop": "bench/openspiel/nfg_coop.mfg",
    "nfg:dom": "bench/openspiel/nfg_dom.mfg",
    "nfg:biased_indirect_rps": "bench/openspiel/nfg_rps.mfg",
}
OPENSPIEL_SOLVERS: dict[str, tuple[str, Options]] = {
    "fp": ("fictitious_play", {"ties": "first"}),
    "fixed_point": ("fixed_point", {"ties": "first"}),
    "boltzmann": ("policy_iteration", {"temperature": 100.0}),
    "munchausen_omd": ("omd", {"learning_rate": 0.01}),
    "omd": ("omd", {"learning_rate": 0.01}),
}
SHORT = {
    ("python_mfg_periodic_aversion", "fp"): (0, 1),
    ("crowd_modelling_2d_four_rooms", "fp"): (0, 1, 3, 10),
    ("mean_field_lin_quad", "munchausen_omd"): (0, 1, 3, 10),
    ("python_mfg_periodic_aversion", "munchausen_omd"): (0, 1, 3),
}
CHEAP = ("mfg_crowd_modelling", "mfg_garnet", "nfg:")


DRAWN_IN_FLOAT32 = "random_linear"


def _mfglib(peer: str) -> list[Pair]:
    return [
        Pair(peer, game, algorithm, f"specs/{spec}.mfg", solver, options)
        for game, spec in MFGLIB_GAMES.items()
        for algorithm, (solver, options) in MFGLIB_SOLVERS.items()
        if peer == "mfglib" or game != DRAWN_IN_FLOAT32
    ]


def _openspiel_iterations(game: str, algorithm: str) -> tuple[int, ...]:
    cheap = game.startswith(CHEAP) and game != "mfg_crowd_modelling_2d"
    return SHORT.get((game, algorithm), LATE if cheap else EARLY)


def _openspiel() -> list[Pair]:
    return [
        Pair(
            "openspiel",
            game,
            algorithm,
            spec,
            solver,
            options,
            _openspiel_iterations(game, algorithm),
        )
        for game, spec in OPENSPIEL_GAMES.items()
        for algorithm, (solver, options) in OPENSPIEL_SOLVERS.items()
    ]


PAIRS = (*_mfglib("mfglib"), *_mfglib("mfglib64"), *_openspiel())
