"""Exact solvers on the command line: chosen, kept, played, validated, refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mfdsl as package
from mfdsl.errors import UsageError
from tests.riccati.specs import ENDLESS, LQ1B, TEAM

FINE, USAGE = 0, 2
J_GAME, J_TEAM = 7.23724785513, 7.23483728124

CLIPPED = """\
model clipped
objective nash
horizon 3
population walker {
  state  x : real in [-1, 1] ~ uniform
  action a : real
  x' = clip(x + a)
  cost all = x^2 + a^2
}
"""
CUT = CLIPPED.replace("real in [-1, 1] ~ uniform", "real ~ normal(0, std = 1)").replace(
    "clip(x + a)", "min(x + a, 1)"
)
CURVED = """\
model curved
objective nash
horizon 3
population walker {
  state  x : real ~ normal(0, std = 1)
  action a : real
  x' = x + a
  cost all = x^4 + a^2
}
"""


@pytest.fixture
def solved(mfdsl: Any) -> Any:
    """Solves a spec, and gives the JSON."""

    def run(*words: Any) -> Any:
        outcome = mfdsl("solve", *words, "--json")
        assert outcome.code == FINE, outcome.err
        return outcome.json

    return run


def test_a_linear_quadratic_game_is_solved_exactly_unless_somebody_says_otherwise(
    mfdsl: Any, solved: Any
) -> None:
    for flags in ((), ("--solver", "auto"), ("--solver", "riccati")):
        found = solved("lq_game", *flags)
        assert found["solver"] == "riccati" and found["status"] == "converged"
        assert found["costs"] == {"agent": pytest.approx(J_GAME, rel=1e-11)}
        assert found["value"] == pytest.approx(-J_GAME, rel=1e-11)
        assert found["exploitability"]["kind"] == "exact"
        assert abs(found["exploitability"]["value"]) < 1e-12
        assert found["license"]["verdict"] == "proved"
    rows = found["policy"]["agent"]
    assert rows["actions"] == ["a"] and rows["reads"] == ["x", "agent.x", "1"]
    assert np.shape(rows["rows"]) == (20, 1, 3)
    assert rows["rows"][0][0] == pytest.approx([-0.835781668769, 0.172460000059, 0], abs=1e-11)
    assert found["flow"]["means"][:3] == pytest.approx(
        np.array([[2], [1.53667833129], [1.18069232884]])
    )
    assert found["among"]["agents"] == {"agent": 1000}
    assert found["social"]["optimum"] == pytest.approx(J_TEAM, rel=1e-11)
    assert mfdsl("solve", "lq_game", "--opt", "bins=5").code == USAGE  # tables were asked for


def test_the_screen_has_cost_policy_and_what_one_of_n_gains(mfdsl: Any) -> None:
    outcome = mfdsl("solve", "lq_major_control", "--solver", "riccati", "--opt", "agents=10")
    assert outcome.code == FINE
    assert "solver    riccati, asked for; exact" in outcome.out
    assert "solved    regret of the planner" in outcome.out
    assert "leader 1.55875690604, follower 1.34170731165" in outcome.out
    assert "leader.w = -0.631482128734 leader.y +0.193142505101 mean(follower.x)" in outcome.out
    assert "among     10 follower: cost leader" in outcome.out
    assert "2.90046421769 at the optimum: 1.03021254087" in outcome.out


def test_a_run_is_played_and_validated_and_cannot_go_on(mfdsl: Any, solved: Any) -> None:
    run = solved("lq_control")["run"]
    kept = {path.name for path in Path(run).iterdir()}
    assert kept >= {"policy.safetensors", "flow.npz", "summary.json", "metrics.jsonl", "spec.mfg"}
    with np.load(Path(run) / "flow.npz") as flow:
        assert list(flow["names"]) == ["agent.x", "1"]
        assert flow["means"].shape == (21, 2) and flow["covariance.agent"].shape == (21, 1, 1)
    played = mfdsl("simulate", "--policy", run, "--batch", 400, "--agents", 10, "--json").json
    paid = played["returns"]["agent"]
    assert abs(-paid["mean"] - 7.05881304506) <= 4 * paid["std_error"]
    outcome = mfdsl("validate", run, "--seconds", 4, "--agents", "1,10", "--json")
    assert outcome.code == FINE, outcome.err
    rows = {row["name"]: row for row in outcome.json["checks"]}
    assert rows["returns"]["verdict"] == rows["exploitability"]["verdict"] == "passed"
    costs = {c["agents"]: c["exact"] for c in rows["returns"]["figures"]["costs"]}
    assert costs == pytest.approx({1: 5.47459491943, 10: 7.05881304506}, rel=1e-11)
    again = mfdsl("solve", "--resume", run)
    assert again.code == USAGE and "is exact: there is nothing to go on with" in again.err
    with pytest.raises(UsageError, match="nothing to go on with"):
        package.resume(run)


def test_a_policy_that_was_changed_does_not_agree_with_its_summary(mfdsl: Any, solved: Any) -> None:
    run = Path(solved("lq_game")["run"])
    other = Path(solved("lq_game", "--set", "R=2")["run"])
    (run / "policy.safetensors").write_bytes((other / "policy.safetensors").read_bytes())
    outcome = mfdsl("validate", run, "--seconds", 3, "--agents", "10", "--json")
    rows = {row["name"]: row for row in outcome.json["checks"]}
    assert outcome.code == 1 and rows["exploitability"]["verdict"] == "failed"
    assert rows["exploitability"]["figures"]["again"] > 0.01
    foreign = Path(solved("rotating_target")["run"])
    (run / "policy.safetensors").write_bytes((foreign / "policy.safetensors").read_bytes())
    assert "of a game of other sizes" in mfdsl("simulate", "--policy", run).err
    (run / "policy.safetensors").write_bytes(b"nothing")
    assert "is damaged" in mfdsl("simulate", "--policy", run).err


def test_single_precision_costs_what_its_rounding_costs(solved: Any) -> None:
    found = solved("lq_major", "--dtype", "float32")
    assert found["costs"]["leader"] == pytest.approx(1.57540522579, rel=1e-6)
    assert 0 <= found["exploitability"]["value"] < 1e-12  # of second order in the rounding
    exact = solved("lq_major")
    wrong = np.array(found["policy"]["follower"]["rows"]) - exact["policy"]["follower"]["rows"]
    assert 0 < np.abs(wrong).max() < 1e-7


@pytest.mark.parametrize(("text", "players"), [(TEAM, 3), (ENDLESS, 3)])
def test_python_solves_plays_and_keeps(text: str, players: int, tmp_path: Path) -> None:
    game = package.load(text=text)
    solution = package.solve(game, out=tmp_path)
    assert len(solution.costs) == players  # type: ignore[union-attr]
    numbers = {"fish": 5, "bird": 3}
    found = package.simulate(game, solution, agents=numbers, batch=4000)  # type: ignore[arg-type]
    (run,) = tmp_path.iterdir()
    assert json.loads((run / "summary.json").read_text())["solver"] == "riccati"
    again = package.simulate(game, agents=numbers, batch=2, policy="still")
    assert again.agents == found.agents


@pytest.mark.parametrize(
    ("spec", "words", "why"),
    [
        ("sis", (), "`h` of `person` takes finitely many values"),
        (CLIPPED, (), "of `walker` is not proved: up to the bounds of `x`, which may bind"),
        (CUT, (), "`linear_quadratic` of `walker` is refuted: next x is cut off"),
        (CURVED, (), "`linear_quadratic` of `walker` is refuted: x^4 in all"),
        ("price_formation", (), "household has to see the mean of `s` over household"),
        ("lq_game", ("--set", "R=0.01", "--set", "QT=0"), None),
        (
            "lq_game",
            ("--set", "A=2", "--set", "B=0", "--set", "T=1000", "--set", "Ab=2"),
            "are no finite numbers",
        ),
        ("lq_game", ("--sweep", "T=5,6"), "`T` fixes sizes, bounds, the horizon or"),
        ("lq_game", ("--sweep", "Q=0.1,20"), "`Q = 20` is outside its range"),
        ("lq_game", ("--opt", "speed=1"), "unknown option of riccati `speed`"),
        (
            "lq_game",
            tuple(f"--set={k}={v}" for k, v in (LQ1B | {"S": 2, "ST": 2}).items()),
            "the reactions at t = 9 have no unique fixed point",
        ),
    ],
)
def test_what_cannot_be_solved_says_why(
    mfdsl: Any, tmp_path: Path, spec: str, words: tuple[str, ...], why: str | None
) -> None:
    if "\n" in spec:
        file = tmp_path / "spec.mfg"
        file.write_text(spec)
        spec = str(file)
    outcome = mfdsl("solve", spec, "--solver", "riccati", *words)
    if why is None:
        assert outcome.code == FINE
        return
    assert outcome.code == USAGE and why in outcome.err


def test_a_sweep_is_its_games_one_by_one(mfdsl: Any, solved: Any) -> None:
    flags = ("--sweep", "S=0.5,0.8", "--sweep", "sigma=0.1:0.3:3")
    found = solved("lq_game", *flags)
    assert found["solver"] == "riccati" and len(found["games"]) == len(found["value"]) == 6
    assert len(found["exploitability"]["per_game"]) == 6
    run = Path(found["run"])
    with np.load(run / "flow.npz") as flow:
        means = flow["means"]
        assert means.shape == (6, 21, 2) and flow["covariance.agent"].shape == (6, 21, 1, 1)
    for k in (0, 4):
        point = found["games"][k]["parameters"]
        words = (f"--set={name}={value}" for name, value in point.items())
        single = solved("lq_game", *words)
        for key in ("costs", "among", "social", "margin", "value"):
            assert found["games"][k][key] == single[key]
        assert means[k, :, :1].tolist() == single["flow"]["means"]
    for verb in (("simulate", "--policy", run), ("validate", run)):
        outcome = mfdsl(*verb)
        assert outcome.code == USAGE and "a policy for each value of its sweep" in outcome.err
    assert "worst exploitability" in mfdsl("solve", "lq_game", *flags).out


def test_a_sweep_says_which_of_its_games_cannot_be_solved(mfdsl: Any) -> None:
    kept = {k: v for k, v in (LQ1B | {"ST": 2}).items() if k not in ("S", "sigma")}
    values = (f"--set={k}={v}" for k, v in kept.items())
    outcome = mfdsl("solve", "lq_game", *values, "--sweep", "S=0.5,2", "--sweep", "sigma=0.2")
    assert outcome.code == USAGE
    assert "at S = 0.5 at sigma = 0.2: the reactions at t = 9 have no unique" in outcome.err


def test_a_stationary_horizon_is_refused(mfdsl: Any, tmp_path: Path) -> None:
    file = tmp_path / "spec.mfg"
    file.write_text(CURVED.replace("horizon 3", "horizon stationary\ndiscount 0.9"))
    outcome = mfdsl("solve", file, "--solver", "riccati")
    assert outcome.code == USAGE and "a stationary horizon has none" in outcome.err


def test_solvers_says_whether_the_exact_one_is_licensed(mfdsl: Any) -> None:
    found = mfdsl("solvers", "lq_game", "--json").json
    assert found["exact"] == [
        {
            "solver": "riccati",
            "applies": "licensed",
            "because": "linear_quadratic proved of every player",
        }
    ]
    assert found["chosen"]["solver"] == "riccati"
    assert "riccati: no, `h` of `person` takes" in mfdsl("solvers", "sis").out
    assert "riccati: Riccati equations" in mfdsl("solvers").out
