"""Learners on the command line: who applies, runs played elsewhere, and runs validated."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from mfdsl import load
from mfdsl.cli import training
from mfdsl.cli.failure import FAILED, FINE, INTERRUPTED, USAGE
from mfdsl.learning import prepare_training
from mfdsl.runtime.learning.crew import Crew
from mfdsl.runtime.learning.loop import LearningRecord
from mfdsl.runtime.learning.planner import Planner
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.runs import RunFolder, packed
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.settings import resolve
from mfdsl.validating.networks import policy_row, returns_row, saved_row
from mfdsl.validating.outcome import Row, Trial
from mfdsl.validating.trial import trial_of

TEAM = """\
## A team spreads over rooms.
model spread

param n    : int in 2..20 = 3        ## number of rooms
param push : real in [0, 2] = 0.5    ## what a step costs

objective team
horizon 4

population walker as mu {
  state  x : int in 0..n - 1 ~ uniform
  state  y : real in [-1, 1] ~ uniform
  action a : int in -1..1
  action b : real in [-1, 1]

  x' = clip(x + a)
  y' = clip(y + 0.1 * b)

  cost crowd = mean(ind(q.x == x) for q in walker) + y ^ 2
  cost move  = push * abs(a)

  agents 12
}
"""
FEW = ("--opt", "games=4", "--opt", "evaluate_every=2", "--opt", "evaluate_games=8")


@pytest.fixture
def team(mfdsl: Any, tmp_path: Path) -> Path:
    path = tmp_path / "spread.mfg"
    path.write_text(TEAM)
    return Path("spread.mfg")


@pytest.fixture
def run(mfdsl: Any, team: Path) -> Callable[..., str]:
    """Trains two iterations and names the folder of the run."""

    def trained(solver: str = "mf_ppo", *more: str) -> str:
        head = ("solve", team, "--solver", solver, "--iterations", "2", "--json")
        outcome = mfdsl(*head, *FEW, *more)
        assert outcome.code == FINE, outcome.err
        return str(outcome.json["run"])

    return trained


def test_learners_are_listed_beside_solvers(mfdsl: Any) -> None:
    outcome = mfdsl("solvers")
    for row in LEARNERS.values():
        assert f"{row.name}: {row.summary}" in outcome.out
    found = mfdsl("solvers", "--json").json["learners"]
    assert [entry["name"] for entry in found] == list(LEARNERS)
    assert "gradient" in {option["name"] for option in found[0]["options"]}


def test_learners_apply_to_a_team_and_tables_do_not(mfdsl: Any, team: Path) -> None:
    outcome = mfdsl("solvers", team)
    assert outcome.code == FINE
    assert "mf_ppo" in outcome.out and "no rate is proved for networks" in outcome.out
    assert "not for teams: omd" in outcome.out and "its players are a team" in outcome.out
    found = mfdsl("solvers", team, "--json").json
    applies = {entry["solver"]: entry["applies"] for entry in found["solvers"]}
    assert applies == dict.fromkeys(SOLVERS, "no")
    (planner,) = [e for e in found["solvers"] if e["solver"] == "social_gradient"]
    assert "has no tables" in planner["because"]
    applies = {entry["solver"]: entry["applies"] for entry in found["learners"]}
    assert applies["mf_ppo"] == applies["m3f_ppo"] == "heuristic"
    assert found["chosen"]["solver"] == "mf_ppo"


def test_a_rule_without_cells_is_refused_with_its_reason(mfdsl: Any) -> None:
    found = mfdsl("solvers", "lq_control", "--json").json["learners"]
    (entry,) = [entry for entry in found if entry["solver"] == "m3f_ppo"]
    assert entry["applies"] == "no" and "has no bounds" in entry["because"]


def test_a_team_without_end_needs_steps(mfdsl: Any) -> None:
    found = mfdsl("solvers", "mfppo_toy", "--json").json["learners"]
    assert found[0]["applies"] == "heuristic" and found[0]["options"] == {"steps": 100}


def test_one_of_several_majors_sees_its_own_state(mfdsl: Any) -> None:
    """A family of majors without `observe`: the module calls one's own state by its bare name."""
    head = ("solve", "foraging", "--solver", "mf_ppo", "--iterations", "1", "--json")
    outcome = mfdsl(*head, *FEW, "--opt", "agents=10", "--opt", "steps=3")
    assert outcome.code == FINE, outcome.err


def test_networks_play_at_other_parameters_and_numbers(mfdsl: Any, run: Any) -> None:
    folder = run()
    asked = ("simulate", "--policy", folder, "--batch", "8", "--agents", "30", "--json")
    usual, dear, still = (
        mfdsl(*asked, *more).json["returns"]["walker"]["mean"]
        for more in ((), ("--set", "push=2"), ("--set", "push=0"))
    )
    # the rewards do not change what networks see, so the moves are the same
    assert dear < usual < still
    assert dear - usual == pytest.approx(3 * (usual - still), rel=1e-6)


def test_networks_that_do_not_fit_are_refused(mfdsl: Any, run: Any) -> None:
    outcome = mfdsl("simulate", "--policy", run(), "--set", "n=5")
    assert outcome.code == USAGE
    assert "do not fit the game with n=5" in outcome.err and "] here" in outcome.err


def test_what_a_planner_does_is_drawn_once_or_by_everybody(mfdsl: Any, run: Any) -> None:
    folder = run("m3f_ppo")
    asked = ("simulate", "--policy", folder, "--batch", "8", "--agents", "30")
    found = [
        mfdsl(*asked, *more, "--json").json["returns"]["walker"]["mean"]
        for more in ((), ("--execution", "centralised"), ("--execution", "decentralised"))
    ]
    assert len(set(found)) == 3
    outcome = mfdsl(*asked, "--execution", "decentralised")
    assert outcome.code == FINE and f"the policy of {folder}, decentralised" in outcome.out


def test_execution_is_refused_where_nobody_plans(mfdsl: Any, run: Any, spec: Path) -> None:
    tables = mfdsl("solve", spec, "--iterations", "2", "--json").json["run"]
    for asked in (("--policy", run()), ("--policy", tables), ("lq_control",)):
        outcome = mfdsl("simulate", *asked, "--execution", "centralised")
        assert outcome.code == USAGE and "nobody plans" in outcome.err


def test_a_run_of_tables_keeps_its_parameters(mfdsl: Any, spec: Path) -> None:
    folder = mfdsl("solve", spec, "--iterations", "2", "--json").json["run"]
    outcome = mfdsl("simulate", "--policy", folder, "--set", "c_crowd=2")
    assert outcome.code == USAGE and "keeps its parameters" in outcome.err


@pytest.mark.parametrize("solver", ["mf_ppo", "m3f_ppo", "ippo", "mappo"])
def test_a_learned_run_is_validated(mfdsl: Any, run: Any, team: Path, solver: str) -> None:
    folder = run(solver)
    asked = ("--seconds", "12", "--agents", "10,40", "--json")
    target = (folder,) if solver == "mf_ppo" else (team, "--policy", folder)
    outcome = mfdsl("validate", *target, *asked)
    assert outcome.code in (FINE, FAILED), outcome.err
    rows = {row["name"]: row for row in outcome.json["checks"]}
    for name in ("exploitability", "gain among N", "bound among N"):
        assert rows[name]["verdict"] == "not applicable"
        assert "a team has no exploitability" in rows[name]["detail"]
    assert rows["permutation"]["verdict"] == rows["policy"]["verdict"] == "passed"
    assert all(row["verdict"] != "failed" for row in outcome.json["checks"])


def trial_for(run: str) -> Trial:
    return trial_of(run, agents=(5, 10), seconds=60.0)


FOREVER = 1e12


def test_the_saved_return_comes_out_again(run: Any) -> None:
    folder = run()
    row = saved_row(trial_for(folder), FOREVER)
    assert row.verdict == "passed"
    assert row.figures["again"] == pytest.approx(row.figures["saved"], rel=1e-6)
    summary = Path(folder) / "summary.json"
    found = json.loads(summary.read_text())
    found["value"]["mean"] += 1.0
    summary.write_text(json.dumps(found))
    assert saved_row(trial_for(folder), FOREVER).verdict == "failed"


def test_returns_have_standard_errors_for_each_number(run: Any) -> None:
    row = returns_row(trial_for(run()), FOREVER)
    assert [entry["agents"] for entry in row.figures["returns"]] == [5, 10]
    assert all(0 < entry["std_error"] < 1 for entry in row.figures["returns"])
    assert [entry["games"] for entry in row.figures["returns"]] == [64, 64]


def _row_of(solver: str, spoil: Callable[[Any], None]) -> Row:
    """The row of untrained networks that treat agents otherwise."""
    game = load(text=TEAM)
    training = prepare_training(game, resolve(game.model, solver))
    spoil(training.learner.policy)
    behaviour = training.learner.behaviour(mode=True)
    return policy_row(Trial(game, behaviour, "run", training=training), FOREVER)


def _by_place(values: Tensor) -> Tensor:
    return values + 0.1 * torch.arange(values.shape[1], dtype=values.dtype)[:, None]


def test_a_policy_that_knows_the_places_of_agents_fails(monkeypatch: Any) -> None:
    assert _row_of("mf_ppo", lambda policy: None).verdict == "passed"

    def spoil(policy: Crew) -> None:
        (eyes,) = policy.eyes.values()
        forward = eyes.forward

        def placed(*given: Any) -> Any:
            view = forward(*given)
            object.__setattr__(view, "own", _by_place(view.own))
            return view

        monkeypatch.setattr(eyes, "forward", placed)

    row = _row_of("mf_ppo", spoil)
    assert row.verdict == "failed" and "in another order at t = 0" in row.detail


def test_a_rule_that_knows_the_places_of_agents_fails(monkeypatch: Any) -> None:
    def spoil(policy: Planner) -> None:
        (rule,) = policy.rules
        laws = rule.laws

        def placed(*given: Any) -> Any:
            mean, spread, chances = laws(*given)
            return _by_place(mean), spread, chances

        monkeypatch.setattr(rule, "laws", placed)

    assert _row_of("m3f_ppo", lambda policy: None).verdict == "passed"
    row = _row_of("m3f_ppo", spoil)
    assert row.verdict == "failed" and "mean of actions of walker" in row.detail


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--tol", "0.1"), "`--tol` is for exploitability"),
        (("--seeds", "3"), "mf_ppo learns with one seed at a time"),
        (("--sweep", "sigma=0.1,0.2"), "`--sweep` is for tables"),
        (("--opt", "hide=zzz"), "nobody sees `zzz`"),
        (("--opt", "hidden=0"), "option `hidden = 0` of mf_ppo"),
    ],
)
def test_flags_that_learners_cannot_follow_are_refused(
    mfdsl: Any, flags: tuple[str, ...], message: str
) -> None:
    outcome = mfdsl("solve", "lq_control", "--solver", "mf_ppo", "--iterations", "1", *flags)
    assert outcome.code == 2
    assert message in outcome.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--opt", "steps=1000"), "lq_control ends after 20 steps, and `steps` is 1000"),
        (("--seed", "1" + 20 * "0"), "a seed is a whole number from 0 and below"),
        (("--opt", "hide=x zzz"), "nobody sees `zzz`"),
        (("--opt", "learning_rate=inf"), "is not a finite number"),
        (("--opt", "hiden=3"), "did you mean `hidden`?"),
    ],
)
def test_numbers_and_names_that_cannot_be_are_refused(
    mfdsl: Any, flags: tuple[str, ...], message: str
) -> None:
    outcome = mfdsl("solve", "lq_control", "--solver", "mf_ppo", "--iterations", "1", *flags)
    assert outcome.code == USAGE
    assert message in outcome.err


def test_a_training_that_explodes_has_failed(mfdsl: Any, team: Path) -> None:
    head = ("solve", team, "--iterations", "4", "--json")
    outcome = mfdsl(*head, *FEW, "--opt", "learning_rate=1e30")
    assert outcome.code == FAILED
    assert outcome.json["status"] == "not_finite"
    assert outcome.json["message"].endswith("or lower `--opt learning_rate`")


def test_a_planner_of_a_major_with_real_actions_is_saved(mfdsl: Any) -> None:
    """Its deviation is one parameter under two names."""
    head = ("solve", "m3fc_formation", "--solver", "m3f_ppo", "--iterations", "2", "--json")
    outcome = mfdsl(*head, *FEW, "--opt", "agents=6", "--opt", "steps=3", "--opt", "hidden=8")
    assert outcome.code == FINE, outcome.err
    again = mfdsl("simulate", "--policy", outcome.json["run"], "--agents", "5", "--json")
    assert again.code == FINE, again.err


def saved(run: str | Path) -> dict[str, Tensor]:
    return RunFolder.open(Path(run)).state()


@pytest.fixture
def ctrl_c_heard() -> Iterator[None]:
    """Python's own handler, also where whoever started the tests ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_heard")
@pytest.mark.parametrize(("presses", "made"), [(1, 3), (2, 2)])
def test_ctrl_c_saves_and_the_rest_is_that_of_an_uninterrupted_run(
    mfdsl: Any, team: Path, monkeypatch: pytest.MonkeyPatch, presses: int, made: int
) -> None:
    """Pressed once the iteration is finished; pressed twice the last measurement counts."""
    head = ("solve", team, "--iterations", "6", *FEW)
    whole = mfdsl(*head, "--json").json["run"]
    report = training._Rows.report

    def press(self: Any, record: LearningRecord) -> None:
        report(self, record)
        if record.iteration == 3:
            for _ in range(presses):
                os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(training._Rows, "report", press)
    outcome = mfdsl(*head)
    assert outcome.code == INTERRUPTED
    assert f"after {made} iterations" in outcome.out
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    run = outcome.out.split("--resume ")[-1].strip()
    monkeypatch.setattr(training._Rows, "report", report)
    rest = mfdsl("solve", "--resume", run, "--json")
    assert rest.code == FINE and rest.json["iterations"] == 6
    assert [entry["iteration"] for entry in rest.json["history"]] == [1, 2, 3, 4, 5, 6]
    one, other = saved(whole), saved(run)
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=0)


def test_a_run_that_was_killed_while_saving_goes_on_from_its_state(mfdsl: Any, run: Any) -> None:
    """Records of iterations that the state has not made are forgotten."""
    folder = Path(run())
    lines = (folder / "metrics.jsonl").read_text()
    later = lines.splitlines()[-1].replace('"iteration": 2', '"iteration": 3')
    (folder / "metrics.jsonl").write_text(lines + later + "\n")
    found = mfdsl("solve", "--resume", folder, "--iterations", "4", "--json").json
    assert [entry["iteration"] for entry in found["history"]] == [1, 2, 3, 4]


def _cut(folder: Path) -> None:
    path = folder / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-40])


def _wider(folder: Path) -> None:
    path = folder / "options.json"
    options = json.loads(path.read_text())
    options["options"]["hidden"] = 32
    path.write_text(json.dumps(options))


def _unmarked(folder: Path) -> None:
    kept = saved(folder)
    kept.pop("made")
    RunFolder.open(folder).write({"state.safetensors": packed(kept, {})})


def _gone(folder: Path) -> None:
    (folder / "state.safetensors").unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_cut, "state.safetensors is damaged"),
        (_wider, "other tensors than it saved: `policy."),
        (_unmarked, "state.safetensors is damaged: it has no `made`"),
        (_gone, "has no state.safetensors: the solve did not get that far"),
    ],
)
def test_a_run_that_does_not_fit_together_is_not_resumed(
    mfdsl: Any, run: Any, spoil: Callable[[Path], None], message: str
) -> None:
    folder = Path(run())
    spoil(folder)
    outcome = mfdsl("solve", "--resume", folder, "--iterations", "4")
    assert outcome.code == USAGE
    assert message in " ".join(outcome.err.split())


def test_a_resumed_run_keeps_its_options_and_needs_something_to_do(mfdsl: Any, run: Any) -> None:
    folder = run()
    other = mfdsl("solve", "--resume", folder, "--opt", "hidden=32")
    assert other.code == USAGE and "keeps its parameters, solver, options" in other.err
    done = mfdsl("solve", "--resume", folder)
    assert done.code == USAGE and "has made all of its 2 iterations" in done.err
    played = mfdsl("simulate", "lq_control", "--policy", folder)
    assert played.code == USAGE, played.out


def test_events_need_an_extra_and_say_which(
    mfdsl: Any, team: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    outcome = mfdsl("solve", team, "--iterations", "1", "--tensorboard")
    assert outcome.code == USAGE
    assert "pip install 'mfdsl[tensorboard]'" in outcome.err
    assert not Path("runs").exists()


def test_events_are_of_networks_only(mfdsl: Any, spec: Path) -> None:
    outcome = mfdsl("solve", spec, "--tensorboard")
    assert outcome.code == USAGE and "`--tensorboard` is for networks" in outcome.err


def test_events_get_every_record_and_a_resumed_run_goes_on(
    mfdsl: Any, team: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer of the extra, replaced by a list."""
    written: list[tuple[Any, ...]] = []

    class Writer:
        def __init__(self, folder: str, purge_step: int | None) -> None:
            written.append((Path(folder).parent.name, purge_step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def close(self) -> None:
            written.append(("closed",))

    module = ModuleType("torch.utils.tensorboard")
    monkeypatch.setattr(module, "SummaryWriter", Writer, raising=False)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    head = ("solve", team, "--iterations", "2", "--json", "--tensorboard")
    found = mfdsl(*head, *FEW).json
    assert written[0] == ("runs", None) and written[-1] == ("closed",)
    history = {entry["iteration"]: entry for entry in found["history"]}
    for name, key in (("return/training", "value"), ("return/measured", "measured")):
        shown = {entry[2]: entry[1] for entry in written[1:-1] if entry[0] == name}
        assert shown == {k: v[key] for k, v in history.items() if v[key] is not None}
    assert ("training/kl", history[1]["details"]["kl"], 1) in written
    written.clear()
    mfdsl("solve", "--resume", found["run"], "--iterations", "3", "--tensorboard")
    assert written[0] == ("runs", 3)
    assert {entry[2] for entry in written[1:-1]} == {3}


def test_events_are_files_that_tensorboard_reads(mfdsl: Any, team: Path) -> None:
    reading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    head = ("solve", team, "--iterations", "3", "--json", "--tensorboard")
    found = mfdsl(*head, *FEW).json
    events = reading.EventAccumulator(found["run"])
    events.Reload()
    shown = {event.step: event.value for event in events.Scalars("return/training")}
    expected = {entry["iteration"]: entry["value"] for entry in found["history"]}
    assert shown == pytest.approx(expected, rel=1e-6)
