"""Logit equilibria of stationary games: beside exact views, closed forms and differences."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl.cli import run
from mfdsl.game import Game, load
from mfdsl.runtime.calibration.equilibrium import adjoint_slope, logit_equilibrium, slopes_of
from mfdsl.runtime.calibration.linear import DENSE, ByProducts, Eliminated
from mfdsl.runtime.calibration.moving import TEMPERATURE, CalibrationError
from mfdsl.runtime.calibration.stationary import StationaryResponse
from mfdsl.runtime.views.stationary import StationaryView

GAMES: dict[str, tuple[tuple[str, ...], float, dict[str, float]]] = {
    "stationary_sis": (("nu", "c_ill", TEMPERATURE), 0.1, {}),
    "incomplete_markets": (("alpha", "stay"), 0.1, {}),
}
MARKET = """model market
param price : real in [-20, 20] = 1
param worth : real in [0, 10] = 2
param moved : real in [0, 1] = 1
objective nash
horizon stationary
discount 0.8
population owner as mu {
  state  kind : int in 0..1 ~ mix { 0.75 -> 1, else -> 0 }
  state  x    : int in 0..1 ~ uniform
  action keep : int in 0..1
  where keep == 0 or kind == 1
  kind' = kind
  x' = keep
  reward use = (worth - price) * x
  reward excess = mean(o.x for o in owner) - 0.3
}
"""
SHARE = 0.3 / 0.75  # of those who may, that own


def response_of(game: Game, names: tuple[str, ...], temperature: float) -> StationaryResponse:
    params = game.program.params(dtype=torch.float64)
    return StationaryResponse.build(game.program, params, names, temperature)


@pytest.fixture
def market(tmp_path: Path) -> Path:
    path = tmp_path / "market.mfg"
    path.write_text(MARKET)
    return path


@pytest.mark.parametrize("name", GAMES)
def test_equilibria_are_those_of_the_exact_view(name: str) -> None:
    names, temperature, params = GAMES[name]
    game = load(name, params=params)
    response = response_of(game, names, temperature)
    found = logit_equilibrium(response, response.start)
    assert (found.scores.numel() > DENSE) == (name == "incomplete_markets")
    view = StationaryView.build(game.program)
    policy = view.policy(response.policy(found.scores)[None])
    flow = view.flow(policy)
    laws, joints = response.flow(found.theta, found.scores)
    assert torch.allclose(laws, flow.laws[0], atol=1e-11)
    own = view.value(flow, view.q_values(flow, policy), policy)
    assert response.paid(found.theta, laws, joints).item() == pytest.approx(own.item(), abs=1e-8)
    assert flow.problem is not None
    rewards = flow.problem.rewards[0]
    scores = found.scores[: response.policy(found.scores).numel()].reshape(response.shape)
    values = temperature * scores[0].logsumexp(-1)
    answered = rewards[..., 0].T + game.program.discount * _ahead(game, joints, values)
    assert torch.allclose(answered / temperature, scores[0], atol=1e-7)


def _ahead(game: Game, joints: Tensor, values: Tensor) -> Tensor:
    """Values of the next state, from the module of the game."""
    module, params, time = game.program.module, game.program.params(), torch.tensor(0)
    sizes = (*game.program.states.values(), *game.program.actions.values())
    field = module.field(params, time, joints.reshape(1, *sizes))
    places = module.successors(params, time, field)[0]
    return (module.weights(params, time, field)[0] * values[places]).sum(-1)


@pytest.mark.parametrize("name", GAMES)
def test_slopes_agree_with_central_differences(name: str) -> None:
    names, temperature, params = GAMES[name]
    response = response_of(load(name, params=params), names, temperature)
    theta, size = response.start, 1e-5
    here = logit_equilibrium(response, theta)
    slopes = slopes_of(response, here)
    back = adjoint_slope(response, here, response.earned)
    assert torch.allclose(back, slopes.earned, rtol=1e-8)
    for k in range(len(theta)):
        step = torch.zeros_like(theta)
        step[k] = size
        ends = [logit_equilibrium(response, theta + s * step, here) for s in (1, -1)]
        laws = [response.flow(e.theta, e.scores)[0] for e in ends]
        earned = [response.earned(e.theta, e.scores).item() for e in ends]
        assert torch.allclose((laws[0] - laws[1]) / (2 * size), slopes.laws[k], atol=1e-5)
        assert (earned[0] - earned[1]) / (2 * size) == pytest.approx(back[k].item(), rel=1e-5)


@pytest.mark.parametrize("reads", [False, True])
def test_blocks_solve_as_elimination_does(market: Path, reads: bool) -> None:
    """Exactly where nobody reads the law, with illegal actions too, and else with GMRES."""
    excess = "  reward excess = mean(o.x for o in owner) - 0.3\n"
    game = load(market if reads else _written(market, MARKET.replace(excess, "")))
    response = response_of(game, ("price",), 0.3)
    found = logit_equilibrium(response, response.start)
    generator = torch.Generator().manual_seed(1)
    right = torch.randn(found.scores.shape, generator=generator, dtype=torch.float64)

    def answer(point: Tensor) -> Tensor:
        return response(response.start, point)

    dense = Eliminated.of(answer, found.scores)
    near = response._blocks(response.start, found.scores)
    quick = ByProducts(answer, found.scores, near) if reads else near
    for one, other in (
        (dense.solve(right), quick.solve(right)),
        (dense.solve_transposed(right), quick.solve_transposed(right)),
    ):
        assert one is not None and other is not None
        assert torch.allclose(one, other, atol=1e-7 if reads else 1e-12)


@pytest.mark.parametrize("temperature", [0.5, 0.05])
def test_one_price_clears_the_market_at_the_logit_demand(market: Path, temperature: float) -> None:
    """Owning next time is worth discount * (worth - price), whatever one owns now."""
    found = mfdsl.clear(market, "price", "excess", temperature=temperature)
    known = 2 - temperature / 0.8 * math.log(SHARE / (1 - SHARE))
    assert found.converged and found.each_stage
    assert found.values["price"] == pytest.approx(known, abs=1e-9)
    assert found.before["excess"] == pytest.approx(
        0.75 / (1 + math.exp(-0.8 / temperature)) - 0.3, abs=1e-9
    )


def test_a_leader_is_paid_the_value_that_solve_reports(market: Path) -> None:
    """A monopolist: -1 for use is (price - worth) x owners; the law is that of logit demand."""
    found = mfdsl.stackelberg(market, "price", weights={"excess": 0.0}, temperature=0.5)
    assert found.converged and found.values["price"] == -20
    priced = mfdsl.load(market, params={"price": 1.0})
    response = response_of(priced, ("price",), 0.5)
    at = logit_equilibrium(response, response.start)
    owners = 0.75 / (1 + math.exp(-0.8 / 0.5))
    earned = (owners + owners - 0.3) / (1 - 0.8)
    assert response.earned(at.theta, at.scores).item() == pytest.approx(earned, abs=1e-9)
    assert found.before == pytest.approx(owners / (1 - 0.8), abs=1e-9)


def test_the_rent_of_incomplete_markets_is_where_capital_supplied_is_capital_used(
    tmp_path: Path,
) -> None:
    """Beside a bisection over soft values at a low temperature, and the game as it is shipped."""
    text = (Path(mfdsl.__file__).parents[1] / "specs" / "incomplete_markets.mfg").read_text()
    for old, new in (
        ("let capital = max(unit / 10, mean(q.k * unit for q in household))\n", ""),
        ("let labour  = mean(q.work for q in household)\n", ""),
        (
            "let rent    = alpha * (labour / capital)^(1 - alpha) - delta\n",
            "let capital = (alpha / (rent + delta))^(1 / (1 - alpha))\n",
        ),
        ("(capital / labour)^alpha", "capital^alpha"),
        ("enum Year", "param rent : real in [0, 0.052] = 0.02\nenum Year"),
        (
            "  agents 1000",
            "  reward excess = mean(q.k * unit for q in household) - capital\n  agents 1000",
        ),
    ):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "priced.mfg"
    path.write_text(text)
    cold = 0.02
    found = mfdsl.clear(path, "rent", "excess", temperature=cold)
    assert found.converged
    low, high = 0.02, 0.04
    for _ in range(11):
        rent = (low + high) / 2
        supplied, used = _capital(path, rent, cold)
        low, high = (rent, high) if supplied < used else (low, rent)
    assert low <= found.values["rent"] <= high
    assert found.values["rent"] == pytest.approx(0.0296142, abs=3e-4)


def _capital(path: Path, rent: float, temperature: float) -> tuple[float, float]:
    """What households own and what firms use at a rent, by soft value iteration."""
    game = load(path, params={"rent": rent})
    options = {"temperature": temperature}
    soft = mfdsl.solve(game, "soft_fixed_point", options=options, iterations=3, tolerance=0)
    owned = soft.flow.laws[0, 0].reshape(25, 2).sum(-1) @ torch.arange(25).to(soft.flow.laws)
    return owned.item() * 0.5, (0.36 / (rent + 0.1)) ** (1 / 0.64)


def _observed(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_parameters_come_back_from_a_law_without_times(tmp_path: Path) -> None:
    truth = {"c_crowd": 30.0, "c_bar": 2.5}
    response = response_of(load("lasry_lions_chain"), tuple(truth), 1.0)
    found = logit_equilibrium(response, torch.tensor(list(truth.values()), dtype=torch.float64))
    law = response.flow(found.theta, found.scores)[0][0].tolist()
    game = load("lasry_lions_chain")
    (axis,) = game.program.state_axes()
    rows = [f"{axis.value(k)},{share!r}" for k, share in enumerate(law)]
    seen = _observed(tmp_path / "seen.csv", f"{axis.name},share", rows)
    fitted = mfdsl.calibrate(game, seen, [*truth], temperature=1.0)
    assert fitted.fit.converged and fitted.values == pytest.approx(truth, abs=1e-6)
    dated = [f"0,{row}" for row in rows]
    known = _observed(tmp_path / "known.csv", f"t,{axis.name},share", dated)
    again = mfdsl.calibrate(game, known, [*truth], temperature=1.0)
    assert again.values == fitted.values


def test_a_later_time_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = _observed(tmp_path / "seen.csv", "t,h,share", ["0,I,0.3", "1,I,0.3"])
    assert run(["calibrate", "stationary_sis", str(seen), "--fit", "nu"]) == 2
    assert "the law of a stationary horizon stays" in capsys.readouterr().err


def test_nobody_ill_is_no_equilibrium_of_an_epidemic() -> None:
    """It is a root as well, where Newton's method at this temperature ends first."""
    response = response_of(load("stationary_sis"), ("nu",), 0.1)
    found = logit_equilibrium(response, response.start)
    assert response.flow(found.theta, found.scores)[0][0, 1] > 0.1
    healthy = torch.tensor([1.0, 0.0]).to(found.scores)
    assert not response.reached(found.theta, torch.cat([found.scores[:-2], healthy]))


def test_mass_that_ends_where_the_policy_says_is_refused(market: Path) -> None:
    choice = MARKET.replace("x' = keep", "x' = x")
    game = mfdsl.load(_written(market, choice))
    assert len(response_of(game, ("price",), 1.0).classes) == 4
    leaves = MARKET.replace("in 0..1 ~ mix { 0.75", "in 0..2 ~ mix { 0")
    leaves = leaves.replace("kind == 1", "kind < 3").replace("x' = keep", "x' = x")
    leaves = leaves.replace("kind' = kind", "kind' = if kind == 0 then 1 + keep else kind")
    with pytest.raises(CalibrationError, match="where the mass ends depends on the policy"):
        response_of(mfdsl.load(_written(market, leaves)), ("price",), 1.0)


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path
