"""What the page about Python shows runs, and `evaluate` says what plain numpy says."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import mfdsl
from mfdsl.runtime.simulator import SimulationError

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "python.md").read_text()
NEEDED = {
    "mfdsl.parallel": "pettingzoo",
    "RepresentativeEnv": "gymnasium",
    "SingleAgentEnv": "gymnasium",
    "export.openspiel": "pyspiel",
    "export.mfglib": "mfglib",
}
STAGES, STATES, ACTIONS = 8, 6, 3  # of the game from arrays on the page

Array = NDArray[np.float64]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_code_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "docs/python.md", "exec"), names)
    assert names["best"].shape == names["own"].shape == (21, 2)
    first = mfdsl.evaluate(names["game"], "uniform").exploitability.value
    assert mfdsl.evaluate(names["game"], names["learned"]).exploitability.value < first
    gain = (names["flow"][0] * (names["best"] - names["own"])[0]).sum()
    assert gain == pytest.approx(names["solution"].exploitability.value, abs=1e-12)
    assert len(capsys.readouterr().out.splitlines()) == 8


@pytest.mark.parametrize("block", blocks("py"), ids=NEEDED.values())
def test_the_code_of_the_page_runs_with_its_extra(
    block: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for word, module in NEEDED.items():
        if word in block:
            pytest.importorskip(module, reason="needs an extra")
    try:
        exec(compile(block, "docs/python.md", "exec"), {})
    finally:
        torch.set_default_dtype(torch.float32)
    shown = capsys.readouterr().out
    if "policy_from" in block:
        here, there, back = map(float, shown.split())
        assert here == pytest.approx(there, abs=1e-9) and back == pytest.approx(there, abs=1e-9)
    assert shown


@pytest.fixture
def arrays(tmp_path: Path) -> tuple[Path, Array, Array]:
    """The spec of the page beside its arrays P [S, A, S] and R [T, S, A]."""
    (spec,) = blocks("mfg")
    draw = np.random.default_rng(5)
    chances = draw.dirichlet(np.ones(STATES), size=(STATES, ACTIONS))
    rewards = draw.normal(size=(STAGES, STATES, ACTIONS))
    np.savez(tmp_path / "game.npz", P=chances, R=rewards)
    (tmp_path / "arrays.mfg").write_text(spec)
    return tmp_path / "arrays.mfg", chances, rewards


def values_by_hand(policy: Array, chances: Array, rewards: Array) -> tuple[Array, Array, Array]:
    """Laws, values of the policy and of the best response at each stage, in plain numpy."""
    laws = [np.full(STATES, 1 / STATES)]
    for stage in policy:
        laws.append(np.einsum("s,sa,sax->x", laws[-1], stage, chances))
    own, best = [np.zeros(STATES)], [np.zeros(STATES)]
    for t in reversed(range(STAGES)):
        paid = rewards[t] - laws[t][:, None]
        own.insert(0, ((paid + chances @ own[0]) * policy[t]).sum(1))
        best.insert(0, (paid + chances @ best[0]).max(1))
    return np.array(laws), np.array(own), np.array(best)


def test_a_policy_from_an_array_has_the_values_that_numpy_finds(
    arrays: tuple[Path, Array, Array],
) -> None:
    spec, chances, rewards = arrays
    policy = np.random.default_rng(6).dirichlet(np.ones(ACTIONS), size=(STAGES, STATES))
    laws, own, best = values_by_hand(policy, chances, rewards)
    scored = mfdsl.evaluate(spec, policy)
    np.testing.assert_allclose(scored.laws[0].numpy(), laws, atol=1e-13)
    np.testing.assert_allclose(scored.best_q.amax(-1)[0].numpy(), best[:-1], atol=1e-12)
    assert scored.value.item() == pytest.approx(laws[0] @ own[0], abs=1e-12)
    gain = laws[0] @ (best[0] - own[0])
    assert scored.exploitability.value == pytest.approx(gain, abs=1e-12)
    assert scored.exploitability.kind == "exact"


def test_a_solution_and_its_folder_have_the_figures_of_the_solve(
    arrays: tuple[Path, Array, Array], tmp_path: Path
) -> None:
    spec, _, _ = arrays
    solution = mfdsl.solve(spec, "omd", iterations=7, out=tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    for policy in (solution.policy, folder):
        scored = mfdsl.evaluate(spec, policy)
        assert scored.exploitability.value == pytest.approx(solution.exploitability.value)
    first = mfdsl.evaluate(spec, "uniform").exploitability.value
    assert first == pytest.approx(solution.history[0].exploitability)


def test_a_folder_plays_as_its_solution_does(
    arrays: tuple[Path, Array, Array], tmp_path: Path
) -> None:
    for number, (name, solver) in enumerate(((arrays[0], "omd"), ("lq_game", "riccati"))):
        game, out = mfdsl.load(name), tmp_path / str(number)
        solution = mfdsl.solve(game, solver, out=out)
        (folder,) = out.iterdir()
        for record in (False, True):
            played = [
                mfdsl.simulate(target, policy, agents=20, batch=2, seed=3, record=record)
                for target, policy in ((game, solution), (game, folder), (name, str(folder)))
            ]
            assert len({str(each.returns) for each in played}) == 1
        other = mfdsl.load("left_right")
        for verb in (mfdsl.simulate, mfdsl.validate):
            with pytest.raises(mfdsl.UsageError, match="a run of another game"):
                verb(other, folder)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (np.full((3, 6, 3), 1 / 3), "sizes 3 x 6 x 3"),
        (np.full((8, 6, 3), 1.0), "not all of it is probabilities"),
        (np.full((8, 6, 3), np.nan), "not all of it is probabilities"),
        (1.0, "2 to 4 axes, and this array has 0"),
        ([["a"]], "a table of numbers"),
        ("nowhere", "there is no such folder"),
    ],
)
def test_what_is_no_policy_of_the_game_is_refused(
    arrays: tuple[Path, Array, Array], policy: Any, words: str
) -> None:
    with pytest.raises(mfdsl.UsageError, match=words):
        mfdsl.evaluate(arrays[0], policy)


MASKED = """
model steps
objective nash
horizon 2
population p as mu {
  state x : int in 0..2 = 0
  action a : int in -1..1 where x + a in 0..2
  action u : real in [-1, 1]
  x' = x + a
  reward r = x + u
}
"""


@pytest.mark.parametrize(
    ("a", "u", "words"),
    [
        (3, 0.0, "`a` of p is 3, outside of -1..1"),
        (0.5, 0.0, "`a` of p is 0.5, which is not a whole number"),
        (-1, 0.0, "`a`, `u` of p takes a value that `where` forbids there"),
        (1, 1.5, r"`u` of p is 1.5, outside of \[-1, 1\]"),
        (1, float("nan"), "`u` of p is nan, which is not a finite number"),
    ],
)
def test_actions_of_a_function_that_the_spec_forbids_are_not_played(
    a: float, u: float, words: str
) -> None:
    game = mfdsl.load(text=MASKED)
    with pytest.raises(mfdsl.UsageError, match=words):
        mfdsl.simulate(game, lambda t, seen: {"a": np.array(a), "u": np.array(u)}, agents=3)


def test_actions_at_the_ends_of_their_ranges_are_played() -> None:
    game = mfdsl.load(text=MASKED)
    played = mfdsl.simulate(game, lambda t, seen: {"a": np.array(1.0), "u": np.array(1)}, agents=3)
    assert played.returns["p"].mean == pytest.approx(0 + 1 + 1 + 1)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda game: mfdsl.simulate(game, lambda t, seen: None), "gives NoneType"),
        (lambda game: mfdsl.simulate(game, np.ones((2, 3, 3))), r"mfdsl.evaluate\(game, array\)"),
        (lambda game: mfdsl.simulate(game, seed=-1), "whole number from 0, not -1"),
        (lambda game: mfdsl.simulate(game, agents=2.5), "whole number, not 2.5"),
        (lambda game: mfdsl.simulate(game, agents={"p": "x"}), "whole number, not 'x'"),
        (
            lambda game: mfdsl.solve("sis", "omd", start=np.ones((51, 2, 2))),
            "ndarray is no policy",
        ),
        (lambda game: mfdsl.solve("sis", "omd", seeds=0), "`seeds` is 0"),
        (lambda game: mfdsl.evaluate("sis", dtype="half"), "`dtype` is 'half'"),
        (lambda game: mfdsl.calibrate("sis", "no.csv", "recovery"), "cannot read `no.csv`"),
    ],
)
def test_wrong_calls_are_refused_by_name(wrong: Any, words: str) -> None:
    with pytest.raises(mfdsl.UsageError, match=words):
        wrong(mfdsl.load(text=MASKED))


def test_a_simulator_takes_whole_numbers_of_agents() -> None:
    game = mfdsl.load(text=MASKED)
    with pytest.raises(SimulationError, match="whole number, not 'x'"):
        game.simulator(agents="x")  # type: ignore[arg-type]
    assert game.simulator(agents=np.int64(7)).agents == {"p": 7}  # type: ignore[arg-type]


def test_a_solution_is_played_as_its_policy_is() -> None:
    solution = mfdsl.solve("nfg_coop", iterations=3)
    one = mfdsl.simulate("nfg_coop", solution, agents=20, seed=4)
    other = mfdsl.simulate("nfg_coop", solution.policy, agents=20, seed=4)
    assert one.mean == other.mean
