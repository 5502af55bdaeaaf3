"""Single entries of array parameters: set, swept, fitted and chosen by their names."""

from pathlib import Path

import pytest

import mfdsl
from mfdsl import load
from mfdsl.compiler.diagnostics import CompileError
from mfdsl.compiler.ir.entries import EntryError, entry, place_of
from mfdsl.entries import listed
from mfdsl.errors import UsageError
from mfdsl.parameters import read_parameter_file

SPEC = """
model paid
param w : real[Kind, 2] in [0, 5] = [[0.5, 1], [2, 3]]
param c : real in [0, 5] = 1
param size : int[1] in 2..4 = [2]
param n : int[2] in 1..9 = [1, 2]
enum Kind {{ low, high }}
objective nash
horizon 3
population worker as mu {{
  state  k : Kind ~ uniform
  action a : int in 0..1
  k' ~ mix {{ 0.3 + 0.4 * a -> high, else -> low }}
  reward pay = {pay}
  cost jam = c * n[1] * mu[k] + 0.1 * a * a
  agents 100
}}
"""
TEXT = SPEC.format(pay="w[k, a]")
LQ = """
model pulled
param pull : real[2] in [0.1, 5] = [1, 2]
objective nash
horizon 4
population bird as mu {
  state  x : real ~ normal(1, std = 0.5)
  action a : real
  noise  e : real ~ normal(0, std = 0.1)
  x' = x + a + e
  cost   effort = pull[0] * a^2
  cost   apart  = pull[1] * (x - mean(q.x for q in bird))^2
}
"""


def test_names_of_entries() -> None:
    assert entry("w[low, 1]") == ("w", ("low", "1")) and entry("w") is None
    assert listed("w[low, 1], c,w[1,0]") == ["w[low, 1]", "c", "w[1,0]"]
    labels = (("low", "high"), ())
    places = [place_of("w", (i, j), (2, 3), labels) for i in ("low", "1") for j in "012"]
    assert places == [0, 1, 2, 3, 4, 5]
    links = (("A, B", "B, A", "B, C", "B, C"), ("A", "B", "C"))
    assert place_of("toll", ("B", "A", "C"), (4, 3), links) == 5
    assert place_of("toll", ("3", "A"), (4, 3), links) == 9
    for indices, dims in ((("A", "D", "C"), (4, 3)), (("A", "D"), (4,))):
        with pytest.raises(EntryError, match="`toll` has no link `A, D`: they are `A, B`, `B, A`"):
            place_of("toll", indices, dims, links)


@pytest.mark.parametrize(
    "indices, dims, words",
    [
        (("low",), (2, 3), "has shape [2, 3]: its entries are `w[0, 0]` to `w[1, 2]`"),
        (("mid", "0"), (2, 3), "no index `mid` on axis 1 of 2: they are `low`, `high`, or 0 to 1"),
        (("low", "3"), (2, 3), "no index `3` on axis 2 of 2: they are 0 to 2"),
        (("low", "-1"), (2, 3), "no index `-1` on axis 2"),
        (("low", "²"), (2, 3), "no index `²`"),
        (("0",), (), "one number and has no entries"),
        (("0", "1", "2"), (2, 3), "has shape [2, 3]"),
    ],
)
def test_entries_that_are_not_there(
    indices: tuple[str, ...], dims: tuple[int, ...], words: str
) -> None:
    with pytest.raises(EntryError) as error:
        place_of("w", indices, dims, (("low", "high"), ()))
    assert words in str(error.value)


def test_links_of_the_same_ends_are_numbered() -> None:
    with pytest.raises(EntryError, match=r"several indices `B, C`: they are `A, B`, .*or 0 to 2"):
        place_of("toll", ("B", "C"), (3,), [("A, B", "B, C", "B, C")])


def test_an_entry_that_is_set_is_the_array_with_another_number(tmp_path: Path) -> None:
    """In a file, too, and over a whole array that is given with it."""
    whole = load(text=TEXT, params={"w": [[0.5, 1], [2, 4]]}).model
    assert load(text=TEXT, params={"w[high, 1]": 4}).model == whole
    assert load(text=TEXT, params={"w[1, 1]": 4, "w": [[0.5, 1], [2, 0]]}).model == whole
    (tmp_path / "one.toml").write_text('"w[high,1]" = 4\n')
    assert load(text=TEXT, params=read_parameter_file(tmp_path / "one.toml")).model == whole


@pytest.mark.parametrize(
    "given, words",
    [
        ({"w[mid, 0]": 1}, "`w` has no index `mid`"),
        ({"w[low, 0]": 9}, "`w = 9` is outside its range [0, 5]"),
        ({"w[low, 0]": "x"}, "`w[low, 0] = x` is not one number"),
        ({"w[low, 0]": [1, 2]}, "is not one number"),
        ({"w[low, 0]": 1, "w[0, 0]": 2}, "`w[0, 0]` and `w[low, 0]` are the same entry"),
        ({"n[0]": 1.5}, "`n[0] = 1.5` is not one number"),
        ({"c[0]": 1}, "`c` is one number and has no entries"),
        ({"ww[0, 0]": 1}, "no parameter `ww[0, 0]`"),
    ],
)
def test_entries_that_cannot_be_set(given: dict[str, object], words: str) -> None:
    with pytest.raises(CompileError) as error:
        load(text=TEXT, params=given)  # type: ignore[arg-type]
    assert words in str(error.value)


def test_swept_entries_are_solved_like_arrays_that_are_set() -> None:
    """Two entries, and an integer, at all their values."""
    sweep = {"w[low, 0]": (0.0, 1.5), "w[1,0]": (2.0, 2.5), "n[1]": (1, 3)}
    together = mfdsl.solve(load(text=TEXT), solver="omd", iterations=20, sweep=sweep)
    points = [(a, b, n) for a in (0.0, 1.5) for b in (2.0, 2.5) for n in (1, 3)]
    for k, (a, b, n) in enumerate(points):
        game = load(text=TEXT, params={"w": [[a, 1], [b, 3]], "n": [1, n]})
        alone = mfdsl.solve(game, solver="omd", iterations=20)
        assert together.value[k] == pytest.approx(alone.value[0], abs=1e-12)
        assert together.exploitability.per_game[k] == pytest.approx(alone.exploitability.value)
    assert len(set(together.value)) == len(points)


def test_swept_entries_of_a_linear_quadratic_game() -> None:
    together = mfdsl.solve(load(text=LQ), solver="riccati", sweep={"pull[1]": (0.5, 3)})
    for value, found in zip((0.5, 3), together.solutions, strict=True):
        game = load(text=LQ, params={"pull": [1, value]})
        assert found.value == pytest.approx(mfdsl.solve(game, solver="riccati").value)


@pytest.mark.parametrize(
    "sweep, words",
    [
        ({"w": (1, 2)}, "sweep entries: `--sweep w[0, 0]=...`"),
        ({"w[low, 0]": (1, 2), "w[0, 0]": (1, 2)}, "are the same entry"),
        ({"w[2, 0]": (1, 2)}, "`w` has no index `2`"),
        ({"w[0, 0]": (1, 7)}, "`w[0, 0] = 7` is outside its range [0, 5]"),
        ({"n[0]": (1, 1.5)}, "`n[0] = 1.5` is not an integer"),
    ],
)
def test_entries_that_cannot_be_swept(sweep: dict[str, tuple[float, ...]], words: str) -> None:
    with pytest.raises(UsageError) as error:
        mfdsl.solve(load(text=TEXT), solver="omd", iterations=1, sweep=sweep)
    assert words in str(error.value)


def test_a_leader_chooses_entries_as_it_would_choose_numbers() -> None:
    """Beside a spec with a number in the place of each of two entries."""
    numbers = SPEC.format(
        pay="match k { low -> if a == 0 then p else 1, high -> if a == 1 then q else 2 }"
    ).replace("param c", "param p : real in [0, 5] = 0.5\nparam q : real in [0, 5] = 3\nparam c")
    given = {"weights": {"pay": -1, "jam": 2}, "temperature": 0.4, "evaluations": 12}
    found = mfdsl.stackelberg(load(text=TEXT), ["w[low,0]", "w[high, 1]"], **given)
    other = mfdsl.stackelberg(load(text=numbers), ["p", "q"], **given)
    assert found.value == pytest.approx(other.value, rel=1e-8)
    assert [*found.values.values()] == pytest.approx([*other.values.values()], abs=1e-5)
    assert found.value > found.before
    kept = load(text=TEXT, params={k: v for k, v in found.values.items()})
    assert kept.model.parameters[0].value == pytest.approx(
        (found.values["w[low,0]"], 1, 2, found.values["w[high, 1]"])
    )


def test_entries_are_fitted_to_a_flow(tmp_path: Path) -> None:
    truth = load(text=TEXT, params={"w[low, 1]": 1.7})
    flow = mfdsl.solve(
        truth, solver="soft_fixed_point", options={"temperature": 0.5}, iterations=400, tolerance=0
    ).flow
    seen = tmp_path / "seen.csv"
    rows = [
        f"{t},{k},{share}"
        for t, law in enumerate(flow.laws[0].tolist())
        for k, share in zip(("low", "high"), law, strict=True)
    ]
    seen.write_text("t,k,share\n" + "\n".join(rows) + "\n")
    found = mfdsl.calibrate(load(text=TEXT), seen, ["w[low, 1]"], temperature=0.5)
    assert found.parameters["w[low, 1]"] == pytest.approx(1.7, abs=1e-5)
    (tmp_path / "fitted.toml").write_text(found.as_toml())
    assert read_parameter_file(tmp_path / "fitted.toml") == found.parameters


@pytest.mark.parametrize(
    "names, words",
    [
        (["w[low, 0]", "w"], "`w` has the entry `w[low, 0]`"),
        (["w[low, 0]", "w[0, 0]"], "are the same entry"),
        (["n[0]"], "`n[0]` is no real number"),
        (["w[low]"], "has shape [2, 2]"),
        (["v[0]"], "unknown parameter `v[0]`"),
    ],
)
def test_entries_that_cannot_be_chosen(names: list[str], words: str) -> None:
    with pytest.raises(UsageError) as error:
        mfdsl.stackelberg(load(text=TEXT), names)
    assert words in str(error.value)
