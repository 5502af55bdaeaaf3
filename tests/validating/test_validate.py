"""Each check passes on games as they are emitted and fails on the bugs that it is for."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from mfdsl.api import solve, validate
from mfdsl.compiler.ir import meaning
from mfdsl.errors import UsageError
from mfdsl.game import Game, load
from mfdsl.runtime.solution import Solution
from mfdsl.validating.convergence import Point, convergence_row, fitted, judged as judged_errors
from mfdsl.validating.courses import exact_course
from mfdsl.validating.deviation import divergences, log_chance
from mfdsl.validating.excess import CODE, range_row, write_reproduction
from mfdsl.validating.frequencies import kernel_row
from mfdsl.validating.gains import (
    Gain,
    evaluated,
    exploitability_row,
    gain_row,
    judged as judged_gains,
)
from mfdsl.validating.interpreted import interpreter_row
from mfdsl.validating.outcome import Row, Trial
from mfdsl.validating.slopes import judged_interactions, slope_row
from mfdsl.validating.trajectories import mass_row, trajectory_row
from mfdsl.validating.trial import trial_of
from mfdsl.validating.validate import permutation_row, validate as run_checks
from tests.validating.injected import SIS, WALK, with_agents, with_tables

Edit = Callable[[str], str]


def soon(seconds: float = 1.0) -> float:
    return time.perf_counter() + seconds


def row_of(game: Game, name: str) -> Row:
    """One check of a game."""
    trial = trial_of(game, agents=(10, 100, 1000), seconds=4)
    with torch.no_grad():
        match name:
            case "kernel":
                return kernel_row(trial, soon())
            case "interpreter":
                return interpreter_row(trial, soon(3))
            case "permutation":
                return permutation_row(trial)
            case "trajectories":
                return trajectory_row(trial, soon())
            case "mass":
                return mass_row(trial, soon())
            case "ranges":
                return range_row(trial, trial.game.compilation.certificates, soon())[0]
            case _:
                return convergence_row(trial, (), soon(4))


CHECKS = ("kernel", "interpreter", "permutation", "trajectories", "mass", "ranges", "errors")


@pytest.mark.parametrize("name", CHECKS)
def test_a_game_as_emitted_passes(name: str) -> None:
    assert row_of(load(text=SIS), name).verdict == "passed"


def test_frequencies_of_truth_values_that_decide_are_compared() -> None:
    """Agents of a table are numbers, those of the particles are truth values: `~` and `if` differ.

    Who leaves is paid 2 / 3 at once, who stays 1 at the end: the returns are in closed form, too.
    """
    text = """\
model leaving
objective nash
horizon 2
population saver {
  state  inside : bool ~ bernoulli(0.75)
  action leave : bool
  inside' = inside and not leave
  reward now = if inside and leave then 2 / 3 else 0
  final reward end = if inside then 1 else 0
}
"""
    game = load(text=text)
    with torch.no_grad():
        assert kernel_row(trial_of(game, agents=(10,), seconds=1), soon(0.1)).verdict == "passed"
    assert solve(game, "policy_iteration").value[0] == pytest.approx(0.75)


@pytest.mark.parametrize("name", [n for n in CHECKS if n not in ("kernel", "mass")])
def test_a_game_of_agents_passes(name: str) -> None:
    assert row_of(load(text=WALK), name).verdict == "passed"


@pytest.mark.parametrize("name", ["kernel", "mass"])
def test_a_game_without_tables_says_so(name: str) -> None:
    row = row_of(load(text=WALK), name)
    assert row.verdict == "not applicable" and row.detail


PER_AGENT = "* (1 + 1e-3 * torch.arange(part.shape[1]))"
AGENT_BUGS: list[tuple[str, str, str, Edit]] = [
    (
        "permutation",
        SIS,
        "does not swap",
        lambda t: t.replace(
            "infected = -part.to(p.unit)", f"infected = -part.to(p.unit) {PER_AGENT}"
        ),
    ),
    (
        "kernel",
        SIS,
        "not 0.3",
        lambda t: t.replace("[..., None]), 0.3\n", "[..., None]), 0.33\n"),
    ),
    (
        "kernel",
        SIS,
        "not paid",
        lambda t: t.replace("infected = -part.to", "infected = -1.01 * part.to"),
    ),
    (
        "interpreter",
        SIS,
        "reward of person",
        lambda t: t.replace("infected = -part.to", "infected = -1.01 * part.to"),
    ),
    ("kernel", SIS, "initial law", lambda t: t.replace("(0.6 <= z", "(0.57 <= z")),
    (
        "interpreter",
        WALK,
        "next x of walker",
        lambda t: t.replace("0.1 * a.walker.u", "0.11 * a.walker.u"),
    ),
    (
        "errors",
        SIS,
        "slope",
        lambda t: t.replace(".to(p.unit).mean(1)", ".to(p.unit).mean(1) * 0.1"),
    ),
]


@pytest.mark.parametrize(("name", "text", "words", "edit"), AGENT_BUGS)
def test_a_bug_in_the_simulator_fails_its_check(
    name: str, text: str, words: str, edit: Edit
) -> None:
    row = row_of(with_agents(text, edit), name)
    assert row.verdict == "failed" and words in row.detail


def test_a_state_that_leaves_its_domain_fails_trajectories() -> None:
    def edit(text: str) -> str:
        return text.replace("walker=Walker(x_next", "walker=Walker(2.5 * x_next")

    row = row_of(with_agents(WALK, edit), "trajectories")
    assert row.verdict == "failed" and "x of walker" in row.detail


TABLE_BUGS: list[tuple[str, Edit]] = [
    ("kernel", lambda t: t.replace("return chance.expand(", "return chance.flip(3).expand(")),
    ("mass", lambda t: t.replace("return chance.expand(", "return (1.001 * chance).expand(")),
    ("errors", lambda t: t.replace("return chance.expand(", "return chance.flip(3).expand(")),
]


@pytest.mark.parametrize(("name", "edit"), TABLE_BUGS)
def test_a_bug_in_the_tables_fails_its_check(name: str, edit: Edit) -> None:
    assert row_of(with_tables(SIS, edit), name).verdict == "failed"


def test_a_reward_beyond_its_range_is_an_excess_with_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    game = with_agents(
        SIS, lambda t: t.replace("infected = -part.to", "infected = -1.01 * part.to")
    )
    trial = trial_of(game)
    row, exceeded = range_row(trial, game.compilation.certificates, soon())
    assert row.verdict == "failed" and CODE in row.detail
    (excess,) = exceeded
    assert excess.bound == -1.5 and excess.found == pytest.approx(-1.51)
    path = write_reproduction(trial, exceeded)
    assert path is not None and path.parent == tmp_path
    document = json.loads(path.read_text())
    assert document["code"] == CODE and document["seed"] == 0
    assert document["exceeded"][0]["found"] == pytest.approx(-1.51)
    assert "model small_sis" in next(iter(document["files"].values()))


@pytest.mark.parametrize("name", ["sis", "lasry_lions_chain", "lq_game", "m3fg_advertisement"])
def test_a_constant_that_is_too_small_is_exceeded(name: str) -> None:
    trial = trial_of(name)
    claims = [c for c in judged_interactions(trial.game.model) if c.proved]
    with torch.no_grad():
        row, none = slope_row(trial, claims, soon(2))
        assert row.verdict == "passed" and not none
        claim = claims[0]
        upper = claim.certificate.upper
        assert upper is not None
        small = claim.certificate.model_copy(update={"upper": 0.9 * upper})
        row, exceeded = slope_row(trial, [replace(claim, certificate=small)], soon(2))
    assert row.verdict == "failed"
    assert 0.9 * upper < exceeded[0].found <= upper * (1 + 1e-9)


DRAWN = """\
model drawn
objective nash
horizon 5
population p as mu {{
  state x : real in [-5, 5] ~ uniform([-1, 1])
  action a : real in [-1, 1]
  noise e : {noise}
  let m = mean(q.x for q in p)
  x' = {after}
  reward r = {reward}
}}
"""


@pytest.mark.parametrize(
    ("noise", "after", "reward", "verdict"),
    [
        ("real ~ normal(0, std = 1)", "clip(x + 0.1 * m * e)", "-a^2", "not applicable"),
        ("bool ~ bernoulli((m + 5) / 10)", "clip(0.5 * x + ind(e))", "-a^2", "not applicable"),
        ("real ~ uniform([0, 1])", "clip(x + a)", "-m * e", "not applicable"),
        ("real ~ normal(0, std = 1)", "clip(x + 0.1 * m + e)", "-abs(m) + e", "passed"),
    ],
)
def test_constants_of_means_over_noises_bound_no_single_draw(
    noise: str, after: str, reward: str, verdict: str, tmp_path: Path
) -> None:
    path = tmp_path / "drawn.mfg"
    path.write_text(DRAWN.format(noise=noise, after=after, reward=reward))
    trial = trial_of(load(path))
    claims = [c for c in judged_interactions(trial.game.model) if c.proved]
    assert claims
    with torch.no_grad():
        row, exceeded = slope_row(trial, claims, soon())
    assert row.verdict == verdict and not exceeded


def test_weights_between_agents_have_no_law() -> None:
    trial = trial_of("weighted_rps")
    assert slope_row(trial, judged_interactions(trial.game.model), soon())[0].verdict != "failed"
    assert permutation_row(trial).verdict == "not applicable"
    assert convergence_row(trial, (), soon()).verdict == "not applicable"


def test_secants_of_a_reward_that_nothing_moves_are_flat() -> None:
    """The module has it once for all games and members."""
    text = """
model still
objective nash
horizon 2
population a {
  state  x : int in 0..1 = 0
  action go : int in 0..1
  x' = go
  reward r = ind(x == 1)
}
population b {
  state  y : int in 0..1 = 0
  action go : int in 0..1
  y' = go
  reward r = 0 * prob(q.x == 1 for q in a) * ind(y == 1)
}
"""
    trial = trial_of(load(text=text))
    row, exceeded = slope_row(trial, judged_interactions(trial.game.model), soon(0.1))
    assert row.verdict == "passed" and not exceeded


def test_the_bound_of_frequencies_holds_exactly_in_small_cases() -> None:
    n, law = 7, torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    seen = []
    for a, b in product(range(n + 1), repeat=2):
        if a + b <= n:
            counts = torch.tensor([[a, b, n - a - b]], dtype=torch.float64)
            found, freedom = divergences(counts, law[None])
            logs = torch.lgamma(counts + 1).sum(), (counts * law.log()).sum()
            mass = math.exp(math.lgamma(n + 1) - float(logs[0]) + float(logs[1]))
            seen.append((float(found), int(freedom), mass))
    assert sum(mass for *_, mass in seen) == pytest.approx(1.0)
    for divergence, freedom, _ in seen:
        chance = sum(mass for other, _, mass in seen if other >= divergence - 1e-12)
        assert freedom == 2
        assert chance <= math.exp(log_chance(divergence, freedom)) + 1e-12


def test_an_outcome_without_probability_is_impossible() -> None:
    counts = torch.tensor([[99.0, 1.0]], dtype=torch.float64)
    found, freedom = divergences(counts, torch.tensor([[1.0, 0.0]], dtype=torch.float64))
    assert math.isinf(float(found)) and int(freedom) == 0
    assert log_chance(float(found), 0) == -math.inf


@pytest.mark.parametrize("policy", ["uniform", "still"])
def test_the_exact_course_is_that_of_the_interpreter(policy: str) -> None:
    game = load(text=SIS)
    course = exact_course(trial_of(game, policy=policy), 3)
    assert course is not None
    states, actions = meaning.joint_states(game.model), meaning.joint_actions(game.model)
    law = meaning.initial_law(game.model)
    for t in range(3):
        odds = {a: 0.5 if policy == "uniform" else float(a == (0,)) for a in actions}
        joint = {(s, a): law[s] * odds[a] for s in states for a in actions}
        paid = sum(m * meaning.reward(game.model, t, joint, s, a) for (s, a), m in joint.items())
        law = meaning.push(game.model, t, joint)
        assert float(course.means["person.reward"][t, 0, 0]) == pytest.approx(paid, abs=1e-14)
        found = course.means["person.h"][t, 0].tolist()
        assert found == pytest.approx([law[s] for s in states], abs=1e-14)


def test_slopes_are_fitted_and_judged() -> None:
    rng = np.random.default_rng(0)
    for slope in (-0.5, -0.1):
        points = [
            Point(n, 2 * n**slope * (1 + 0.01 * rng.standard_normal()), 0.02 * n**slope)
            for n in (10, 100, 1000)
        ]
        fit = fitted(points)
        assert fit.slope == pytest.approx(slope, abs=0.01)
        assert fit.std_error == pytest.approx(0.01 / math.log(10) / math.sqrt(2), rel=0.05)
        row = judged_errors(points, "the exact flow", 0.0, 5, 8)
        assert row.verdict == ("passed" if slope == -0.5 else "failed")
    assert judged_errors(points, "few agents", 1.0, 5, 8).verdict == "not applicable"
    few = [replace(p, agents=p.agents // 10) for p in points[:2]]
    assert judged_errors(few, "the exact flow", 0.0, 5, 8).verdict == "not applicable"


def test_the_gain_goes_to_the_exploitability() -> None:
    def gains(last: float) -> list[Gain]:
        return [Gain("p", n, 9, g, 0.01, {}) for n, g in ((10, 0.5), (100, 0.3), (1000, last))]

    assert judged_gains(gains(0.21), {"p": 0.2}, exact=True).verdict == "passed"
    assert judged_gains(gains(0.9), {"p": 0.2}, exact=True).verdict == "failed"
    assert judged_gains(gains(0.9)[:1], {"p": 0.2}, exact=True).verdict == "not applicable"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the small epidemic."""
    folder = tmp_path_factory.mktemp("runs")
    solve(load(text=SIS), iterations=3, out=folder)
    (path,) = folder.iterdir()
    return path


def test_a_run_is_evaluated_again_and_a_changed_summary_fails(run: Path) -> None:
    trial = replace(trial_of(run), agents=(10, 200))
    with torch.no_grad():
        evaluation = evaluated(trial)
        row = exploitability_row(trial, evaluation)
        assert row.verdict == "passed"
        gains, measured = gain_row(trial, evaluation, soon(4))
    assert gains.verdict == "passed" and {g.agents for g in measured} == {10, 200}
    saved = row.figures["saved"]
    (last,) = [g for g in gains.figures["gains"] if g["agents"] == 200]
    assert abs(last["gain"] - saved) < 6 * last["std_error"] + 0.05
    path = run / "summary.json"
    text = path.read_text()
    document = json.loads(text)
    document["exploitability"]["value"] = saved * 1.001
    try:
        path.write_text(json.dumps(document))
        with torch.no_grad():
            assert exploitability_row(trial, evaluation).verdict == "failed"
    finally:
        path.write_text(text)


def test_a_table_of_ones_own_is_judged_as_that_of_a_run(run: Path) -> None:
    """One that still has its gradient, as networks give them, and one of another game."""
    played = trial_of(run)
    with torch.no_grad():
        exact = exploitability_row(played, evaluated(played)).figures["again"]
    assert played.table is not None
    probs = played.table.probs[0].requires_grad_()
    solution = solve(load(text=SIS), iterations=3)
    assert isinstance(solution, Solution)
    for policy in (probs, probs.detach().numpy(), played.table, solution):
        trial = replace(trial_of(load(text=SIS), policy=policy), agents=(10,))
        assert trial.policy == "given" and trial.run is None
        with torch.no_grad():
            row = exploitability_row(trial, evaluated(trial))
        assert row.figures["again"] == pytest.approx(exact, rel=1e-12)
    assert row.verdict == "not applicable" and f"{exact:.6g} (exact)" in row.detail
    with pytest.raises(UsageError, match="has sizes 1 x 2 x 2"):
        trial_of(load(text=SIS), policy=probs[0])
    with pytest.raises(UsageError, match="a function is played"):
        trial_of(load(text=SIS), policy=lambda t, seen: {})  # type: ignore[arg-type]


def test_all_checks_of_a_run_pass(run: Path) -> None:
    found = validate(run, agents=(10, 100), seconds=15)
    assert found.ok and found.policy == "run" and found.run == run
    assert [row.name for row in found.rows if row.verdict != "passed"] == ["invariances"]


def test_types_have_gains_of_their_own(tmp_path: Path) -> None:
    text = SIS.replace("  action a", "  trait  frail : bool ~ bernoulli(0.5)\n  action a")
    text = text.replace(
        "cost infected = ind(h == I)", "cost infected = ind(h == I) * (1 + ind(frail))"
    )
    solve(load(text=text), iterations=2, out=tmp_path)
    (path,) = tmp_path.iterdir()
    trial = replace(trial_of(path), agents=(10, 50), games=200)
    with torch.no_grad():
        row, _ = gain_row(trial, evaluated(trial), soon(5))
    types = row.figures["gains"][0]["types"]
    assert set(types) == {"frail = 0", "frail = 1"}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"agents": (0,)}, "0 agents"),
        ({"agents": ()}, "no number"),
        ({"games": 0}, "0 games"),
        ({"seconds": 0.0}, "0 seconds"),
        ({"seconds": float("nan")}, "nan seconds"),
        ({"policy": "stil"}, "not a run"),
    ],
)
def test_bad_input_is_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        trial_of("sis", **wrong)  # type: ignore[arg-type]


def test_actions_without_bounds_stand_still() -> None:
    assert trial_of("lq_game").policy == "still"
    with pytest.raises(UsageError, match="no bounds"):
        trial_of("lq_game", policy="uniform")


def test_a_run_of_a_sweep_and_parameters_beside_a_run_are_refused(
    run: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="keeps its parameters"):
        trial_of(run, params={"beta": 0.5})
    solve(load(text=SIS), iterations=1, sweep={"beta": (0.1, 0.2)}, out=tmp_path)
    (swept,) = tmp_path.iterdir()
    with pytest.raises(UsageError, match="each game of its batch"):
        trial_of(swept)


def test_the_same_seed_finds_the_same() -> None:
    trial: Trial = replace(trial_of("left_right", agents=(10, 100)), games=16)
    first, second = (run_checks(trial) for _ in range(2))
    assert [r.verdict for r in first.rows] == [r.verdict for r in second.rows]
    for one, two in zip(first.rows, second.rows, strict=True):
        if one.name in ("error against N", "trajectories", "ranges"):
            assert one.figures == two.figures
