"""Batches: every game ends for itself, and is what it would be alone."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

import mfdsl
from mfdsl.runtime.program import Program
from mfdsl.runtime.solution import Solution
from mfdsl.runtime.solvers import loop
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.runtime.status import Status
from tests.runtime import oracle

# A member of this batch converges early, one late, and one never.
COSTS = (9.0, 0.3, 3.0, 0.0, 5.0)
VARIED: tuple[tuple[str, dict[str, tuple[float, ...]]], ...] = (
    ("omd", {"learning_rate": (0.0, 0.2, 0.5), "temperature": (1.0, 2.0, 0.5)}),
    ("omd", {"learning_rate": (0.1, 0.2, 0.5)}),
    ("omd", {"temperature": (0.3, 1.0, 2.0)}),
    ("fictitious_play", {"weight": (0.0, 0.2, 0.05)}),
    ("policy_iteration", {"temperature": (0.0, 0.2, 1.0), "damping": (0.9, 0.0, 0.5)}),
    ("fixed_point", {"temperature": (0.5, 0.2, 1.0), "damping": (0.9, 0.8, 0.5)}),
)


@cache
def game(kind: str) -> Program:
    return mfdsl.load(
        text=f"""
        model {kind}_rooms
        param c_crowd : real in [0, 10] = 1
        objective nash
        {"discount 0.9" if kind != "finite" else ""}
        horizon {"4" if kind == "finite" else kind}
        population walker as mu {{
          state x : int in 0..2 ~ uniform
          action a : int in -1..1
          noise e : int in 0..1 ~ mix {{ 0.9 -> 0, else -> 1 }}
          x' = clip(x + a - e)
          reward place = x / 3
          cost crowd = c_crowd * mu[x]
          cost move = 0.1 * abs(a)
        }}
        """
    ).program


def run(program: Program, costs: Sequence[float] | None, solver: str, **flags: Any) -> Solution:
    params = None if costs is None else program.params({"c_crowd": list(costs)})
    return solve(program, params, solver, **{"iterations": 40, "tolerance": 1e-2, **flags})


def assert_alone(batch: Solution, singles: Sequence[Solution], margin: float = 1e-8) -> None:
    assert len(batch.endings) == len(singles)
    for place, single in enumerate(singles):
        (ending,) = single.endings
        assert batch.endings[place] == ending
        assert single.status is ending.status and single.iterations == ending.iterations
        gap = batch.exploitability.per_game[place]
        assert gap == pytest.approx(single.exploitability.value, abs=margin)
        assert batch.value[place] == pytest.approx(single.value[0], abs=margin)
        for mine, alone in (
            (batch.policy.probs[place], single.policy.probs[0]),
            (batch.flow.laws[place], single.flow.laws[0]),
        ):
            # A horizon without end is cut for the whole batch, later than for some of its games.
            shared = len(alone) if len(mine) == len(alone) else len(alone) // 2
            torch.testing.assert_close(mine[:shared], alone[:shared], rtol=0, atol=margin)


TABLES = tuple(
    name for name, row in SOLVERS.items() if not row.plays and not row.together and not row.social
)


@pytest.mark.parametrize("solver", TABLES)
def test_each_game_ends_as_it_does_alone(solver: str) -> None:
    options = {"particles": 6} if solver == "mf_pso" else {}
    costs, count = (COSTS[:2], 20) if solver == "mf_omo" else (COSTS, 40)  # it takes longest
    flags: dict[str, Any] = {"config": options, "iterations": count}
    batch = run(game("finite"), costs, solver, **flags)
    singles = [run(game("finite"), [cost], solver, **flags) for cost in costs]
    # Adam divides by roots of squares that are nearly 0: sums in another order are seen. The rest
    # is rounding, which grows in the game that does not converge.
    assert_alone(batch, singles, 1e-4 if solver == "mf_omo" else 1e-6)
    assert batch.iterations == max(single.iterations for single in singles)


def test_games_end_at_different_iterations_and_the_history_is_that_of_the_worst() -> None:
    singles = [run(game("finite"), [cost], "omd", iterations=20) for cost in COSTS]
    batch = run(game("finite"), COSTS, "omd", iterations=20)
    assert len({ending.iterations for ending in batch.endings}) > 2
    assert batch.status is Status.max_iterations
    assert "converged" in batch.message and "max_iterations" in batch.message
    for record in batch.history:
        alone = [
            single.history[min(record.iteration, single.iterations)].exploitability
            for single in singles
        ]
        assert record.exploitability == pytest.approx(max(alone), abs=1e-12)


@pytest.mark.parametrize("kind", ["infinite", "stationary"])
def test_games_without_end_are_what_they_are_alone(kind: str) -> None:
    costs, config = (0.0, 0.3, 1.0), {"learning_rate": 1.0}
    batch = run(game(kind), costs, "omd", config=config, tolerance=0.04)
    assert len({ending.iterations for ending in batch.endings}) > 1
    # What is left after the cut, or of the law, is of this size.
    singles = [run(game(kind), [c], "omd", config=config, tolerance=0.04) for c in costs]
    assert_alone(batch, singles, 1e-6)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("solver", "varied"), VARIED)
def test_options_of_each_game_are_its_own(
    solver: str, varied: Mapping[str, tuple[float, ...]], shared: bool
) -> None:
    costs = None if shared else COSTS[:3]
    batch = run(game("finite"), costs, solver, varied=varied)
    singles = [
        run(
            game("finite"),
            None if costs is None else [costs[k]],
            solver,
            config={name: values[k] for name, values in varied.items()},
        )
        for k in range(3)
    ]
    assert_alone(batch, singles)


def test_options_of_each_game_on_a_stationary_horizon() -> None:
    varied = {"learning_rate": (0.1, 0.2, 1.0), "temperature": (0.5, 1.0, 0.8)}
    batch = run(game("stationary"), None, "omd", varied=varied)
    singles = [
        run(game("stationary"), None, "omd", config={n: v[k] for n, v in varied.items()})
        for k in range(3)
    ]
    assert_alone(batch, singles)


@pytest.mark.parametrize("solver", ["mf_pso", "social_gradient"])
def test_seeds_of_each_game_are_its_own(solver: str) -> None:
    options = {"particles": 6} if solver == "mf_pso" else {}
    seeds = (3, 0, 5, 3)
    batch = run(game("finite"), None, solver, config=options, varied={"seed": seeds}, iterations=8)
    singles = [
        run(game("finite"), None, solver, config=options | {"seed": seed}, iterations=8)
        for seed in seeds
    ]
    assert_alone(batch, singles)
    first, second, _, again = batch.policy.probs
    assert torch.equal(first, again) and not torch.allclose(first, second)


def test_an_option_that_cannot_vary_is_refused() -> None:
    with pytest.raises(SolverError, match="`growth` of mirror_prox"):
        run(game("finite"), None, "mirror_prox", varied={"growth": (1.0, 2.0)})


@pytest.mark.parametrize("solver", ["omd", "fictitious_play"])
def test_a_resumed_batch_goes_on_as_if_it_had_not_stopped(solver: str) -> None:
    whole = run(game("finite"), COSTS, solver, iterations=30, tolerance=1e-3)
    first = run(game("finite"), COSTS, solver, iterations=11, tolerance=1e-3)
    rest = run(
        game("finite"),
        COSTS,
        solver,
        iterations=30,
        tolerance=1e-3,
        state=first.state,
        history=first.history,
    )
    assert rest.endings == whole.endings
    torch.testing.assert_close(rest.policy.probs, whole.policy.probs, rtol=0, atol=1e-10)
    assert [r.iteration for r in rest.history] == [r.iteration for r in whole.history]


def test_games_that_had_ended_catch_up_when_more_is_asked_for() -> None:
    """Each continues at its own iteration, on which the steps of fictitious play depend."""
    first = run(game("finite"), COSTS, "fictitious_play", iterations=15, tolerance=0.1)
    assert len({ending.iterations for ending in first.endings}) > 1
    flags: dict[str, Any] = {"iterations": 25, "tolerance": 1e-4}
    again = dict(flags, state=first.state, history=first.history)
    rest = run(game("finite"), COSTS, "fictitious_play", **again)
    assert_alone(rest, [run(game("finite"), [c], "fictitious_play", **flags) for c in COSTS])


def test_a_state_that_says_nothing_about_its_games_is_refused() -> None:
    first = run(game("finite"), COSTS, "omd", iterations=2)
    state = {name: value for name, value in first.state.items() if name != "member.best"}
    with pytest.raises(SolverError, match="each game of the batch"):
        run(game("finite"), COSTS, "omd", state=state, history=first.history)


def test_a_game_that_bursts_does_not_end_the_others() -> None:
    text = oracle.load("beach_bar").text
    old, new = "half, p.p_still, half", "half, p.p_still + 0 * (0.8 - p.p_still).sqrt(), half"
    assert old in text
    program = oracle.load_program(text.replace(old, new))
    params = program.params({"p_still": [0.5, 0.9, 0.7]})
    batch = solve(program, params, "omd", {"learning_rate": 0.1}, iterations=5)
    kinds = [ending.status for ending in batch.endings]
    assert kinds == [Status.max_iterations, Status.not_finite, Status.max_iterations]
    assert batch.endings[1].iterations == 0 and "`kernel` at stage 0" in batch.endings[1].message
    assert batch.status is Status.not_finite and "1 not_finite" in batch.message
    assert all(record.exploitability > 0 for record in batch.history)


def test_an_interrupted_batch_keeps_those_that_had_ended() -> None:
    count = 0

    def stop() -> bool:
        nonlocal count
        count += 1
        return count > 17

    batch = run(game("finite"), COSTS, "omd", stop=stop)
    assert {e.status for e in batch.endings} == {Status.converged, Status.interrupted}
    assert batch.status is Status.interrupted
    singles = [run(game("finite"), [c], "omd", iterations=batch.iterations) for c in COSTS]
    for place, single in enumerate(singles):
        assert batch.endings[place].iterations == single.iterations
        torch.testing.assert_close(
            batch.policy.probs[place], single.policy.probs[0], rtol=0, atol=1e-10
        )


def test_games_that_have_ended_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    from mfdsl.runtime.solvers.mirror_descent import MirrorDescent

    sizes, step = [], MirrorDescent.step

    def counted(self: MirrorDescent, evaluation: Any, state: Any) -> Any:
        sizes.append(len(state.probs))
        return step(self, evaluation, state)

    monkeypatch.setattr(MirrorDescent, "step", counted)
    monkeypatch.setattr(loop, "blocks_for", lambda games: None)  # as of large games
    batch = run(game("finite"), COSTS, "omd")
    needed = sum(ending.iterations for ending in batch.endings)
    assert sizes[0] == len(COSTS) and sizes[-1] < len(COSTS)
    assert needed <= sum(sizes) < 4 / 3 * needed + len(COSTS)


def test_a_batch_of_networks_stays_together() -> None:
    """Its games share draws: those that have ended keep their policy all the same."""
    options = {"hidden": 8, "seed": 1}
    batch = run(game("finite"), COSTS, "deep_munchausen", config=options, iterations=6)
    again = run(game("finite"), COSTS, "deep_munchausen", config=options, iterations=6, tolerance=0)
    for place, ending in enumerate(batch.endings):
        if ending.iterations == again.iterations:
            assert torch.equal(batch.policy.probs[place], again.policy.probs[place])
    assert replace(batch, history=()).iterations == again.iterations
