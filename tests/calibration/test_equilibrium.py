"""Logit equilibria and their slopes, beside tables, closed forms and central differences."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from mfdsl.game import load
from mfdsl.runtime.calibration.equilibrium import adjoint_slope, logit_equilibrium, slopes_of
from mfdsl.runtime.calibration.law_system import ByLaws
from mfdsl.runtime.calibration.linear import ByProducts, Eliminated, products
from mfdsl.runtime.calibration.moving import TEMPERATURE
from mfdsl.runtime.calibration.response import SoftResponse
from mfdsl.runtime.solvers.soft_fixed_point import _over_stages
from mfdsl.runtime.views.finite import FiniteView

SPECS = Path(__file__).parents[2] / "specs"
GAMES = {
    "sis": (("infection", "recovery", "c_home"), 0.5, {"T": 12}),
    "beach_bar": (("c_crowd",), 1.0, {"n": 12, "T": 8}),
    "crowd_1d": (("eps", TEMPERATURE), 1.0, {"eps": 0.1}),
}


def response_of(name: str) -> SoftResponse:
    names, temperature, params = GAMES[name]
    game = load(SPECS / f"{name}.mfg", params=params)
    return SoftResponse.build(game.program, game.program.params(), names, temperature)


@pytest.mark.parametrize("name", GAMES)
def test_the_response_is_that_of_the_tables(name: str) -> None:
    response = response_of(name)
    view = FiniteView.build(response.program)
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(response.shape, generator=generator, dtype=torch.float64)
    laws, joints = response.flow(response.start, scores)
    flow = view.flow(view.policy(response.policy(scores)[None]))
    assert torch.allclose(laws, flow.laws[0], atol=1e-14)
    assert torch.allclose(joints, flow.joint[0], atol=1e-14)
    ours = response.policy(response(response.start, scores))
    assert torch.allclose(ours, _over_stages(view, flow, response.temperature)[0], atol=1e-12)
    own = view.value(flow, view.q_values(flow, flow.policy), flow.policy)
    assert response.earned(response.start, scores).item() == pytest.approx(own.item(), abs=1e-11)


@pytest.mark.parametrize("name", GAMES)
def test_slopes_agree_with_central_differences(name: str) -> None:
    response = response_of(name)
    theta, size = response.start, 1e-5
    here = logit_equilibrium(response, theta)
    slopes = slopes_of(response, here)
    for k in range(len(theta)):
        step = torch.zeros_like(theta)
        step[k] = size
        ends = [logit_equilibrium(response, theta + s * step, here) for s in (1, -1)]
        laws = [response.flow(e.theta, e.scores)[0] for e in ends]
        earned = [response.earned(e.theta, e.scores) for e in ends]
        assert torch.allclose((laws[0] - laws[1]) / (2 * size), slopes.laws[k], atol=1e-7)
        assert ((earned[0] - earned[1]) / (2 * size)).item() == pytest.approx(
            slopes.earned[k].item(), rel=1e-6, abs=1e-7
        )


@pytest.mark.parametrize("name", GAMES)
def test_the_adjoint_gives_the_same_slopes(name: str) -> None:
    response = response_of(name)
    here = logit_equilibrium(response, response.start)
    assert torch.allclose(
        adjoint_slope(response, here, response.earned), slopes_of(response, here).earned, atol=1e-9
    )


@pytest.mark.parametrize("eta", ["0.5", "0.2"])
def test_quantal_response_equilibria_of_the_epidemic(eta: str) -> None:
    """Reference shares infected, T = 50 (computed by homotopy from eta = 2)."""
    game = load(SPECS / "sis.mfg", params={"mu0": 0.6})
    response = SoftResponse.build(game.program, game.program.params(), ("recovery",), float(eta))
    found = logit_equilibrium(response, response.start)
    infected = response.flow(found.theta, found.scores)[0][:, 1]
    known = {
        "0.5": {1: 0.472967169575, 10: 0.275340681439, 25: 0.264064783624, 50: 0.306766373953},
        "0.2": {1: 0.438441299349, 10: 0.285834384549, 25: 0.285265613897, 50: 0.369889111808},
    }
    for t, share in known[eta].items():
        assert infected[t].item() == pytest.approx(share, abs=1e-10)


@pytest.mark.parametrize(
    ("name", "params", "choose", "by_laws"),
    [
        ("sis", {"T": 8}, "infection", True),
        ("social_distancing", {"T": 8}, "fee", True),
        ("sir_vaccination", {"T": 6}, "c_jab", True),  # the recovered have one legal action
        ("beach_bar", {"n": 5, "T": 6}, "p_still", True),
        ("epidemic_incentives", {"T": 4}, "c_far", False),  # moves read what others do
    ],
)
def test_systems_by_laws_are_those_of_scores(
    name: str, params: dict[str, int], choose: str, by_laws: bool
) -> None:
    game = load(SPECS / f"{name}.mfg", params=params)
    response = SoftResponse.build(game.program, game.program.params(), (choose,), 0.5)
    generator = torch.Generator().manual_seed(2)
    scores, right = torch.randn((2, *response.shape), generator=generator, dtype=torch.float64)
    if response.legal is not None:
        right = right * response.legal
    found = response.system(response.start, scores)
    assert isinstance(found, ByLaws) == by_laws
    oracle = Eliminated.of(lambda point: response(response.start, point), scores)
    for one, other in (
        (found.solve(right), oracle.solve(right)),
        (found.solve_transposed(right), oracle.solve_transposed(right)),
    ):
        assert one is not None and other is not None
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


def test_products_and_elimination_solve_alike() -> None:
    response = response_of("sis")
    generator = torch.Generator().manual_seed(2)
    scores, right = torch.randn((2, *response.shape), generator=generator, dtype=torch.float64)

    def answer(point: Tensor) -> Tensor:
        return response(response.start, point)

    dense, sparse = Eliminated.of(answer, scores), ByProducts(answer, scores)
    for one, other in (
        (dense.solve(right), sparse.solve(right)),
        (dense.solve_transposed(right), sparse.solve_transposed(right)),
    ):
        assert one is not None and other is not None
        assert torch.allclose(one, other, atol=1e-7)
    assert not torch.allclose(dense.solve(right), dense.solve_transposed(right), atol=1e-3)

    def square(point: Tensor) -> Tensor:
        return point**2

    at, way = torch.tensor([1.0, 3.0]), torch.tensor([5.0, -1.0])
    assert products(square, at)(way).tolist() == [10.0, -6.0]
