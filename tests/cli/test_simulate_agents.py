"""`mfdsl simulate` on games of agents: named agents, traces, recordings, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

GAME = """model market

param speed : real in [0, 1] = 0.1

objective nash
horizon 3

enum Kind { hawk, dove }

environment weather {
  state  z : real = 0
  noise  shock : real ~ normal(0, std = 0.1)
  z' = 0.9 * z + shock
}

major bank {
  state  rate : real in [0, 1] ~ uniform
  action move : real in [-0.1, 0.1]
  rate' = clip(rate + move)
  reward hold = -rate
}

population buyer {
  state  at : real[2] in [-1, 1] ~ uniform
  trait  kind : Kind ~ mix { 0.5 -> hawk, else -> dove }
  action go : real[2] in ball(1)
  at' = clip(at + speed * go)
  reward far = -mean(dot(q.at - at, q.at - at) for q in seller) - bank.rate + weather.z
  cost   own = 0.1 * ind(kind == hawk)
  agents 40
}

population seller {
  state  at : real[2] in [-1, 1] ~ uniform
  action go : real[2] in ball(1)
  at' = clip(at + speed * go)
  reward far = -mean(dot(q.at - at, q.at - at) for q in buyer)
  agents 10
}
"""


@pytest.fixture
def market(tmp_path: Path) -> Path:
    (tmp_path / "market.mfg").write_text(GAME)
    return Path("market.mfg")


def test_json_is_one_object_with_every_player(mfdsl: Any, market: Path) -> None:
    outcome = mfdsl("simulate", market, "--batch", 2, "--trace", "bank", "--json")
    found = json.loads(outcome.out, parse_constant=lambda name: pytest.fail(name))
    assert (outcome.code, found["schema"]) == (0, 1)
    assert found["agents"] == {"buyer": 40, "seller": 10}
    assert (found["batch"], found["steps"], found["run"]) == (2, 3, None)
    assert set(found["returns"]) == {"bank", "buyer", "seller"}
    assert all(set(r) == {"mean", "std_error"} for r in found["returns"].values())


def test_one_game_of_one_major_has_no_standard_error(mfdsl: Any, market: Path) -> None:
    found = mfdsl("simulate", market, "--json").json
    assert found["returns"]["bank"]["std_error"] is None


def test_agents_are_numbered_by_population(mfdsl: Any, market: Path) -> None:
    def agents(*flags: str) -> Any:
        return mfdsl("simulate", market, *flags, "--json").json["agents"]

    assert agents("--agents", "7") == {"buyer": 7, "seller": 7}
    assert agents("--agents", "buyer=7") == {"buyer": 7, "seller": 10}
    assert agents("--agents", "buyer=7", "--agents", "seller=3") == {"buyer": 7, "seller": 3}


def test_a_trace_names_values_as_the_spec_does(mfdsl: Any, market: Path) -> None:
    traces = ("buyer[1]", "bank", "weather", "seller")
    flags = [part for name in traces for part in ("--trace", name)]
    outcome = mfdsl("simulate", market, *flags)
    head, *rows = [line.split() for line in outcome.out.splitlines() if line.split()][-4:]
    assert head == [
        "t",
        "buyer[1].at",
        "buyer[1].kind",
        "buyer[1].go",
        "buyer[1].reward",
        "bank.rate",
        "bank.move",
        "bank.reward",
        "weather.z",
        "seller.at",
        "seller.go",
        "seller.reward",
    ]
    assert [row[0] for row in rows] == ["0", "1", "2"]
    assert all({"hawk", "dove"} & set(row) for row in rows)


def test_a_recording_is_an_npz_file_or_refused(mfdsl: Any, market: Path) -> None:
    outcome = mfdsl("simulate", market, "--record", "all.csv")
    assert outcome.code == 2 and "end its name in .npz" in outcome.err
    assert not Path("all.csv").exists() and not Path("all.npz").exists()


def test_a_recording_holds_every_array_by_name(mfdsl: Any, market: Path) -> None:
    outcome = mfdsl("simulate", market, "--batch", 2, "--record", "all.npz", "--dtype", "float32")
    assert outcome.code == 0 and "written" in outcome.out
    with np.load("all.npz") as found:
        shapes = {name: found[name].shape for name in found}
        assert found["buyer.kind"].dtype == np.int64
        assert found["buyer.at"].dtype == np.float32
        assert (found["buyer.kind"] == found["buyer.kind"][:1]).all()
    assert shapes == {
        "weather.z": (4, 2),
        "bank.rate": (4, 2),
        "bank.move": (3, 2),
        "bank.reward": (3, 2),
        "buyer.at": (4, 2, 40, 2),
        "buyer.kind": (4, 2, 40),
        "buyer.go": (3, 2, 40, 2),
        "buyer.reward": (3, 2, 40),
        "seller.at": (4, 2, 10, 2),
        "seller.go": (3, 2, 10, 2),
        "seller.reward": (3, 2, 10),
    }


def test_games_are_the_same_in_every_batch(mfdsl: Any, market: Path) -> None:
    for batch in (1, 3):
        mfdsl("simulate", market, "--batch", batch, "--seed", 5, "--record", f"{batch}.npz")
    with np.load("1.npz") as one, np.load("3.npz") as three:
        for name in one:
            assert np.array_equal(one[name], three[name][:, :1]), name


def test_who_stands_still_does_not_move(mfdsl: Any, market: Path) -> None:
    mfdsl("simulate", market, "--policy", "still", "--record", "still.npz")
    with np.load("still.npz") as found:
        assert (found["buyer.at"] == found["buyer.at"][:1]).all()
        assert (found["buyer.go"] == 0).all()


def test_set_changes_the_game(mfdsl: Any, market: Path) -> None:
    mfdsl("simulate", market, "--set", "speed=0", "--record", "slow.npz")
    with np.load("slow.npz") as found:
        assert (found["buyer.at"] == found["buyer.at"][:1]).all()
        assert not (found["buyer.go"] == 0).all()


NINES = "9" * 5000


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--agents", "byer=7"), "`market` has no population `byer`; it has `buyer`, `seller`"),
        (("--agents", "buyer=0"), "`buyer=0` is no number of agents"),
        (("--agents", "buyer=²"), "`buyer=²` is no number of agents"),
        (("--agents", "-3"), "`-3` is no number of agents"),
        (("--agents", "1.5"), "`1.5` is no number of agents"),
        (("--agents", NINES), "5000 digits are too many"),
        (("--agents", "3", "--agents", "buyer=2"), "or one for each population"),
        (("--agents", "3", "--agents", "4"), "given twice"),
        (("--agents", "buyer=3", "--agents", "buyer=4"), "`buyer` is given twice"),
        (("--agents", "1000000000000"), "GiB, the machine has"),
        (("--batch", "1000000000000"), "GiB, the machine has"),
        (("--batch", "0"), "'--batch'"),
        (("--steps", "4"), "market has 3 stages"),
        (("--trace", "byer"), "unknown player `byer`"),
        (("--trace", "bnk"), "did you mean `bank`?"),
        (("--trace", "bank[0]"), "unknown player `bank[0]`"),
        (("--trace", "buyer[x]"), "unknown player `buyer[x]`"),
        (("--trace", "buyer[0"), "unknown player `buyer[0`"),
        (("--trace", "seller[10]"), "there is no agent 10 of `seller`"),
        (("--trace", "buyer[40]"), "there are 40, counted from 0"),
        (("--record", "none/all.npz"), "cannot write `none/all.npz`"),
        (("--record", "."), "end its name in .npz"),
        (("--policy", "unifrm"), "did you mean `uniform`?"),
        (("--policy", "."), "is not a run folder"),
        (("--policy", "still", "-o", "out"), "leave out --policy"),
        (("-o", "out", "--trace", "bank"), "`--trace` does not go with"),
        (("-o", "out", "--compile"), "`--compile` does not go with"),
        (("--set", "sped=1"), "speed"),
        (("--seed", "-1"), "'--seed'"),
        (("--dtype", "float16"), "'--dtype'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_a_wrong_request_is_refused_by_name(
    mfdsl: Any, market: Path, flags: tuple[str, ...], words: str
) -> None:
    outcome = mfdsl("simulate", market, *flags)
    assert outcome.code == 2
    assert words in outcome.err
    assert "internal error" not in outcome.err
    assert [path.name for path in Path().iterdir()] == ["market.mfg"]


def test_an_agent_of_the_larger_population_may_be_traced(mfdsl: Any, market: Path) -> None:
    assert mfdsl("simulate", market, "--trace", "buyer[39]").code == 0


def test_agents_of_a_run_are_checked_by_name(mfdsl: Any, spec: Path) -> None:
    run = mfdsl("solve", spec, "--iterations", 2, "--json").json["run"]
    assert mfdsl("simulate", "--policy", run, "--agents", "walker=9", "--json").json["agents"] == 9
    outcome = mfdsl("simulate", "--policy", run, "--agents", "wlker=9")
    assert outcome.code == 2
    assert "did you mean `walker`?" in outcome.err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(mfdsl: Any, market: Path) -> None:
    outcome = mfdsl("simulate", market, "--device", "cuda")
    assert outcome.code == 2
    assert "there is no CUDA device here" in outcome.err
    assert mfdsl("simulate", market, "--device", "auto").code == 0


def test_ctrl_c_ends_with_130_and_writes_nothing(
    mfdsl: Any, market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mfdsl.runtime.simulator.Simulator.noise", interrupt)
    outcome = mfdsl("simulate", market, "--record", "all.npz")
    assert outcome.code == 130
    assert [path.name for path in Path().iterdir()] == ["market.mfg"]


def test_ctrl_c_ends_with_a_word(mfdsl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mfdsl.playing.play", interrupted)
    outcome = mfdsl("simulate", "crowd")
    assert outcome.code == 130 and "stopped" in outcome.err
