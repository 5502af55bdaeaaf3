"""Reading parameter values from flags and files."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mfdsl
from mfdsl.compiler.ir.meaning import joint_actions, joint_states, reward
from mfdsl.compiler.ir.rows import Rows
from mfdsl.errors import UsageError
from mfdsl.parameters import combinations, gather, read_settings, read_sweeps


def test_settings_become_integers_numbers_names_and_arrays() -> None:
    settings = ["n=100", "p = 0.25", "small=1e-3", "side=left", "bar=[[1, 2], [3, 4]]"]
    assert read_settings(settings) == {
        "n": 100,
        "p": 0.25,
        "small": 1e-3,
        "side": "left",
        "bar": (1, 2, 3, 4),
    }


def test_the_last_setting_of_a_name_wins() -> None:
    assert read_settings(["n=1", "n=2"]) == {"n": 2}


@pytest.mark.parametrize(
    "setting", ["n", "=3", "n=", "n=1.2.3", "n=inf", "n=nan", "n=[1, x]", "n=1..3", "n=1_0", "n=٣"]
)
def test_a_malformed_setting_is_a_usage_error_that_quotes_it(setting: str) -> None:
    with pytest.raises(UsageError, match="--set"):
        read_settings([setting])


def test_a_range_sweep_has_both_ends_and_the_asked_number_of_points() -> None:
    assert read_sweeps(["beta=0.1:0.9:3"])["beta"] == pytest.approx((0.1, 0.5, 0.9))
    assert read_sweeps(["beta=2:9:1"]) == {"beta": (2,)}
    assert read_sweeps(["beta=1,2.5,4"]) == {"beta": (1, 2.5, 4)}


@pytest.mark.parametrize(
    "sweep",
    ["beta", "beta=1:2", "beta=1:2:0", "beta=1:2:2.5", "beta=a:b:3", "beta=1,,2", "b=1:2:1e9"],
)
def test_a_malformed_sweep_is_a_usage_error(sweep: str) -> None:
    with pytest.raises(UsageError):
        read_sweeps([sweep])


def test_a_parameter_is_swept_once() -> None:
    with pytest.raises(UsageError, match="swept twice"):
        read_sweeps(["a=1,2", "a=3,4"])
    with pytest.raises(UsageError, match="`a` is set and swept"):
        read_sweeps(["a=1,2"], ["b=3", "a=4"])


def test_several_sweeps_combine_and_the_last_varies_fastest() -> None:
    assert combinations({"a": (1, 2), "b": (3, 4)}) == [
        {"a": 1, "b": 3},
        {"a": 1, "b": 4},
        {"a": 2, "b": 3},
        {"a": 2, "b": 4},
    ]


def test_too_many_combinations_are_refused_before_they_are_made() -> None:
    sweep = {name: tuple(range(1000)) for name in ("a", "b")}
    with pytest.raises(UsageError, match="1,000,000 combinations"):
        combinations(sweep)


def test_settings_win_over_the_parameter_file(tmp_path: Path) -> None:
    file = tmp_path / "values.toml"
    file.write_text("n = 5\np = 0.5\nbar = [[1, 2], [3, 4]]\nopen = true\nside = 'left'\n")
    assert gather(["n=6"], file) == {
        "n": 6,
        "p": 0.5,
        "bar": (1, 2, 3, 4),
        "open": "true",
        "side": "left",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"n == 1", "is not TOML"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"[table]\nn = 1", "`table`"),
        (b"n = nan", "`n`"),
        (b"n = [1, 'x']", "`x`"),
    ],
)
def test_a_bad_parameter_file_is_a_usage_error_that_says_what(
    tmp_path: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "values.toml"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=words):
        gather([], file)


def test_a_missing_parameter_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        gather([], tmp_path / "none.toml")


@pytest.mark.parametrize("text", ["10.0000000000000001", "10.000000000000002", "10"])
def test_a_value_within_the_rounding_of_an_end_is_that_end(
    mfdsl: Any, spec: Path, text: str
) -> None:
    found = mfdsl("solve", spec, "--set", f"c_crowd={text}", "--iterations", 0, "--json").json
    exact = mfdsl("solve", spec, "--set", "c_crowd=10", "--iterations", 0, "--json").json
    assert found["exploitability"] == exact["exploitability"]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--set", "c_crowd=10.00000001"), "`c_crowd = 10.00000001` is outside its range [0, 10]"),
        (
            ("--set", "c_crowd=10.000000000000004"),
            "`c_crowd = 10.000000000000004` is outside its range [0, 10]",
        ),
        (("--sweep", "c_crowd=1,10.00000001"), "`c_crowd = 10.00000001` is outside its range"),
        (("--set", "c_crowd=-1e-9"), "`c_crowd = -1e-09` is outside its range [0, 10]"),
    ],
)
def test_a_refusal_has_the_digits_that_show_why(
    mfdsl: Any, spec: Path, flags: tuple[str, str], words: str
) -> None:
    outcome = mfdsl("solve", spec, *flags)
    assert outcome.code in (1, 2) and words in outcome.err


def test_a_sweep_ends_at_its_end() -> None:
    """-8.168 + (5.94 - -8.168) is above 5.94, which may be the end of a range."""
    (values,) = read_sweeps(["x=-8.168:5.94:3"]).values()
    assert values[-1] == 5.94 and len(values) == 3


TABLE = """model rows
param n : int in 1..5 = 3
param R : real[n, 2] in [0, 1] = [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]
objective nash
horizon 1
population p as mu {
  state x : int in 0..n - 1 ~ uniform
  action a : int in 0..1
  x' = x
  reward r = R[x, a]
}
"""
ROWS = ((0.6, 0.5), (0.4, 0.3), (0.2, 0.1))


@pytest.mark.parametrize("given", ["list", "flat", "numpy", "command", "file"])
def test_rows_keep_their_places(given: str, tmp_path: Path) -> None:
    text = str([list(row) for row in ROWS])
    (tmp_path / "p.toml").write_text(f"R = {text}\n")
    values = {
        "list": lambda: {"R": [list(row) for row in ROWS]},
        "flat": lambda: {"R": [x for row in ROWS for x in row]},
        "numpy": lambda: {"R": np.array(ROWS)},
        "command": lambda: read_settings([f"R={text}"]),
        "file": lambda: gather([], tmp_path / "p.toml"),
    }[given]()
    model = mfdsl.load(text=TABLE, params=values).model
    for state, row in zip(joint_states(model), ROWS, strict=True):
        for action, value in zip(joint_actions(model), row, strict=True):
            assert reward(model, 0, {}, state, action) == value


@pytest.mark.parametrize("text", ["[[.1, .2, .3], [.4, .5, .6]]", "[[.1, .2, .3, .4, .5, .6]]"])
def test_rows_of_another_shape_are_refused(text: str) -> None:
    array = np.array(json.loads(text.replace(".", "0.")))
    for values in (read_settings([f"R={text}"]), {"R": array}):
        with pytest.raises(mfdsl.CompileError, match=r"shape \[3, 2\]: 6 numbers, got rows of"):
            mfdsl.load(text=TABLE, params=values)


def test_rows_of_several_lengths_are_no_array() -> None:
    with pytest.raises(UsageError, match="one row has 2 numbers, another 1"):
        read_settings(["R=[[1, 2], [3]]"])
    with pytest.raises(UsageError, match="numbers stand beside rows"):
        read_settings(["R=[[1, 2], 3]"])


def test_rows_go_to_other_processes_with_their_shape() -> None:
    rows = read_settings(["R=[[1, 2], [3, 4]]"])["R"]
    again = pickle.loads(pickle.dumps(rows))
    assert again == (1, 2, 3, 4) and isinstance(again, Rows) and again.shape == (2, 2)
