"""Tables where agents decide, against the tables of all states."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl import solving
from mfdsl.errors import UsageError
from mfdsl.records import start_of
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.layout import inner
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.views import decisions
from mfdsl.runtime.views.decisions import DecisionView, deciding, decision_view
from mfdsl.settings import resolve
from mfdsl.shared_job import Company
from mfdsl.solving import bytes_of, prepare

pytest.importorskip("numba", exc_type=ImportError)

# Who is at work cannot choose; how long work takes is drawn, longer where many work.
WORK = """
model shifts
objective nash
horizon 9
discount 0.9
population worker {
  state  site : int in 0..2 ~ choose(s in 0..2, weight = (s + 1) / 6)
  state  left : int in 0..7 = 0
  noise  slow : bool ~ bernoulli(0.2 + 0.6 * prob(q.left > 0 for q in worker))
  noise  lost : bool ~ bernoulli(0.1)
  action go : int in 0..2 where left == 0 or go == site
  site' = if left == 0 and lost then 0 else go
  left' = if left > 0 then left - 1 else if go == 0 then 0 else if slow then go + 4 else go
  reward pay = if left > 0 then 1 + site else -0.1 * go
  final reward home = ind(site == 0)
}
"""


@pytest.fixture(autouse=True)
def small_games_too(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(decisions, "LEAST_ENTRIES", 1)
    with torch.no_grad():
        yield


def both(program: Program) -> tuple[DecisionView, Tensor, Tensor]:
    """The view of decisions, a drawn policy for it, and the same for all states."""
    box = deciding(program, program.params())
    assert box is not None
    view = decision_view(program, program.params(), box)
    assert view is not None
    even = view.uniform().probs
    drawn = torch.rand(even.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    drawn = (drawn * (even > 0)) / (drawn * (even > 0)).sum(-1, keepdim=True)
    some = drawn.where(torch.arange(drawn.shape[2])[:, None] % 3 > 0, even)
    whole = build_view(program).uniform().probs.clone()
    whole[:, :, torch.from_numpy(box.states)] = some
    return view, some, whole


@pytest.mark.parametrize("name", ["shifts", "dynamic_routing"])
def test_values_and_laws_are_those_of_all_states(name: str) -> None:
    game = mfdsl.load(text=WORK) if name == "shifts" else mfdsl.load(name, params={"T": 60})
    view, some, whole = both(game.program)
    found = Evaluation(view, view.policy(some))
    slow = build_view(game.program)
    right = Evaluation(slow, slow.policy(whole))
    places = torch.from_numpy(view.box.states)
    assert len(places) < game.program.state_count / 4
    torch.testing.assert_close(found.value, right.value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.best_value, right.best_value, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.laws, right.laws[:, :, places], rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(found.q, right.q[:, :, places], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found.best_q, right.best_q[:, :, places], rtol=1e-12, atol=1e-12)
    assert found.exploitability.value == pytest.approx(right.exploitability.value, abs=1e-12)
    all_states = view.whole_flow(found.flow)
    torch.testing.assert_close(all_states.laws, right.laws, rtol=1e-12, atol=1e-13)
    assert torch.equal(all_states.policy.probs, whole)
    assert all_states.policy.states == game.program.state_axes()


@pytest.mark.parametrize("name", ["successive_averages", "omd"])
def test_a_solver_makes_the_same_steps(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = mfdsl.load("dynamic_routing", params={"T": 60}).program
    few = solve(program, solver_name=name, iterations=12, tolerance=0.0)
    monkeypatch.setattr(decisions, "LEAST_ENTRIES", 1 << 40)
    all_states = solve(program, solver_name=name, iterations=12, tolerance=0.0)
    assert few.state["probs"].shape[2] == 2 < all_states.state["probs"].shape[2]
    for one, other in zip(few.history, all_states.history, strict=True):
        assert one.exploitability == pytest.approx(other.exploitability, abs=1e-11)
    mass = all_states.flow.laws[:, :-1, :, None] > 0
    apart = (few.policy.probs - all_states.policy.probs).abs()
    assert (apart * mass).max() < 1e-11
    torch.testing.assert_close(few.flow.laws, all_states.flow.laws, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("solver", ["successive_averages", "omd"])
def test_a_run_begins_at_a_policy_of_all_states(
    solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = mfdsl.load("dynamic_routing", params={"T": 60})

    def begun(start: str | TabularPolicy) -> tuple[mfdsl.Solution, int]:
        settings = resolve(game.model, solver, iterations=6)
        job = prepare(game, settings, sweep={}, start=start_of(start, game))
        state = job.state
        assert state is not None
        return solving.run(job), state["probs"].shape[2]

    earlier = solve(game.program, solver_name="omd", iterations=2, tolerance=0.0).policy
    few = [begun(start) for start in ("random", earlier)]
    monkeypatch.setattr(decisions, "LEAST_ENTRIES", 1 << 40)
    all_states = [begun(start) for start in ("random", earlier)]
    assert [sizes for _, sizes in (*few, *all_states)] == [2] * 2 + [game.program.state_count] * 2
    for (one, _), (other, _) in zip(few, all_states, strict=True):
        gaps = [record.exploitability for record in other.history]
        found = [record.exploitability for record in one.history]
        assert found == pytest.approx(gaps, abs=1e-10)


def test_processes_do_not_share_such_tables() -> None:
    game = mfdsl.load("dynamic_routing", params={"T": 60})
    settings = resolve(game.model, "omd", iterations=6)
    job = prepare(game, settings, sweep={}, start=start_of("random", game))
    nobody: Any = None
    with pytest.raises(UsageError, match="tables of the 2 states at which agents decide"):
        Company(nobody, nobody).run(job, nobody, nobody)


@pytest.mark.parametrize("solver", ["successive_averages", "omd"])
def test_a_run_goes_on_as_it_began(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = mfdsl.load("dynamic_routing", params={"T": 60}).program

    def run(count: int, state: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        found = solve(program, None, solver, iterations=count, tolerance=0.0, state=state)
        return dict(found.state)

    straight, first = run(6), run(3)
    again = run(6, first)
    assert all(torch.equal(straight[name], again[name]) for name in straight)
    monkeypatch.setattr(decisions, "LEAST_ENTRIES", 1 << 40)
    old = run(3)
    monkeypatch.setattr(decisions, "LEAST_ENTRIES", 1)
    assert run(6, old)["probs"].shape == old["probs"].shape  # tables of all states stay so


@pytest.mark.parametrize("name", ["sis", "crowd_1d", "beach_bar"])
def test_games_whose_states_leave_a_choice_have_tables_of_all(name: str) -> None:
    program = mfdsl.load(name).program
    assert deciding(program, program.params()) is None


def test_what_differs_over_time_or_games_has_tables_of_all_states() -> None:
    program = mfdsl.load(text=WORK).program
    assert deciding(program, program.params()) is not None
    single = program.params(dtype=torch.float32)
    assert deciding(program, single) is None
    timed = WORK.replace("-0.1 * go", "-0.1 * go * t")
    program = mfdsl.load(text=timed).program
    assert deciding(program, program.params()) is None


def test_a_law_that_is_not_finite_is_not_hidden() -> None:
    program = mfdsl.load(text=WORK).program
    view, some, _ = both(program)
    broken = some.clone()
    broken[0, 2] = torch.nan
    found = Evaluation(view, view.policy(broken))
    assert found.laws[0, :3].isfinite().all()
    assert not found.laws[0, 3].isfinite().all()
    assert found.value.isnan()


def test_illegal_actions_are_worth_nothing() -> None:
    view, some, _ = both(mfdsl.load("dynamic_routing", params={"T": 60}).program)
    found = Evaluation(view, view.policy(some))
    illegal = inner(view.uniform().probs) == 0
    assert (inner(found.q)[illegal] == -torch.inf).all()
    assert (inner(found.best_q)[illegal] == -torch.inf).all()


def test_memory_counts_what_such_a_run_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    game = mfdsl.load("sioux_falls")
    settings = resolve(game.model, "successive_averages")
    monkeypatch.setattr(solving, "memory_of", lambda device: 2 << 30)
    job = prepare(game, settings, sweep={})
    assert 1 << 30 < bytes_of(job) < 2 << 30  # 1.6 GiB were measured
    monkeypatch.setattr(solving, "memory_of", lambda device: 1 << 30)
    with pytest.raises(UsageError, match=r"its tables need 1\.5 GiB, there are 1\.0 GiB"):
        prepare(game, settings, sweep={})
    with pytest.raises(UsageError, match=r"its tables need 7\.0 GiB"):
        prepare(game, resolve(game.model, "fictitious_play"), sweep={})


def test_all_states_need_room_where_moves_cannot_be_written_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    game = mfdsl.load("sioux_falls")
    monkeypatch.setattr(solving, "memory_of", lambda device: 2 << 30)
    job = prepare(game, resolve(game.model, "successive_averages"), sweep={})
    monkeypatch.setattr(solving, "decision_view", lambda program, params, box: None)
    with pytest.raises(UsageError, match=r"its tables need 7\.0 GiB, there are 2\.0 GiB"):
        solving.run(job)
