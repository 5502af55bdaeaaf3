"""The loop of gd_mfrl: it goes on exactly, judges itself, and stands degenerate games."""

from functools import cache
from pathlib import Path

import pytest
import torch

from mfdsl.compiler.tabular.grids import Bins
from mfdsl.errors import UsageError
from mfdsl.game import Game, load
from mfdsl.planning import Wanted, wanted_tables
from mfdsl.runtime.learning.base import LessonError
from mfdsl.runtime.learning.generated import auditor
from mfdsl.runtime.learning.generated.learner import GeneratedField, warmed
from mfdsl.runtime.learning.generated.network_responses import Networks
from mfdsl.runtime.learning.generated.responses import Exact
from mfdsl.runtime.learning.generated.table_response import ByTables
from mfdsl.settings import resolve
from mfdsl.solving import prepare
from tests.generated.lessons import learner_of

SMALL = {"crowd": 128, "paths": 128, "fit_steps": 3, "fit_batch": 32}
WAYS = {
    "exact": ("rotating_target", {}),
    "path": ("rotating_target", {"response": "path", "answers": 2, "learners": 16}),
    "score": ("sis", {"response": "score", "answers": 1, "learners": 16}),
    "tables": ("sis", {}),
    "wgan_gp": ("rotating_target", {"loss": "wgan_gp"}),
    "flow": ("rotating_target", {"generator": "flow"}),
    "cfm": ("rotating_target", {"generator": "cfm"}),
}


@cache
def game(name: str) -> Game:
    """A game, compiled once."""
    return load(name)


def small(way: str) -> GeneratedField:
    """A learner in the middle of a long course, so that nobody audits it."""
    name, options = WAYS[way]
    return learner_of(game(name), iterations=50, **SMALL, **options)


@pytest.mark.parametrize("way", WAYS)
def test_a_learner_goes_on_exactly(way: str) -> None:
    whole, first = small(way), small(way)
    for k in range(3):
        whole.step(k)
    for k in range(2):
        first.step(k)
    second = small(way)
    second.restore({name: value.clone() for name, value in first.state().items()})
    second.step(2)
    left, right = whole.state(), second.state()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_laws_are_answered_exactly_where_that_can_be() -> None:
    assert isinstance(small("exact").responder, Exact)
    assert isinstance(small("tables").responder, ByTables)
    assert isinstance(learner_of(load("double_well"), **SMALL).responder, Networks)
    with pytest.raises(LessonError, match="no tables that fit"):
        learner_of(load("rotating_target"), response="tables")


def test_the_equilibrium_of_the_rotating_target_is_found() -> None:
    """Means after a short course, beside closed forms; the error split holds."""
    learner = learner_of(
        game("rotating_target"), iterations=5, crowd=2048, paths=4096, fit_steps=40
    )
    found: dict[str, float] = {}
    for k in range(5):
        found = dict(learner.step(k))
    made = learner.crowd(4096, 1 << 33)[:, 0]
    for t, mean in {5: (-0.1295, 0.1021), 10: (-0.2920, -0.1878), 20: (0.0418, -0.5794)}.items():
        assert made[t].mean(0).tolist() == pytest.approx(mean, abs=0.08)
    gap = learner.gap()
    assert gap is not None and gap.value < 2e-3
    assert found["audit_failed"] in (0.0, 1.0)
    assert 0 <= found["split_error"] <= found["split_bound"]


def test_a_planted_collapse_of_the_generator_is_flagged() -> None:
    """All points of the law at one place, whatever the noise is."""
    learner = small("exact")
    learner.step(0)
    assert learner.paths is not None
    far = torch.zeros_like(learner.paths)
    far[1:] = 0.01 * torch.randn(far[1:].shape, generator=torch.Generator().manual_seed(0)) + 2
    learner.fitting.steps = 150
    learner.fitting.fit(far, 1.0, torch.Generator().manual_seed(1))
    verdict = learner.audit(0)
    assert verdict.c2st > 0.9
    assert "classifier" in verdict.failed and "near them" in verdict.failed


@pytest.mark.parametrize("generator", ["implicit", "flow", "cfm"])
def test_games_without_noise_stay_finite(generator: str) -> None:
    calm = load("rotating_target", params={"sigma": 0})
    learner = learner_of(calm, iterations=3, generator=generator, **SMALL)
    for k in range(2):
        assert all(v == v for n, v in learner.step(k).items() if not n.startswith("split"))
    assert bool(torch.isfinite(learner.crowd(64, 9)).all())


def test_a_course_may_begin_with_another() -> None:
    first = small("exact")
    first.step(0)
    second = learner_of(load("rotating_target", params={"kappa": 1.3}), **SMALL)
    warmed(second, first.state())
    assert torch.equal(second.crowd(64, 9), first.crowd(64, 9))
    with pytest.raises(LessonError, match="other networks"):
        warmed(learner_of(load("rotating_target", params={"d": 3}), **SMALL), first.state())


def test_tables_that_no_machine_holds_are_refused_with_their_bytes() -> None:
    wide = load("rotating_target", params={"d": 6})
    ends = {"low.x": -5, "high.x": 5, "low.a": -5, "high.a": 5}
    grids = {"bins": 32, **ends}
    bins = Bins(32, {}, {"x": -5, "a": -5}, {"x": 5, "a": 5})
    assert wanted_tables(wide.model, bins) == Wanted(32**6, 2 * 8 * 32**12 * 20)
    asked = resolve(wide.model, "omd", options=grids)
    with pytest.raises(UsageError, match="335,544,320 TiB"):
        prepare(wide, asked, sweep={})
    free = resolve(wide.model, options=grids)
    assert free.solver == "gd_mfrl" and "335,544,320 TiB" in free.reason
    flat = load("rotating_target", params={"d": 1})
    assert resolve(flat.model, options={**grids, "bins": 9}).solver != "gd_mfrl"
    assert wanted_tables(wide.model, Bins()) is None


def test_the_command_line_learns_resumes_and_plays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mfdsl.cli import run as main

    monkeypatch.setattr(auditor, "LESSONS", 2)  # the auditor's classifier is most of the work
    options = [part for k, v in SMALL.items() for part in ("--opt", f"{k}={v}")]
    options += ["--opt", "evaluate_games=2", "--opt", "evaluate_agents=20"]
    out = ["--out", str(tmp_path)]
    argv = ["solve", "rotating_target", "--solver", "gd_mfrl", "--iterations", "2", *options, *out]
    assert main(argv) == 0
    (run,) = tmp_path.glob("rotating_target-*")
    assert "exploitability" in capsys.readouterr().out
    again = ["solve", "rotating_target", "--resume", str(run), "--iterations", "3"]
    assert main(again) == 0
    assert main(["simulate", "rotating_target", "--policy", str(run), "--agents", "20"]) == 0
    short = ["--seconds", "0.2", "--games", "2", "--agents", "6"]
    assert main(["validate", str(run), *short]) in (0, 1)
