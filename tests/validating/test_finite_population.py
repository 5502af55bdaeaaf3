"""Certificates of policies among finitely many players, against simulations and by hand."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from mfdsl import solve
from mfdsl.compiler.analysis.asymmetry.sensitivity import sensitivities
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.lipschitz import Question, Source, Subject, lipschitz
from mfdsl.errors import UsageError
from mfdsl.game import Game, load
from mfdsl.runtime.evaluate import build_view
from mfdsl.runtime.finite_population.theorem_b import typed_flow, typed_gains
from mfdsl.validating.certified import Among, FinitePopulation
from mfdsl.validating.finite_population import finite_population_report
from mfdsl.validating.law_slopes import law_slopes
from mfdsl.validating.typed_game import Types, game_of_types, typed_program, types_of

SPECS = ("asymmetric_sis", "a_rps", "a_sis_players", "beach_bar")
SIZES = (1000, 10_000, 1_000_000, 100_000_000)


@cache
def whole(name: str) -> FinitePopulation:
    game = load(f"specs/{name}.mfg")
    return finite_population_report(game, solve(game, iterations=40), SIZES, 2.0, seed=1)


def only(report: FinitePopulation) -> Among:
    (found,) = report.players
    return found


def reported(name: str) -> Among:
    return only(whole(name))


@pytest.mark.parametrize("name", SPECS)
def test_the_simulated_gain_does_not_exceed_the_certificate(name: str) -> None:
    found = reported(name)
    assert found.simulated is not None
    low = found.simulated.mean - 3 * found.simulated.std_error
    assert found.simulated.players == 1000
    assert low <= found.sizes[0].typed
    assert low <= found.sizes[0].worst
    assert found.sizes[0].limit[0] == max(found.sizes[0].limit)


@pytest.mark.parametrize("name", SPECS)
def test_more_players_never_gain_more(name: str) -> None:
    found = reported(name)
    for column in ("worst", "typed", "a_priori", "finite"):
        values = [getattr(s, column) for s in found.sizes]
        assert values == sorted(values, reverse=True)
    for size in found.sizes:
        assert size.worst <= size.cap
        total = sum(size.terms.values())
        assert size.typed == pytest.approx(min(total, size.cap))
        assert size.vacuous == (size.worst >= size.cap)


@pytest.mark.parametrize("name", SPECS)
def test_text_and_json(name: str) -> None:
    found = whole(name)
    (plain,) = json.loads(json.dumps(found.to_json(), allow_nan=False))["players"]
    assert [e["players"] for e in plain["eps"]] == list(SIZES)
    assert plain["verdict"] == ("exact" if name == "beach_bar" else "approximate")
    text = found.text()
    assert text.startswith(f"symmetry  {plain['verdict'].upper()}")
    assert ("says nothing" in text) == any(s.vacuous for s in reported(name).sizes)


def test_tastes_by_hand() -> None:
    """With even play a player of taste z gains 0.075 (max z - mean z) in 9 of 10 steps."""
    game = load("specs/a_rps.mfg")
    even = build_view(game.program).uniform()
    found = only(finite_population_report(game, even, [100, 1000]))
    worst, _, mean = found.sizes[0].limit
    assert worst == pytest.approx(9 * 0.1)
    assert mean == pytest.approx(9 * 0.075 * 0.5, abs=0.02)  # E max z = 1 / 2, by 6^3 points
    assert np.ptp(found.worst_type["z"]) == 2
    assert found.sizes[0].terms["solver gap"] == pytest.approx(0)
    assert found.sizes[0].worst <= found.sizes[0].a_priori


def test_the_least_number_of_players() -> None:
    game = load("specs/a_rps.mfg")
    even = build_view(game.program).uniform()
    least = only(finite_population_report(game, even, [100], 1.2)).least
    assert least is not None
    at = only(finite_population_report(game, even, [least, least - 1])).sizes
    assert at[1].worst <= 1.2 < at[0].worst
    assert only(finite_population_report(game, even, [100], 0.5)).least is None


def test_players_between_the_types_gain_no_more_than_certified() -> None:
    """Random traits against the same flow, in the limit and next to nobody else's influence."""
    game = load("specs/asymmetric_sis.mfg")
    player = game.model.population
    policy = solve(game, iterations=40).policy
    found = only(finite_population_report(game, policy, [10**12]))
    rng = np.random.default_rng(0)
    low, high = np.array([0.729, 0.27, 0.9]), np.array([0.891, 0.33, 1.1])
    drawn = rng.uniform(low, high, (400, 3))
    listed = types_of(game.model, player)
    values = {
        name: np.concatenate([listed.values[name], drawn[:, k]])
        for k, name in enumerate(("beta", "nu", "fear"))
    }
    shares = np.concatenate([listed.shares, np.zeros(400)])
    everybody = Types(values, shares, shares == 0)
    kinds = game_of_types(*typed_program(game, [everybody])[:2], shares, 20)
    table = policy.probs[0].numpy()
    gains = typed_gains(kinds, typed_flow(kinds, table), table)
    assert gains.max() <= found.sizes[0].worst
    assert found.sizes[0].typed < found.sizes[0].worst < found.sizes[0].cap


def test_how_far_a_draw_moves_a_player() -> None:
    """beta goes through 0.162 and nu through 0.06, mass between two states; fear through 0.2."""
    model = load("specs/asymmetric_sis.mfg").model
    dynamics = sensitivities(model, model.population, "dynamics")
    reward = sensitivities(model, model.population, "reward")
    assert dynamics == pytest.approx({"beta": 0.324, "nu": 0.12, "fear": 0})
    assert reward == pytest.approx({"beta": 0, "nu": 0, "fear": 0.2})
    arrays = load("specs/a_rps.mfg").model
    assert sensitivities(arrays, arrays.population, "reward") is None


def test_a_symmetric_game_has_one_type() -> None:
    found = reported("beach_bar")
    assert found.dynamics.upper == found.reward.upper == 0
    for size in found.sizes:
        assert size.typed == pytest.approx(size.a_priori)
        assert len(set(size.limit)) == 1


def typed(game: Game) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean kernels and rewards of the types, and the kernel of the tables, at a law."""
    program = game.program
    types = types_of(game.model, game.model.population)
    game_ = game_of_types(*typed_program(game, [types])[:2], types.shares, 3)
    joint = (
        np.random.default_rng(0)
        .dirichlet(np.ones(game_.legal.size))
        .reshape(  # type: ignore[union-attr]
            program.state_count, program.action_count
        )
    )
    law = torch.from_numpy(joint).reshape(1, *program.states.values(), *program.actions.values())
    made = program.module.kernel(program.params(), torch.tensor(0), law)
    mean = np.einsum("k,ksat->sat", game_.shares, game_.kernel(0, joint))
    return mean, made.reshape(mean.shape).numpy(), types.shares


@pytest.mark.parametrize("name", SPECS)
def test_the_types_average_to_the_tables(name: str) -> None:
    mean, table, shares = typed(load(f"specs/{name}.mfg"))
    np.testing.assert_allclose(mean, table, atol=1e-12)
    assert shares.sum() == pytest.approx(1)


def test_constants_of_affine_games_stay_below_their_certificate() -> None:
    game = load("specs/asymmetric_sis.mfg")
    player = game.model.population
    types = types_of(game.model, player)
    program, params, blocks = typed_program(game, [types])
    kinds = game_of_types(program, params, types.shares, 20)
    mean = game_of_types(game.program, game.program.params(), np.ones(1), 20)
    alone = replace(blocks, of_type=np.zeros(1, dtype=np.int64))
    found = law_slopes(game, (kinds, blocks), (mean, alone), 20)
    subject = Subject("dynamics", dynamics=player)
    source = Source("mu", "law", player)
    certificate = lipschitz(Question(facts_of(game.model), subject, source))
    assert certificate.upper is not None
    assert found.kernel.max() == pytest.approx(0.891)  # beta at most 0.891, half of 2 beta
    assert found.kernel.max() <= certificate.upper * (1 + 1e-9)
    assert found.kernel[:, :, 1].max() == 0  # who is ill does not feel the others
    assert found.groups is not None
    assert len(np.unique(found.groups)) == 2


PEERS = """
model peers
enum Choice { left, right }
objective nash
horizon 2
population person {
  trait  b : real in [0, 1] ~ uniform
  state  x : Choice ~ uniform
  action a : Choice
  x' = a
  reward all = mean(q.b * ind(q.x == x) for q in person)
  observe x, t
}
"""


def test_what_has_no_bound_is_refused() -> None:
    game = load("specs/a_rps.mfg")
    even = build_view(game.program).uniform()
    with pytest.raises(UsageError, match="at least two"):
        finite_population_report(game, even, [1])
    other = load("specs/asymmetric_sis.mfg")
    with pytest.raises(UsageError, match="does not fit"):
        finite_population_report(other, even, [10])
    peers = load(text=PEERS)
    with pytest.raises(UsageError, match="hidden traits of the others"):
        finite_population_report(peers, build_view(peers.program).uniform(), [10])
