"""Games of a sweep keep to what the check of their spec is about, at every point."""

from pathlib import Path

import pytest

import mfdsl
from mfdsl.batches import Batch
from mfdsl.compiler.diagnostics import CompileError
from mfdsl.compiler.driver import Compilation
from mfdsl.errors import UsageError
from mfdsl.game import Game, load
from mfdsl.swept import check_points

SPEC = """model drift
enum Mode {{ slow, fast }}
param p : real in [0, 1] = 0.2
param q : real in [0, 1] = {q}
param n : int in 1..9 = 2
param mode : Mode = slow
objective nash
horizon 3
{assumed}
population walker {{
  state  x : bool = false
  action a : bool
  let gone = if mode == fast then 2 * q else q
  x' ~ mix {{ p -> true, gone -> false, else -> x }}
  cost step = p * ind(a) / (n - 1) + prob(o.x for o in walker)
  {required}
}}
"""


def spec(q: str = "0.3", assumed: str = "", required: str = "") -> str:
    return SPEC.format(q=q, assumed=assumed, required=required)


def refused(game: Game, batch: Batch) -> CompileError:
    with pytest.raises(CompileError) as caught:
        check_points(game, batch)
    return caught.value


@pytest.mark.parametrize(
    ("text", "code", "values", "bad"),
    [
        (spec(), "MFG301", (0.1, 0.5, 0.9), "p = 0.9"),
        (spec(assumed="assume p + q <= 1"), "MFG307", (0.1, 0.5, 0.9), "p = 0.9"),
        (spec(required="require reward in [-1.5, 0]"), "MFG511", (0.1, 0.6, 0.2), "p = 0.6"),
        (spec(required="require p <= 0.5"), "MFG511", (0.1, 0.6), "p = 0.6"),
    ],
)
def test_a_point_where_the_spec_has_errors_is_named(
    text: str, code: str, values: tuple[float, ...], bad: str
) -> None:
    error = refused(load(text=text), Batch({"p": values}))
    assert {d.code for d in error.diagnostics} == {code}
    assert f"at {bad}" in error.diagnostics[0].notes
    with pytest.raises(CompileError):
        mfdsl.solve(load(text=text), iterations=1, sweep={"p": values})


@pytest.mark.parametrize("assumed", ["", "assume p + q <= 1"])
@pytest.mark.parametrize("most", [0.3, 0.6, 0.7, 0.71, 1.0])
def test_intervals_say_what_points_say(most: float, assumed: str) -> None:
    """The oracle compiles every point by itself."""
    game = load(text=spec(assumed=assumed))
    batch = Batch({"p": (0.1, most), "q": (0.0, 0.3)})
    points = [{"p": p, "q": q} for p in (0.1, most) for q in (0.0, 0.3)]
    fine = all(game.compiled_at(point).ok for point in points)
    assert fine is (most <= 0.7)
    if fine:
        check_points(game, batch)
    else:
        refused(game, batch)


def test_one_compilation_serves_a_thousand_points(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def counted(self: Game, *given: object, **spread: object) -> Compilation:
        compiled.append(spread)
        return original(self, *given, **spread)  # type: ignore[arg-type]

    original = Game.compiled_at
    monkeypatch.setattr(Game, "compiled_at", counted)
    check_points(load(text=spec()), Batch({"p": tuple(k / 2000 for k in range(1000))}))
    assert compiled == [{"spread": {"p": (0.0, 0.4995)}}]


def test_integers_are_looked_at_one_by_one() -> None:
    game = load(text=spec())
    check_points(game, Batch({"n": (2, 3)}))
    assert "at n = 1" in refused(game, Batch({"n": (1, 3)})).diagnostics[0].notes


def test_files_and_sweeps_together_are_looked_at() -> None:
    game = load(text=spec())
    sets = {"slow.toml": {"mode": 0}, "fast.toml": {"mode": 1}}
    check_points(game, Batch({"p": (0.1, 0.4)}, sets))
    error = refused(game, Batch({"p": (0.1, 0.5)}, sets))
    assert "at p = 0.5, of fast.toml" in error.diagnostics[0].notes


def test_a_default_made_of_a_swept_parameter_is_not_left_behind() -> None:
    """With `--set p` the parameter q would move as well."""
    text = spec(q="2 * p")
    with pytest.raises(UsageError, match="the default of `q` is made of `p`"):
        mfdsl.solve(load(text=text), iterations=1, sweep={"p": (0.1, 0.2)})
    check_points(load(text=text, params={"q": 0.1}), Batch({"p": (0.1, 0.2)}))
    check_points(load(text=text), Batch({"p": (0.1, 0.2), "q": (0.1, 0.2)}))


def test_a_fit_that_the_spec_does_not_allow_is_no_result(tmp_path: Path) -> None:
    """Shares that only p = 0.9 makes, beside q = 0.3."""
    data = tmp_path / "seen.csv"
    data.write_text("t,x,share\n1,1,0.9\n")
    game = load(text=spec(assumed="assume p + q <= 1"))
    with pytest.raises(CompileError, match="an assumption fails"):
        mfdsl.calibrate(game, data, ["p"], temperature=1.0)
    data.write_text("t,x,share\n1,1,0.6\n")
    assert mfdsl.calibrate(game, data, ["p"], temperature=1.0).values["p"] == pytest.approx(0.6)
