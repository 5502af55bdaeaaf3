"""Parameters come back from the flow that they make; bad data and names are refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.cli import run
from mfdsl.errors import UsageError
from mfdsl.game import Game, load
from mfdsl.gathering import table_of_run
from mfdsl.named_tables import read_observations
from mfdsl.runtime.calibration.equilibrium import logit_equilibrium
from mfdsl.runtime.calibration.response import SoftResponse

SPECS = Path(__file__).parents[2] / "specs"
TRUTHS = {
    "sis": ({"infection": 0.62, "recovery": 0.22, "c_home": 0.7}, 0.3, {"T": 10}),
    "beach_bar": ({"p_still": 0.7, "c_crowd": 0.6}, 0.5, {"n": 10, "T": 10}),
    "crowd_1d": ({"eps": 0.1, "temperature": 0.7}, 1.0, {}),
}


def observed(game: Game, truth: dict[str, float], temperature: float, path: Path) -> None:
    """The flow of a logit equilibrium as data."""
    response = SoftResponse.build(game.program, game.program.params(), tuple(truth), temperature)
    theta = torch.tensor(list(truth.values()), dtype=torch.float64)
    found = logit_equilibrium(response, theta)
    laws = response.flow(theta, found.scores)[0]
    (axis,) = game.program.state_axes()
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["t", axis.name, "share"])
        for t, law in enumerate(laws.tolist()):
            writer.writerows((t, axis.value(k), share) for k, share in enumerate(law))


@pytest.mark.parametrize("name", TRUTHS)
def test_known_parameters_are_recovered(name: str, tmp_path: Path) -> None:
    truth, temperature, params = TRUTHS[name]
    game = load(SPECS / f"{name}.mfg", params=params)
    observed(game, truth, temperature, tmp_path / "seen.csv")
    found = mfdsl.calibrate(game, tmp_path / "seen.csv", [*truth], temperature=temperature)
    assert found.fit.converged and not found.fit.blurred and not found.fit.at_end
    assert found.values == pytest.approx(truth, abs=1e-6)
    assert found.fit.rms < 1e-7


def test_noise_shows_in_the_errors(tmp_path: Path) -> None:
    """Shares with noise of 0.01: the truth lies within four standard errors."""
    truth, temperature, params = TRUTHS["sis"]
    game = load(SPECS / "sis.mfg", params=params)
    observed(game, truth, temperature, tmp_path / "clean.csv")
    noise = np.random.default_rng(5)
    lines = (tmp_path / "clean.csv").read_text().splitlines()
    parts = [line.rsplit(",", 1) for line in lines[1:]]
    rows = [f"{head},{float(share) + 0.01 * noise.normal()}" for head, share in parts]
    (tmp_path / "noisy.csv").write_text("\n".join([lines[0], *rows]))
    found = mfdsl.calibrate(
        game,
        tmp_path / "noisy.csv",
        ["infection", "recovery"],
        temperature=temperature,
        params=None,
    )
    assert found.fit.rms == pytest.approx(0.01, rel=0.5)
    assert all(error > 1e-4 for error in found.fit.errors.values())


def test_what_the_data_do_not_see_is_said(tmp_path: Path) -> None:
    """Only the difference of two costs of the same kind matters."""
    spec = tmp_path / "two.mfg"
    spec.write_text(
        "model two\nobjective nash\nhorizon 3\n"
        "param a1 : real in [0, 5] = 1\nparam a2 : real in [0, 5] = 2\n"
        "population people as mu {\n  state x : int in 0..1 ~ uniform\n"
        "  action a : int in 0..1\n  x' = a\n  reward r = (a1 - a2) * x - mu[x]\n}\n"
    )
    (tmp_path / "seen.csv").write_text("t,x,share\n1,1,0.4\n2,1,0.3\n3,1,0.35\n")
    found = mfdsl.calibrate(spec, tmp_path / "seen.csv", ["a1", "a2"], temperature=1.0)
    (way,) = found.fit.blurred
    assert way["a1"] == pytest.approx(way["a2"])
    assert all(np.isnan(error) for error in found.fit.errors.values())


SPLIT = """model split
objective nash
horizon 2
param c : real in [0, 9] = 1
param d : real in [0, 9] = 1
population people as mu {
  state x : int in 0..1 ~ uniform
  action a : int in 0..1
  x' = a
  reward r = (if t == 0 then c else d) * a
}
"""


@pytest.mark.parametrize(
    "rows", ["1,1,0.7\n", "1,1,0.7\n2,1,0.8\n", "1,1,0.7\n1,0,0.3\n2,1,0.8\n2,0,0.2\n"]
)
def test_as_many_parameters_as_shares_have_no_errors(rows: str, tmp_path: Path) -> None:
    """A fit that leaves nothing does not know the noise; one share does not see two parameters."""
    (tmp_path / "seen.csv").write_text(f"t,x,share\n{rows}")
    game = load(text=SPLIT)
    found = mfdsl.calibrate(game, tmp_path / "seen.csv", ["c", "d"], temperature=1.0)
    assert found.fit.spare == 0 and found.fit.rms < 1e-8
    assert all(np.isnan(error) for error in found.fit.errors.values())
    assert len(found.fit.blurred) == (rows.count("\n") == 1)


def test_the_other_half_of_shares_that_add_up_changes_no_error(tmp_path: Path) -> None:
    """Who stays out follows from who is in: writing it down is no second measurement."""
    halves = "t,x,share\n1,1,0.7\n2,1,0.8\n"
    both = halves + "1,0,0.3\n2,0,0.2\n"
    noisy = halves + "1,0,0.31\n2,0,0.19\n"
    found = []
    for text in (halves, both, noisy):
        (tmp_path / "seen.csv").write_text(text)
        found.append(mfdsl.calibrate(load(text=SPLIT), tmp_path / "seen.csv", ["d"]).fit)
    assert [fit.spare for fit in found] == [1, 1, 3]
    assert found[1].errors["d"] == pytest.approx(found[0].errors["d"], rel=1e-6)


def test_a_fit_at_the_end_of_its_range_is_called_so(tmp_path: Path) -> None:
    """Nobody is paid enough within the range to be where all were seen."""
    spec = tmp_path / "one.mfg"
    spec.write_text(
        "model one\nobjective nash\nhorizon 2\nparam c : real in [0, 2] = 1\n"
        "population people as mu {\n  state x : int in 0..1 ~ uniform\n"
        "  action a : int in 0..1\n  x' = a\n  reward r = c * x\n}\n"
    )
    (tmp_path / "seen.csv").write_text("t,x,share\n1,1,1\n")
    found = mfdsl.calibrate(spec, tmp_path / "seen.csv", ["c"], temperature=1.0)
    assert found.fit.at_end == ("c",) and found.values["c"] == pytest.approx(2, abs=1e-6)


def test_a_missing_variable_is_summed_over(tmp_path: Path) -> None:
    spec = tmp_path / "pair.mfg"
    spec.write_text(
        "model pair\nobjective nash\nhorizon 2\nparam c : real in [0, 5] = 1\n"
        "population people as mu {\n  state x : int in 0..1 ~ uniform\n"
        "  state y : bool ~ bernoulli(0.3)\n  action a : int in 0..1\n"
        "  x' = a\n  y' = y\n  reward r = -c * a + ind(y) * a\n}\n"
    )
    (tmp_path / "seen.csv").write_text("t,x,share\n1,1,0.35\n2,1,0.35\n")
    found = mfdsl.calibrate(spec, tmp_path / "seen.csv", ["c"], temperature=0.5)
    assert found.fit.rms < 1e-8


BAD = {
    "t,h,share\n0,X,0.4\n": r"line 2: h has no value X",
    "t,h,share\n99,S,0.4\n": r"line 2: t is 99",
    "t,h,share\n1,S,many\n": r"line 2: share is `many`",
    "t,h,share\n1.5,S,0.4\n": r"line 2: t is 1.5",
    "t,h,share\n1,S\n": r"line 2: 2 cells for 3 columns",
    "t,h\n1,S\n": r"needs one column `share`",
    "t,health,share\n1,S,0.4\n": r"unknown column",
    "t,h,share\n": r"has no rows",
    "t,h,share,weight\n1,S,.4,-1\n": r"weight is -1",
    "t,t,h,share\n1,1,S,0.4\n": r"needs one column `t`",
    "t,h,share\n1,S,20\n": r"line 2: share is 20",
    "t,h,share\n1,S,-0.1\n": r"line 2: share is -0.1",
    "t;h;share\n1;S;0.4\n": r"put commas between columns",
    "t,h,share\n1,S,0.9\n1,I,0.9\n": r"the shares at t = 1 add up to 1.8",
}


def test_a_table_may_begin_as_spreadsheets_begin_it(tmp_path: Path) -> None:
    (tmp_path / "seen.csv").write_bytes(b"\xef\xbb\xbft,h,share\r\n1,S,0.4\r\n")
    (row,) = read_observations(tmp_path / "seen.csv", ["h"])
    assert (row.time, row.values, row.share) == (1, {"h": "S"}, 0.4)


@pytest.mark.parametrize("text", BAD)
def test_bad_data_are_refused_with_their_place(text: str, tmp_path: Path) -> None:
    (tmp_path / "seen.csv").write_text(text)
    with pytest.raises(UsageError, match=BAD[text]):
        mfdsl.calibrate(SPECS / "sis.mfg", tmp_path / "seen.csv", ["infection"])


NAMES = {
    "beta": "unknown parameter `beta`",
    "T": "keeps its value",
    "infection,infection": "there twice",
    "": "no parameter is named",
}


@pytest.mark.parametrize("names", NAMES)
def test_names_that_cannot_be_fitted_are_refused(names: str, tmp_path: Path) -> None:
    (tmp_path / "seen.csv").write_text("t,h,share\n1,I,0.4\n")
    with pytest.raises(UsageError, match=NAMES[names]):
        wanted = [n for n in names.split(",") if n]
        mfdsl.calibrate(SPECS / "sis.mfg", tmp_path / "seen.csv", wanted)


def test_a_run_becomes_data_and_a_parameter_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The way from a solve over its table to fitted parameters, at the command line."""
    monkeypatch.chdir(tmp_path)
    solver = ["--solver", "soft_fixed_point", "--opt", "temperature=1", "--iterations", "400"]
    few = ["--set", "T=6"]
    true = ["--set", "recovery=0.22"]
    assert run(["solve", "sis", *few, *true, *solver, "--tol", "0", "-o", "runs", "-q"]) == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert run(["table", str(folder), "-o", "seen.csv"]) == 0
    capsys.readouterr()
    fit = ["--fit", "recovery", "--temperature", "1", "-o", "fitted.toml", "--json"]
    assert run(["calibrate", "sis", "seen.csv", *few, *fit]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["values"]["recovery"] == pytest.approx(0.22, abs=1e-6)
    assert "recovery = 0.2" in (tmp_path / "fitted.toml").read_text()
    assert run(["check", "sis", "--params", "fitted.toml", "-q"]) == 0
    policy = table_of_run(folder, "policy")
    assert policy.columns == ("t", "h", "a", "chance")
    assert {row[1] for row in policy.rows} == {"S", "I"}
    rows = read_observations(tmp_path / "seen.csv", ["h"])
    assert sum(row.share for row in rows if row.time == 3) == pytest.approx(1)
    assert run(["table", str(folder), "-o", "seen.txt"]) == 2
    (only,) = table_of_run(folder, "games").rows
    assert only[-1] == json.loads((folder / "summary.json").read_text())["status"]


def test_games_of_a_sweep_are_one_table(tmp_path: Path) -> None:
    options = ["--sweep", "recovery=0.2,0.4", "--set", "T=4", "-o", str(tmp_path), "-q"]
    assert run(["solve", "sis", *options, "--iterations", "5"]) in (0, 1)
    (folder,) = tmp_path.iterdir()
    games = table_of_run(folder, "games")
    assert games.columns == ("recovery", "exploitability", "value", "iterations", "status")
    assert [row[0] for row in games.rows] == [0.2, 0.4]
    flow = table_of_run(folder, "flow")
    assert len(flow.rows) == 2 * 6 * 2 and flow.columns[0] == "recovery"
    with np.load(__import__("io").BytesIO(flow.as_npz())) as arrays:
        assert arrays["share"].sum() == pytest.approx(2 * 6)
