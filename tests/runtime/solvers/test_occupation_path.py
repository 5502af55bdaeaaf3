"""MF-OMO along a path: exact derivatives, Newton corrections, and the games that it solves."""

from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.layout import inner
from mfdsl.runtime.program import Program
from mfdsl.runtime.solvers import occupation_newton as newton, occupation_path, occupation_slopes
from mfdsl.runtime.solvers.base import SolverError, make_solver
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.solvers.occupation_path import Path
from mfdsl.runtime.solvers.occupation_residual import meeting, residual
from mfdsl.runtime.solvers.occupation_slopes import (
    View,
    along,
    along_by_copies,
    reads_states_only,
    slopes,
    walk_of,
)
from mfdsl.runtime.status import Status
from mfdsl.runtime.views.stationary import StationaryView
from tests.runtime import oracle
from tests.runtime.solvers.games import gaps, program, run

# One stage and a law of actions, a final reward, moves that read the law, a discount without end,
# and two horizons that are stationary.
GAMES = ["nfg_coop", "ring", "masked_queue", "sis", "equilibrium_price", "endless", "contraction"]
LATER = [*GAMES, "stationary_sis"]
ENDLESS = """
model endless
objective nash
discount 0.5
horizon infinite
population walker as mu {
  state  x : int in 0..2 = 0
  action a : int in -1..1
  x' = clip(x + a)
  reward place = x
  cost   crowd = 2 * mu[x]
}
"""


def played(name: str) -> Program:
    if name == "masked_queue":
        return oracle.load(name)
    if name == "endless":
        return mfdsl.load(text=ENDLESS).program
    if name == "sis":
        return mfdsl.load("sis", params={"T": 3}).program
    return program(name)


def some_point(view: View) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Masses, values, costs and legal pairs somewhere inside."""
    uniform = view.uniform().probs[0]
    generator = torch.Generator().manual_seed(1)
    mass = torch.rand(uniform.shape, generator=generator, dtype=torch.float64) + 0.2
    legal = uniform > 0
    mass = mass.where(legal, 0.0)
    mass = mass / mass.sum((1, 2), keepdim=True)
    values = torch.randn(mass.shape[:2], generator=generator, dtype=torch.float64)
    costs = torch.rand(mass.shape, generator=generator, dtype=torch.float64) + 0.1
    return mass, values, costs, legal


def met(view: View, mass: Tensor, values: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """q [T, n] and what comes [T, S], states slowest."""
    found = meeting(view, inner(mass[None]), values[..., None], scale)
    return found.q[..., 0].transpose(1, 2).flatten(1), found.comes[..., 0]


@pytest.mark.parametrize("name", LATER)
def test_derivatives_are_those_of_autograd_compiled_or_not(name: str) -> None:
    view = build_view(played(name))
    mass, values, _, legal = some_point(view)
    scale = torch.tensor([1.7], dtype=torch.float64)
    turns = torch.randn(len(mass), 3, *mass.shape[1:], dtype=torch.float64) * legal[:, None]
    assert walk_of(view) is not None
    compiled = along(view, mass, values, scale, turns)
    copies = along_by_copies(view, mass, values, scale, turns)
    allowed = legal.flatten(1)
    for one, other in zip(compiled, copies, strict=True):
        if one.shape[1] == allowed.shape[1]:
            width = (..., *[None] * (one.ndim - 2))
            one, other = (x.where(allowed[width], 0.0) for x in (one, other))
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)
    for direction in range(3):
        turn = turns[:, direction]
        _, (q, come) = torch.autograd.functional.jvp(
            lambda at: met(view, at, values, scale), mass, turn
        )
        q = q.where(allowed, 0.0)
        found = compiled[3][..., direction].where(allowed, 0.0)
        torch.testing.assert_close(found, q, rtol=1e-9, atol=1e-10)
        plain = torch.einsum("tpx,tp->tx", compiled[2], turn.flatten(1))
        torch.testing.assert_close(compiled[4][..., direction] + plain, come, rtol=1e-9, atol=1e-10)


def test_games_that_read_the_law_of_actions_are_told_apart() -> None:
    """The final reward of `ring` reads where moves lead, so actions count."""
    for name, found in [("sis", True), ("ring", False), ("equilibrium_price", False)]:
        assert reads_states_only(build_view(played(name))) == found


@pytest.mark.parametrize("dense", [True, False])
@pytest.mark.parametrize("name", LATER)
def test_changes_solve_the_linear_equations(
    name: str, dense: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Along the changes, each equation moves by what it misses (by autograd through the game)."""
    monkeypatch.setattr(newton, "MOST_AT_ONCE", 10**6 if dense else 0)
    monkeypatch.setattr(newton, "SPARSE", 10**6 if dense else 0)
    view = build_view(played(name))
    mass, values, costs, legal = some_point(view)
    scale = torch.tensor([1.7], dtype=torch.float64)
    lasting = isinstance(view, StationaryView)

    def equations(at: Tensor, worth: Tensor, paid: Tensor) -> tuple[Tensor, Tensor]:
        q, comes = met(view, at, worth, scale)
        gain = q - worth[..., None].expand_as(at).flatten(1) + paid.flatten(1)
        laws = at.sum(-1)
        if lasting:
            return gain, laws - comes
        return gain, laws - torch.cat([view.tables.initial.t(), comes[:-1]])

    found = slopes(view, mass, values, scale, legal, by_state=reads_states_only(view))
    gain, flow = equations(mass, values, costs)
    faults = newton.Faults(gain[..., None], flow[..., None])
    refill = mass[0].sum(-1)[:, None].expand(-1, mass.shape[1]) if lasting else None
    moved, later = newton.changes(found, mass, costs, faults, view.discount, refill)
    change = moved[..., 0].view_as(mass)
    # costs z are mass over weights: dz = - z dd / d
    dearer = (-costs * change / mass.where(legal, 1.0)).where(legal, 0.0)
    _, (gain_moved, flow_moved) = torch.autograd.functional.jvp(
        equations, (mass, values, costs), (change, later[..., 0], dearer)
    )
    allowed = legal.flatten(1)
    torch.testing.assert_close(gain_moved[allowed], -gain[allowed], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(flow_moved, -flow, rtol=1e-8, atol=1e-8)


def test_centred_differences_keep_their_relative_rounding() -> None:
    """One action has nearly all of the weight: its own difference is what the other one takes."""
    shares = torch.tensor([[[1 - 1e-13, 1e-13]]], dtype=torch.float64)
    table = torch.tensor([[[[3.0], [1.0]]]], dtype=torch.float64)
    mean, apart = newton.centred(table, shares)
    assert mean.item() == pytest.approx(3 - 2e-13, abs=1e-15)
    assert apart.flatten().tolist() == pytest.approx([2e-13, -2.0], rel=1e-12)


@pytest.mark.parametrize("name", ["ring", "sis", "equilibrium_price", "contraction"])
def test_points_of_the_path_fulfil_both_equations_and_gaps_shrink_with_the_price(
    name: str,
) -> None:
    game = played(name)
    view = build_view(game)
    state = run(game, "mf_omo", 4, route="path").state
    known = state["weights"] > 0
    mass = state["masses"].exp().where(known, 0.0)
    price = state["price"].exp()
    costs = (price * state["weights"] / mass.where(known, 1.0)).where(known, 0.0)
    found = residual(
        view, inner(mass), state["values"].permute(1, 2, 0), inner(costs), state["scale"]
    )
    assert price.item() < 0.1
    assert found.flow.item() < 1e-4 * price.item()
    powers = view.discount ** torch.arange(mass.shape[1], dtype=mass.dtype)
    expected = price * (powers[:, None, None] * state["weights"][0]).sum()
    assert found.gaps.item() == pytest.approx(expected.item(), rel=1e-12)
    # Values of states that nobody reaches follow nothing, so the value equations are read by gap.
    gap = Evaluation(view, view.policy(mass / mass.sum(-1, keepdim=True).clamp(min=1e-300)))
    worth = found.gaps * state["scale"]
    if view.discount < 1 and isinstance(view, StationaryView):
        worth = worth / (1 - view.discount)
    assert 0 <= gap.exploitability.value <= 1.5 * worth.item()


@pytest.mark.parametrize(
    "name",
    "left_right rock_paper_scissors mfglib_beach_bar conservative_treasure_hunting "
    "equilibrium_price random_linear linear_quadratic crowd_1d garnet nfg_coop nfg_dom "
    "nfg_biased_rps lasry_lions_chain mf_garnet".split(),
)
def test_games_of_the_peers_are_solved_far_below_single_precision(name: str) -> None:
    found = solve(mfdsl.load(name).program, None, "mf_omo", iterations=20, tolerance=1e-9)
    assert found.status is Status.converged


def test_a_path_that_turns_back_is_followed() -> None:
    """Vaccination over 17 stages: prices rise again where the path folds, and it hardly turns in a
    step, as it would if another part of it, run the other way, were taken for the next one.
    """
    game = mfdsl.load("sis", params={"T": 16}).program
    states: list[Path] = []

    def note(course: object) -> bool:
        states.append(course.stand.state)  # type: ignore[attr-defined]
        return False

    found = solve(game, None, "mf_omo", iterations=150, tolerance=1e-9, watch=note)
    assert found.status is Status.converged
    prices = [state.price.item() for state in states]
    assert any(after > before + 1e-6 for before, after in pairwise(prices))
    bends = [cosine(one, other) for one, other in pairwise(states[1:])]
    assert min(bends) > occupation_path.STRAIGHT and min(bends) < 0.95


def cosine(one: Path, other: Path) -> float:
    """Of the angle between two directions, where the second one is."""
    mass = other.masses.exp()

    def product(a: Path, b: Path) -> float:
        masses = (mass * a.mass_turn * b.mass_turn).sum()
        return float(masses + a.price_turn * b.price_turn)

    return product(one, other) / (product(one, one) * product(other, other)) ** 0.5


def test_of_all_policies_along_the_path_the_best_is_returned() -> None:
    game = mfdsl.load("sis", params={"T": 30}).program
    found = run(game, "mf_omo", 30)
    best = min(gaps(found))
    assert found.exploitability.value == pytest.approx(best, abs=1e-12) and best < gaps(found)[-1]


def test_without_compiled_loops_the_path_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    game = mfdsl.load("mfglib_beach_bar").program
    compiled = gaps(run(game, "mf_omo", 6))
    monkeypatch.setattr(occupation_slopes, "walk_of", lambda view: None)
    assert gaps(run(game, "mf_omo", 6)) == pytest.approx(compiled, rel=1e-6)


def test_a_path_that_cannot_go_on_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    game = mfdsl.load("left_right").program
    monkeypatch.setattr(occupation_path, "_corrected", lambda *_: None)
    found = run(game, "mf_omo", 3)
    assert found.state["ended"].item() == 1
    assert len(set(gaps(found))) == 1


def test_those_about_to_leave_do_not_hold_a_stationary_path_up() -> None:
    """Half of those at 0 leave for ever at each step; the pushes end with 1e-40 of them there."""
    text = ENDLESS.replace("infinite", "stationary").replace("in 0..2 = 0", "in 0..3 = 0")
    text = text.replace("x' = clip(x + a)", "x' = if x == 0 then max(a, 0) else clip(x + a, 1, 3)")
    found = run(mfdsl.load(text=text).program, "mf_omo", 12)
    assert gaps(found)[-1] < 1e-6 < gaps(found)[0]


def test_a_resumed_path_goes_on_exactly() -> None:
    game = oracle.load("masked_queue")
    whole, first = run(game, "mf_omo", 7), run(game, "mf_omo", 3)
    settings = {"iterations": 7, "tolerance": -1, "patience": None}
    rest = solve(game, None, "mf_omo", {}, state=first.state, history=first.history, **settings)
    assert gaps(rest) == gaps(whole)
    assert torch.equal(rest.policy.probs, whole.policy.probs)


def test_each_game_of_a_batch_has_its_own_path() -> None:
    game = oracle.load("beach_bar")
    settings = {"iterations": 5, "tolerance": 0}
    batch = solve(game, game.params({"bar": [2.0, 0.0, 1.0]}), "mf_omo", {}, **settings)
    for place, bar in enumerate([2.0, 0.0, 1.0]):
        alone = solve(game, game.params({"bar": bar}), "mf_omo", {}, **settings)
        assert batch.exploitability.per_game[place] == pytest.approx(alone.exploitability.value)


def test_the_route_is_chosen_by_precision_size_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    game = program("cycle")
    view, rough = build_view(game), build_view(game, game.params(dtype=torch.float32))
    assert isinstance(make_solver("mf_omo").init(view), Path)
    assert not isinstance(make_solver("mf_omo").init(rough), Path)
    assert not isinstance(make_solver("mf_omo", {"gap_weight": 2.0}).init(view), Path)
    with pytest.raises(SolverError, match="needs double precision: run in float64"):
        make_solver("mf_omo", {"route": "path"}).init(rough)
    monkeypatch.setattr("mfdsl.runtime.solvers.occupation_optimisation.MOST_NUMBERS", 10)
    assert not isinstance(make_solver("mf_omo").init(view), Path)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"route": "path", "updates": 5}, "`updates` is an option of route=gradient"),
        ({"updates": 5, "offset": 2.0}, "`offset` is an option of route=path"),
        ({"route": "gradient", "offset": 2.0}, "`offset` is an option of route=path"),
    ],
)
def test_options_of_the_other_route_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        make_solver("mf_omo", options)
