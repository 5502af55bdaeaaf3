"""Where no solver is licensed, the heuristic that is ahead is taken, and the reason says so."""

import pytest

import mfdsl
from mfdsl.game import Game
from mfdsl.runtime.solvers.blocks import Blocks
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.settings import Settings, resolve
from mfdsl.solving import prepare
from mfdsl.trials import ROUNDS, TRIALS, tried


def settings_of(game: Game, solver: str | None = "auto", iterations: int = 1000) -> Settings:
    return tried(
        resolve(game.model, solver, iterations=iterations), game.program, game.program.params()
    )


def test_an_epidemic_where_mirror_descent_cycles_is_solved_by_policy_iteration() -> None:
    game = mfdsl.load("a_sis_players")
    cycling = mfdsl.solve(game, "omd", iterations=ROUNDS)
    assert cycling.exploitability.value > 0.1
    solution = mfdsl.solve(game, "auto")
    assert (solution.solver, solution.status.name) == ("policy_iteration", "converged")
    assert solution.exploitability.value < 1e-9
    assert solution.license is not None and solution.license.verdict == "refuted"
    assert "a heuristic here" in solution.license.text


@pytest.mark.parametrize("name", ["linear_quadratic", "rps_standard", "random_linear"])
def test_a_trial_that_reaches_the_tolerance_is_taken(name: str) -> None:
    found = settings_of(mfdsl.load(name))
    assert found.solver == "omd"
    assert found.reason.startswith("no solver is licensed; least exploitability, ")
    assert found.reason.endswith(" iterations, of omd")


def test_trials_that_take_a_while_tell_of_each_that_has_ended(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    game = mfdsl.load("linear_quadratic")
    with caplog.at_level("INFO", logger="mfdsl.trials"):
        settings_of(game)
        assert not caplog.messages
        monkeypatch.setattr("mfdsl.trials.SAID_AFTER", -1.0)
        found = settings_of(game)
    (said,) = caplog.messages
    gap, _, count = said.removeprefix(f"trying {found.solver}: ").partition(" after ")
    assert f"least exploitability, {gap} after {count}, of omd" in found.reason


def test_those_ahead_go_on_where_a_hundred_iterations_are_too_few() -> None:
    """Biased rock, paper, scissors: the four that were tried before are at 4 % and more there."""
    game = mfdsl.load("rock_paper_scissors")
    found = settings_of(game)
    assert found.solver == "prior_descent"
    first = {
        (name, str(options)): mfdsl.solve(
            game, name, iterations=ROUNDS, options=options
        ).exploitability.value
        for name, options in TRIALS
    }
    start = mfdsl.solve(game, "omd", iterations=0).exploitability.value
    assert min(first.values()) > 0.01 * start
    solution = mfdsl.solve(game, "auto")
    assert solution.exploitability.value <= 1e-6


def test_the_costly_ones_are_tried_last() -> None:
    """Cooperation in OpenSpiel's matrix game, with payoffs of 2,000: only MF-OMO gets there."""
    game = mfdsl.load("nfg_coop")
    found = tried(
        resolve(game.model, "auto", iterations=1000, tolerance=1e-6),
        game.program,
        game.program.params(),
    )
    assert (found.solver, found.config) == ("mf_omo", SOLVERS["mf_omo"].config())
    assert "of omd, policy_iteration, " in found.reason
    assert found.reason.endswith(", mf_omo")


def test_where_others_stand_still_short_of_the_tolerance_the_path_leads_on() -> None:
    """Damped responses go below a thousandth, and no further than 1e-4 of 19."""
    solution = mfdsl.solve("social_distancing", "auto")
    assert (solution.solver, solution.status.name) == ("mf_omo", "converged")


def test_of_a_sweep_the_game_at_the_values_before_it_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Mirror descent stands still there; a path for each game is taken while these are few."""
    few = mfdsl.solve("social_distancing", "auto", sweep={"ill": [2, 4]})
    assert (few.solver, few.status.name) == ("mf_omo", "converged")
    monkeypatch.setattr("mfdsl.trials.MOST_WORK", 2 * 900 * 18 - 1)
    many = mfdsl.solve("social_distancing", "auto", sweep={"ill": [2, 4]}, iterations=100)
    assert many.solver == "fixed_point"
    options = mfdsl.solve("social_distancing", "auto", sweep={"opt.learning_rate": [0.1, 0.2]})
    assert options.solver == "omd"


def test_mf_omi_is_not_tried_where_moves_read_the_law(monkeypatch: pytest.MonkeyPatch) -> None:
    """A projection onto the flows of 80 stages takes a second there, and promises nothing."""
    monkeypatch.setattr("mfdsl.trials.TRIALS", TRIALS[1:2])
    monkeypatch.setattr("mfdsl.trials._settled", lambda *_: False)
    monkeypatch.setattr("mfdsl.trials.ROUNDS", 1)
    for name, tried_last in (("sis", "mf_omo"), ("left_right", "mf_omi")):
        game = mfdsl.load(name)
        settings = resolve(game.model, "auto", iterations=1, tolerance=0.0)
        found = tried(settings, game.program, game.program.params())
        assert found.reason.rsplit(" ", 1)[1] == tried_last


def test_stationary_games_with_small_tables_are_tried() -> None:
    """Mirror descent goes round where being ill costs forty times as much."""
    for c_ill, solver in ((1.0, "omd"), (40.0, "successive_averages")):
        game = mfdsl.load("stationary_sis", params={"c_ill": c_ill})
        solution = mfdsl.solve(game, "auto", tolerance=1e-8)
        assert (solution.solver, solution.status.name) == (solver, "converged")


def test_an_interruption_ends_the_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    game = mfdsl.load("rock_paper_scissors")
    begun = []

    def iterated(self: Blocks, *_: object) -> None:
        begun.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(Blocks, "iterated", iterated)
    with pytest.raises(KeyboardInterrupt):
        settings_of(game)
    assert len(begun) == 1


def test_what_somebody_names_or_limits_is_not_tried() -> None:
    game = mfdsl.load("rock_paper_scissors")
    assert settings_of(game, None).reason == "named by the spec"
    assert settings_of(game, "omd").reason == "asked for"
    assert settings_of(game, iterations=ROUNDS - 1).solver == "omd"
    game = mfdsl.load("a_sis_players")
    swept = prepare(game, resolve(game.model, "auto"), sweep={"opt.learning_rate": (0.4, 0.5)})
    assert (swept.settings.solver, swept.settings.reason) == ("omd", "no solver is licensed")


@pytest.mark.parametrize(("name", "solver"), [("sis", "successive_averages"), ("beach_bar", "omd")])
def test_large_tables_are_not_tried(
    name: str, solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Moves that read the law, as in an epidemic or in traffic, make the difference."""
    monkeypatch.setattr("mfdsl.trials.MOST_ENTRIES", 0)
    monkeypatch.setattr("mfdsl.trials.solve", None)
    found = settings_of(mfdsl.load(name))
    assert found.solver == solver
    assert found.config == SOLVERS[solver].config()
    assert ("too large for trials" in found.reason) == (solver != "omd")
