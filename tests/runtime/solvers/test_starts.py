"""Solvers that begin at a given policy: it is their first one, and steps go on from it."""

import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl.errors import UsageError
from mfdsl.game import Game, load
from mfdsl.licence import licences
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.solvers.base import make_solver
from mfdsl.runtime.solvers.course import view_for
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.starts import LEAST, STARTS, begun, drawn
from mfdsl.settings import resolve
from mfdsl.solving import prepare
from mfdsl.starting import Start
from mfdsl.structural import case_of, with_structure


@pytest.fixture(scope="module")
def beach() -> Game:
    return load("beach_bar", params={"n": 5, "T": 3})


@pytest.fixture(scope="module")
def start(beach: Game) -> Tensor:
    return drawn(build_view(beach.program).uniform().probs, (7,))


@pytest.mark.parametrize("name", STARTS)
def test_the_first_policy_is_the_one_that_is_given(name: str, beach: Game, start: Tensor) -> None:
    view = view_for(beach.program, beach.program.params(), name)
    state = begun(name, make_solver(name), view, start)
    found = solve(beach.program, None, name, iterations=0, state=state)
    assert torch.allclose(found.policy.probs, start, atol=1e-11)
    if name != "social_gradient":
        gap = build_view(beach.program).exploitability(view.policy(start)).item()
        assert found.history[0].exploitability == pytest.approx(gap, rel=1e-9)


@pytest.mark.parametrize("name", STARTS)
def test_a_solver_that_begins_at_the_uniform_policy_does_what_it_does_without(
    name: str, beach: Game
) -> None:
    view = view_for(beach.program, beach.program.params(), name)
    state = begun(name, make_solver(name), view, view.uniform().probs)
    plain = solve(beach.program, None, name, iterations=5, tolerance=0)
    again = solve(beach.program, None, name, iterations=5, tolerance=0, state=state)
    assert torch.allclose(again.policy.probs, plain.policy.probs, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("omd", {"learning_rate": 1e-6}),
        ("omd", {"learning_rate": 1e-6, "temperature": 3.0}),
        ("pmd", {"learning_rate": 1e-6}),
        ("munchausen_omd", {"temperature": 1e6}),
        ("prior_descent", {"temperature": 1e6}),
    ],
)
def test_steps_in_logarithms_go_on_from_the_start(
    name: str, options: dict[str, float], beach: Game, start: Tensor
) -> None:
    """One small step changes the policy by little: it has not gone back to the uniform one."""
    view = build_view(beach.program)
    state = begun(name, make_solver(name, options), view, start)
    found = solve(beach.program, None, name, options, iterations=1, tolerance=0, state=state)
    assert torch.allclose(found.policy.probs, start, atol=1e-4)


def test_no_action_is_lost_to_logarithms_and_none_illegal_is_gained() -> None:
    game = load("crowd", params={"T": 2})
    view = build_view(game.program)
    uniform = view.uniform().probs
    first = torch.zeros_like(uniform).scatter(-1, uniform.argmax(-1, keepdim=True), 1.0)
    for name in ("omd", "munchausen_omd"):
        probs = begun(name, make_solver(name), view, first)["probs"]
        assert probs[uniform > 0].min() >= LEAST / 2
        assert probs[uniform == 0].abs().max() == 0
    assert torch.equal(
        begun("fixed_point", make_solver("fixed_point"), view, first)["probs"], first
    )


def test_an_option_that_varies_begins_every_game_at_the_policy(beach: Game, start: Tensor) -> None:
    policy = TabularPolicy(start)
    sweep = {"opt.temperature": (0.5, 2.0)}
    found = mfdsl.solve(beach, "omd", sweep=sweep, start=policy, iterations=0)
    assert torch.allclose(found.policy.probs, start.expand(2, -1, -1, -1), atol=1e-11)
    options = {"temperature": 2.0}
    alone = mfdsl.solve(beach, "omd", options=options, start=policy, iterations=4, tolerance=0)
    both = mfdsl.solve(beach, "omd", sweep=sweep, start=policy, iterations=4, tolerance=0)
    assert torch.allclose(both.policy.probs[1], alone.policy.probs[0], atol=1e-9)


def test_the_policy_of_a_solution_begins_another_solve(beach: Game) -> None:
    solution = mfdsl.solve(beach, "omd", iterations=30, tolerance=0)
    again = mfdsl.solve(beach, "policy_iteration", start=solution.policy, iterations=0)
    assert again.exploitability.value == pytest.approx(solution.exploitability.value, rel=1e-9)


def test_what_is_no_policy_of_the_game_is_refused(beach: Game, start: Tensor) -> None:
    cases = {
        "not all of it is probabilities": TabularPolicy(2 * start),
        "has sizes 1 x 5 x 3": TabularPolicy(start[:, :1]),
        "is 2 policies, one for each game of a batch": TabularPolicy(start.expand(2, -1, -1, -1)),
    }
    for words, policy in cases.items():
        with pytest.raises(UsageError, match=words):
            mfdsl.solve(beach, "omd", start=policy, iterations=0)
    walls = load("crowd", params={"T": 2})
    everywhere = torch.ones_like(build_view(walls.program).uniform().probs)
    policy = TabularPolicy(everywhere / everywhere.sum(-1, keepdim=True))
    with pytest.raises(UsageError, match="takes actions that are illegal"):
        mfdsl.solve(walls, "omd", start=policy, iterations=0)


@pytest.mark.parametrize(
    ("solver", "verdict"), [("mirror_prox", "unknown"), ("frank_wolfe", "proved")]
)
def test_a_proof_from_the_uniform_policy_proves_nothing_from_another_one(
    solver: str, verdict: str
) -> None:
    game = load("pigou")
    case = case_of(game.model, 1e-2)
    entries = licences(with_structure(game.model, game.certificates), case)
    (options,) = (entry.options for entry in entries if entry.solver == solver)
    settings = resolve(game.model, solver, options=options, tolerance=1e-2)
    assert prepare(game, settings, sweep={}).license.verdict == "proved"
    job = prepare(game, settings, sweep={}, start=Start("random"))
    assert job.license.verdict == verdict
    assert ("a heuristic from this one" in job.license.text) == (verdict == "unknown")


def test_auto_takes_no_solver_whose_proof_is_from_the_uniform_policy() -> None:
    game = load("rps_standard")
    usual = prepare(game, resolve(game.model, "auto", tolerance=0.1), sweep={})
    assert (usual.settings.solver, usual.license.verdict) == ("mirror_prox", "proved")
    job = prepare(game, resolve(game.model, "auto", tolerance=0.1), sweep={}, start=Start("random"))
    assert job.settings.solver != "mirror_prox" and job.license.verdict != "proved"
