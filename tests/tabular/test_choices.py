"""Tables over ranks of legal actions are the tables over all actions, up to names."""

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.compiler.ir import meaning
from mfdsl.compiler.ir.interpret import Environment, evaluate
from mfdsl.compiler.tabular import choices
from mfdsl.compiler.tabular.grids import Bins
from mfdsl.game import Game
from mfdsl.planning import wanted_tables
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.solvers.loop import solve
from mfdsl.runtime.tabled import Tabled
from mfdsl.simulating import run_agents, uniform_setting

# Two actions, a bool and values that do not begin at 0, and legality by a bool and by a number.
TWO = """
model two
param T : int in 1..9 = 3
enum Way { L, M, R }
objective nash
horizon T

population p {
  state  x : int in -1..2 ~ choose(k in -1..2, weight = (2 + k) / 10)
  state  s : bool ~ mix { 0.5 -> true, else -> false }
  state  z : int in 0..1 = 0
  action go : int in -1..2 where if s then go == x else go >= 1 and way != L
  action way : Way
  let busy = prob(q.go == go and q.way == way for q in p)
  x' = if s then x else go
  s' = not s
  z' = if way == M then 1 else z
  reward fun = x * 0.3 - busy + ind(way == R) * 0.1 + 0.2 * z * go
  agents 500
}
"""

# Legality reads no state and the second of three actions only; or a state and the last action.
SOME = """
model some
objective nash
horizon 3
population p as mu {
  state  x : int in -2..3 ~ uniform
  action b : bool
  action a : int in -1..1 where RULE
  x' = clip(x + a)
  reward r = -mu[x] + mu[a = a] * ind(b)
}
"""
RULES = ("a != 0", "(a == 0) == (x > 1)")


def ranked(monkeypatch: pytest.MonkeyPatch, text: str | None = None, **given: float) -> Game:
    """A game whose tables have ranks, however small they are."""
    monkeypatch.setattr(choices, "MOST_PAIRS", 0)
    monkeypatch.setattr(choices, "WORTH", 1)
    name = None if text else "dynamic_routing"
    game = mfdsl.load(name, text=text, params=dict(given))
    assert game.reduced is not None
    assert game.reduced.choices is not None
    return game


TEXTS = (None, TWO, *(SOME.replace("RULE", rule) for rule in RULES))


@pytest.mark.parametrize("text", TEXTS, ids=["routing", "two", "actions alone", "some actions"])
def test_rows_list_what_the_interpreter_calls_legal(
    text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    game = ranked(monkeypatch, text)
    model, found = game.model, game.reduced.choices if game.reduced else None
    assert found is not None
    assert model.population.legal is not None
    names = [s.name for s in model.population.states]
    firsts = [model.types[s.type].first for s in model.population.states]
    actions = meaning.joint_actions(model)
    mask = game.program.module.legal(game.program.params(), torch.tensor(0))[0]
    for flat, state in enumerate(meaning.joint_states(model)):
        own = {("state", n): v for n, v in zip(names, state, strict=True)}
        legal = []
        for place, action in enumerate(actions):
            acted = zip(model.population.actions, action, strict=True)
            around = Environment(own | {("action", a.name): v for a, v in acted})
            if evaluate(model, model.population.legal, around):
                legal.append(place)
        where = tuple(state[names.index(n)] - firsts[names.index(n)] for n in found.states)
        row = found.rows[found.row_of[where]]
        assert row[: len(legal)].tolist() == legal
        assert mask[flat].tolist() == [k < len(legal) for k in range(len(row))]


@pytest.mark.parametrize("text", [None, TWO], ids=["routing", "two"])
def test_mirror_descent_meets_the_same_policies(
    text: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {} if text else {"T": 70}
    name = None if text else "dynamic_routing"
    whole = mfdsl.load(name, text=text, params=dict(given))
    assert whole.reduced is None
    options = {"solver_name": "omd", "iterations": 12, "tolerance": 0.0}
    plain = solve(whole.program, **options)  # type: ignore[arg-type]
    few = solve(ranked(monkeypatch, text, **given).program, **options)  # type: ignore[arg-type]
    gaps, others = ([r.exploitability for r in s.history] for s in (plain, few))
    assert gaps[0] > 0.01
    np.testing.assert_allclose(others, gaps, rtol=0, atol=1e-10)
    np.testing.assert_allclose(few.flow.laws, plain.flow.laws, rtol=0, atol=1e-10)


def test_agents_do_what_the_ranks_stand_for(monkeypatch: pytest.MonkeyPatch) -> None:
    game = ranked(monkeypatch, TWO)
    view = build_view(game.program)
    policy = solve(game.program, iterations=20).policy
    assert game.reduced is not None
    simulator = game.simulator(agents=20_000, batch=4, seed=3)
    rollout = simulator.rollout(Tabled(policy, game.reduced, game.model))
    earned = rollout.returns["p"].mean
    assert earned == pytest.approx(Evaluation(view, policy).value.item(), abs=0.01)


def test_counted_agents_follow_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    game = ranked(monkeypatch, TWO)
    counted = run_agents(uniform_setting(game), agents=100_000, batch=2, by="counts")
    view = build_view(game.program)
    value = Evaluation(view, view.uniform()).value.item()
    assert float(counted.returns.mean()) == pytest.approx(value, abs=0.01)


def test_sioux_falls_fits_where_tables_over_all_links_do_not() -> None:
    game = mfdsl.load("sioux_falls", params={"T": 2})
    assert choices.ranks(game.model) == 6
    assert game.program.action_count == 6
    needed = wanted_tables(game.model, Bins())
    assert needed is not None and needed.bytes == 2 * 8 * 124 * 24 * 81 * 6 * 2
    view = build_view(game.program)
    with torch.no_grad():
        laws = view.laws(view.uniform())[0]
    assert laws[-1].sum().item() == pytest.approx(1, abs=1e-12)


def test_small_games_and_legality_that_reads_time_keep_their_actions() -> None:
    assert mfdsl.load("dynamic_routing").reduced is None
    later = TWO.replace("go >= 1", "go >= (if t > 0 then 1 else 0)")
    assert choices.ranks(mfdsl.load(text=later).model) is None
