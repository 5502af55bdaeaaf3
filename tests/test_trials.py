"""Where no solver is licensed, the heuristic that is ahead is taken, and the reason says so."""

import pytest

import mfdsl
from mfdsl.game import Game
from mfdsl.runtime.solvers.mirror_descent import MirrorDescent
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


@pytest.mark.parametrize(
    ("name", "solver"), [("linear_quadratic", "omd"), ("rock_paper_scissors", "fictitious_play")]
)
def test_the_one_that_is_ahead_is_taken(name: str, solver: str) -> None:
    game = mfdsl.load(name)
    found = settings_of(game)
    assert found.solver == solver
    assert found.reason.startswith("no solver is licensed; least exploitability, ")
    gaps = {
        trial: mfdsl.solve(game, trial, iterations=ROUNDS, options=options).exploitability.value
        for trial, options in TRIALS
    }
    assert gaps[solver] <= max(min(gaps.values()), found.tolerance)


def test_an_interruption_ends_the_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    game = mfdsl.load("rock_paper_scissors")
    begun = []

    def step(self: MirrorDescent, *_: object) -> None:
        begun.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(MirrorDescent, "step", step)
    with pytest.raises(KeyboardInterrupt):
        settings_of(game)
    assert len(begun) == 1


def test_what_somebody_names_or_limits_is_not_tried() -> None:
    game = mfdsl.load("rock_paper_scissors")
    assert settings_of(game, None).reason == "named by the spec"
    assert settings_of(game, "omd").reason == "asked for"
    assert settings_of(game, iterations=ROUNDS - 1).solver == "omd"
    stationary = mfdsl.load("two_bars")
    assert settings_of(stationary).reason.startswith("no solver is licensed; mirror descent")
    game = mfdsl.load("a_sis_players")
    swept = prepare(game, resolve(game.model, "auto"), sweep={"c_home": (0.4, 0.5)})
    assert (swept.settings.solver, swept.settings.reason) == ("omd", "no solver is licensed")
