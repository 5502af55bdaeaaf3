"""Solvers against the peers' figures and against a slow statement of each algorithm."""

import math
import os
import signal
from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import pytest
import torch

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.program import Program
from mfdsl.runtime.solution import Record, Solution
from mfdsl.runtime.solvers.base import SolverError, make_solver
from mfdsl.runtime.solvers.episodes import Crowd
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.runtime.status import Status
from tests.runtime import oracle

# MFGLib 0.3.0 in float32 at its defaults: exploitability after so many iterations.
MFGLIB = {
    ("beach_bar", "omd"): {0: 1.22126, 1: 0.531685, 3: 0.267837, 10: 0.0760938, 100: 0.00169969},
    ("beach_bar", "fictitious_play"): {1: 0.401437, 3: 0.179557, 10: 0.0580193, 100: 0.00634289},
    ("beach_bar", "fixed_point"): {1: 1.0259, 3: 1.0259, 10: 3.73524, 100: 3.73524},
    ("left_right", "omd"): {0: 0.25, 1: 0.0500702, 3: 0.00446749, 10: 1.96695e-06},
    ("left_right", "fictitious_play"): {1: 0.1875, 3: 0.046875, 10: 0.0309917, 100: 0.00330853},
    ("left_right", "fixed_point"): {1: 1.0, 3: 1.0, 10: 2.0, 100: 2.0},
    ("susceptible_infected", "omd"): {0: 5.46687, 1: 4.57704, 3: 2.89449, 10: 0.383183},
    ("susceptible_infected", "fictitious_play"): {1: 3.65693, 3: 3.14487, 10: 1.11681},
    ("susceptible_infected", "fixed_point"): {1: 4.89203, 3: 5.0373, 10: 8.53252},
}
# The solvers that the peers have too; the others have their tests in tests/runtime/solvers.
STATED = ("omd", "fictitious_play", "fixed_point", "policy_iteration")
GAMES = {
    "left_right": oracle.left_right(),
    "beach_bar": oracle.beach_bar(),
    "susceptible_infected": oracle.susceptible_infected(),
}


def run(program: Program, solver: str, iterations: int, **options: float) -> Solution:
    return solve(program, None, solver, options, iterations=iterations, tolerance=0, patience=None)


def gaps(solution: Solution) -> list[float]:
    return [record.exploitability for record in solution.history]


@pytest.mark.parametrize(("game", "solver"), MFGLIB)
def test_iterates_reach_the_figures_of_mfglib(game: str, solver: str) -> None:
    figures = MFGLIB[game, solver]
    options = {"learning_rate": 1.0} if solver == "omd" else {}
    history = gaps(run(oracle.load(game), solver, max(figures), **options))
    for iteration, figure in figures.items():
        assert history[iteration] == pytest.approx(figure, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("solver", STATED)
def test_iterates_are_those_of_the_algorithm(game: str, solver: str) -> None:
    rate = {"omd": 0.5, "policy_iteration": 0.5}.get(solver, 1.0)
    options = {"omd": {"learning_rate": 0.5}, "policy_iteration": {"temperature": 2.0}}
    history = gaps(run(oracle.load(game), solver, 12, **options.get(solver, {})))
    assert history == pytest.approx(oracle.solve(GAMES[game], solver, 12, rate), abs=1e-10)


@pytest.mark.parametrize("solver", STATED)
def test_iterates_respect_masks_time_and_final_rewards(solver: str) -> None:
    program = oracle.load("masked_queue")
    options = {"omd": {"learning_rate": 1.0}, "policy_iteration": {"temperature": 1.0}}
    history = gaps(run(program, solver, 8, **options.get(solver, {})))
    game = oracle.dense_game(program, program.params())
    assert history == pytest.approx(oracle.solve(game, solver, 8), abs=1e-10)


def test_left_right_reaches_two_thirds_and_one_third() -> None:
    solution = solve(oracle.load("left_right"), solver_name="omd", tolerance=1e-12)
    assert solution.status is Status.converged
    law = solution.flow.laws[0, 1].tolist()
    assert law == pytest.approx([0, 2 / 3, 1 / 3], abs=1e-6)


@pytest.mark.parametrize("solver", STATED)
def test_a_resumed_run_is_the_run_that_did_not_stop(solver: str) -> None:
    program = oracle.load("masked_queue")
    whole = run(program, solver, 9)
    first = run(program, solver, 4)
    rest = solve(
        program,
        None,
        solver,
        iterations=9,
        tolerance=0,
        patience=None,
        state=first.state,
        history=first.history,
    )
    assert gaps(rest) == gaps(whole)
    assert torch.equal(rest.policy.probs, whole.policy.probs)


def test_a_batch_of_parameters_solves_each_game() -> None:
    program = oracle.load("beach_bar")
    bars = [2.0, 0.0, 1.0]
    options = {"iterations": 5, "tolerance": 0}
    batch = solve(program, program.params({"bar": bars}), "omd", **options)
    for g, bar in enumerate(bars):
        alone = solve(program, program.params({"bar": bar}), "omd", **options)
        assert batch.exploitability.per_game[g] == pytest.approx(alone.exploitability.value)
        assert batch.value[g] == pytest.approx(alone.value[0])
    assert batch.exploitability.value == max(batch.exploitability.per_game)


def test_the_adaptive_rate_grows_while_exploitability_falls_and_halves_when_it_rises() -> None:
    program = oracle.load("masked_queue")
    solution = run(program, "omd", 0)
    rate, rates, state = 1.0, [], solution.state
    for iterations in range(1, 30):
        solution = solve(program, iterations=iterations, tolerance=0, state=state)
        state = solution.state
        rates.append(state["rate"].item())
    history = gaps(run(program, "omd", 29))
    assert any(after > before for before, after in pairwise(history))
    for k, found in enumerate(rates):
        if k:
            rate = max(rate * (0.5 if history[k] > history[k - 1] else 1.1), 0.01)
        assert found == pytest.approx(rate)


def test_the_adaptive_rate_beats_the_constant_rates_of_the_peers() -> None:
    program = oracle.load("beach_bar")
    adaptive = gaps(run(program, "omd", 150))[-1]
    assert adaptive < 1e-4 * min(gaps(run(program, "omd", 150, learning_rate=1.0)))


def test_damping_keeps_part_of_the_old_policy() -> None:
    program = oracle.load("beach_bar")
    free = run(program, "fixed_point", 1).policy.probs
    damped = run(program, "fixed_point", 1, damping=0.75).policy.probs
    torch.testing.assert_close(damped, 0.25 * free + 0.75 / 3)


def test_first_of_tied_actions_is_taken_when_asked() -> None:
    solution = solve(
        oracle.load("left_right"), None, "fixed_point", {"ties": "first"}, iterations=1, tolerance=0
    )
    assert solution.policy.at(1, place=0)[0].tolist() == [1.0, 0.0]


def test_a_cycling_run_is_reported_as_stalled() -> None:
    solution = solve(oracle.load("beach_bar"), solver_name="fixed_point", patience=10)
    assert solution.status is Status.stalled
    assert "damp it more" in solution.message
    assert solution.iterations < 20


def test_the_history_holds_the_first_and_the_last_iteration() -> None:
    solution = solve(
        oracle.load("beach_bar"), solver_name="omd", iterations=7, tolerance=0, evaluate_every=3
    )
    assert [record.iteration for record in solution.history] == [0, 3, 6, 7]
    assert solution.status is Status.max_iterations


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("torch.log(mu + p.log_eps[..., None])", "torch.log(mu - 0.3)", "`reward` at stage 0"),
        ("half, p.p_still, half", "half * torch.nan, p.p_still, half", "`kernel` at stage 0"),
    ],
)
def test_a_value_that_is_not_finite_is_traced_to_its_table(old: str, new: str, place: str) -> None:
    text = oracle.load("beach_bar").text
    assert old in text
    solution = solve(oracle.load_program(text.replace(old, new)))
    assert solution.status is Status.not_finite
    assert place in solution.message


def test_ctrl_c_keeps_the_last_complete_iterate() -> None:
    program = oracle.load("beach_bar")

    def interrupt(record: Record) -> None:
        if record.iteration == 3:
            raise KeyboardInterrupt

    solution = solve(program, solver_name="omd", on_progress=interrupt)
    assert solution.status is Status.interrupted
    assert solution.iterations == 3
    assert gaps(solution) == gaps(run(program, "omd", 3))


def test_ctrl_c_that_a_compiled_loop_took_for_a_fault_is_ctrl_c() -> None:
    """As numba reports a signal that comes while it makes Python objects of its results."""

    def interrupt(record: Record) -> None:
        if record.iteration == 3:
            raise SystemError("a result with an exception set") from KeyboardInterrupt()

    def fail(record: Record) -> None:
        raise SystemError("a fault")

    program = oracle.load("beach_bar")
    solution = solve(program, solver_name="omd", on_progress=interrupt)
    assert (solution.status, solution.iterations) == (Status.interrupted, 3)
    with pytest.raises(SystemError, match="a fault"):
        solve(program, solver_name="omd", on_progress=fail)


@pytest.mark.parametrize("games", (1, 9))
@pytest.mark.parametrize(
    "name", ("sis", "crowd_1d", "beach_bar", "stationary_sis", "kinetic_congestion", "crowd_2d")
)
def test_a_policy_that_is_no_number_has_no_exploitability(name: str, games: int) -> None:
    """Small games, runs of states, laws that moves read, alone and side by side."""
    view = build_view(mfdsl.load(name).program)
    uniform = view.uniform().probs
    probs = uniform.expand(games, *uniform.shape[1:]).clone()
    probs[0, -1, 0] = math.nan
    found = Evaluation(view, view.policy(probs))
    assert found.value[0].isnan() and (found.best_value - found.value)[0].isnan()
    assert found.value[1:].isfinite().all() and found.best_value[1:].isfinite().all()


def test_steps_that_leave_the_floats_are_not_said_to_converge() -> None:
    """At an exploitability of exactly 0 the rate of mirror descent grows until scores overflow."""
    program = mfdsl.load("nfg_dom").program
    solution = solve(program, None, "omd", iterations=10**6, tolerance=-1.0, patience=None)
    assert solution.status is Status.not_finite
    assert math.isnan(solution.history[-1].exploitability)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
def test_ctrl_c_at_any_moment_ends_a_solve_as_interrupted() -> None:
    """Pressed where it may fall into a compiled loop or the handing over of its results."""
    program = mfdsl.load("sis").program
    solve(program, iterations=2)  # compiled beforehand
    before = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    # Who starts the tests in the background may have them ignore Ctrl-C.
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for k in range(25):

            def start(record: Record, after: float = 0.001 + 0.0007 * k) -> None:
                if record.iteration == 1:
                    signal.setitimer(signal.ITIMER_REAL, after)

            endless = {"iterations": 10**6, "tolerance": -1.0, "patience": None}
            solution = solve(program, on_progress=start, **endless)  # type: ignore[arg-type]
            assert solution.status is Status.interrupted
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.signal(signal.SIGINT, heard)


def test_stop_is_asked_between_iterations() -> None:
    answers = iter([False, False, True])
    solution = solve(oracle.load("beach_bar"), solver_name="omd", stop=lambda: next(answers))
    assert solution.status is Status.interrupted
    assert solution.iterations == 2


@pytest.mark.parametrize("solver", SOLVERS)
def test_every_row_of_the_table_makes_its_solver(solver: str) -> None:
    row = SOLVERS[solver]
    alone = SimpleNamespace(acting=["person"], reduced=SimpleNamespace(past=None))
    alone.program = SimpleNamespace(name="sis")
    crowd = cast(Crowd, alone) if row.plays else None
    assert type(make_solver(solver, crowd=crowd)).__name__ == row.symbol
    assert all(field.description for field in row.config.model_fields.values())


def test_solvers_that_play_need_somebody_to_play_with() -> None:
    with pytest.raises(SolverError, match="learns from games of agents"):
        solve(oracle.load("left_right"), solver_name="symm_pmd")


def test_unknown_solvers_and_foreign_states_are_refused() -> None:
    program = oracle.load("left_right")
    with pytest.raises(SolverError, match="there is no solver sarsa"):
        solve(program, solver_name="sarsa")
    state = run(program, "omd", 1).state
    with pytest.raises(SolverError, match="begin at its policy with `--start RUN`"):
        solve(program, solver_name="fixed_point", state=state)
    with pytest.raises(SolverError, match="spec and parameters that wrote it"):
        solve(oracle.load("beach_bar"), solver_name="omd", state=state)


def test_a_solve_leaves_threads_and_random_numbers_as_they_were() -> None:
    torch.manual_seed(4)
    expected = torch.rand(1)
    torch.manual_seed(4)
    threads = torch.get_num_threads()
    run(oracle.load("left_right"), "omd", 2)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.rand(1), expected)
