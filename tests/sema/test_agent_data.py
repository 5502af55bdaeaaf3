"""Populations from files: rows, their empirical law, numbers of agents, tables of weights."""

from pathlib import Path

import numpy as np
import pytest

from mfdsl.bundle import bundle_of
from mfdsl.compiler.driver import Compilation, compile_file
from mfdsl.compiler.ir import play
from mfdsl.compiler.ir.interpret import Environment, evaluate
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.syntax.format import format_source

PEOPLE = "beta,kind,age,ok\n0.5,B,30,true\n0.25,A,40,false\n\n0.5,B,30,true\n1,B,30,TRUE\n"
TRAITS = """\
  trait beta : real from "people.csv"
  trait kind : Kind from "people.csv"
  trait age  : int in 0..99 from "people.csv"
  trait ok   : bool from "people.csv"
"""
WEIGHTS = '  weights w from "w.csv"\n'
MEAN = "mean(w[q] * ind(q.x) for q in person)"


def spec(members: str, reward: str = "prob(q.x for q in person)", more: str = "") -> str:
    return f"""model crowd

enum Kind {{ A, B }}

objective nash
horizon 3

population person {{
{members}
  state x : bool ~ bernoulli(0.5)
  action a : bool

  x' = a
  reward crowd = {reward}
{more}}}
"""


def compiled(folder: Path, text: str, **files: str) -> Compilation:
    for name, content in {"people": PEOPLE, **files}.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    path = folder / "crowd.mfg"
    path.write_text(text, encoding="utf-8")
    return compile_file(path)


def model_of(folder: Path, text: str, **files: str) -> Model:
    return compiled(folder, text, **files).require_model()


def messages(folder: Path, text: str, **files: str) -> list[tuple[str, str]]:
    found = compiled(folder, text, **files).diagnostics
    return [(d.code, d.message) for d in found if d.severity == "error"]


def test_agent_i_has_row_i(tmp_path: Path) -> None:
    model = model_of(tmp_path, spec(TRAITS))
    start = play.initial_states(model, {"person": {"x": [0.1, 0.9, 0.1, 0.9]}}, {"person": 4})
    assert start["person"] == {
        "beta": [0.5, 0.25, 0.5, 1.0],
        "kind": [1, 0, 1, 1],
        "age": [30, 40, 30, 30],
        "ok": [1, 0, 1, 1],
        "x": [0, 1, 0, 1],
    }


def test_the_law_of_the_traits_is_the_empirical_one_with_equal_rows_merged(tmp_path: Path) -> None:
    model = model_of(tmp_path, spec(TRAITS))
    (draw,) = model.population.draws
    assert model.types[draw.type].size == 3 and draw.density is not None and draw.law is None
    law: dict[tuple[float, ...], float] = {}
    for row in range(3):
        here = Environment({("draw", draw.name): row})
        starts = [t.start for t in model.population.traits]
        values = tuple(evaluate(model, s, here) for s in starts if s is not None)
        law[values] = evaluate(model, draw.density, here)
    assert law == {(0.5, 1, 30, 1): 0.5, (0.25, 0, 40, 0): 0.25, (1.0, 1, 30, 1): 0.25}


def test_every_row_of_its_own_gives_equal_masses(tmp_path: Path) -> None:
    people = "beta\n" + "".join(f"{k / 10}\n" for k in range(10))
    model = model_of(tmp_path, spec('  trait beta : real from "people.csv"'), people=people)
    (draw,) = model.population.draws
    assert draw.density is not None
    here = Environment({("draw", draw.name): 7})
    assert evaluate(model, draw.density, here) == 0.1
    assert draw.given is not None and model.arrays[draw.given].values == tuple(range(10))


def test_the_ends_of_a_trait_are_as_declared_or_those_of_its_values(tmp_path: Path) -> None:
    model = model_of(tmp_path, spec(TRAITS))
    types = {t.name: model.types[t.type] for t in model.population.traits}
    assert (types["beta"].lo, types["beta"].hi) == (0.25, 1.0)
    assert (types["age"].lo, types["age"].hi) == (0, 99)
    assert types["kind"].name == "Kind" and types["ok"].kind == "bool"
    free = model_of(tmp_path, spec('  trait age : int from "people.csv"'))
    (age,) = free.population.traits
    assert (free.types[age.type].lo, free.types[age.type].hi) == (30, 40)


@pytest.mark.parametrize("more", ["", "  agents 4\n"])
def test_the_file_says_how_many_agents_there_are(tmp_path: Path, more: str) -> None:
    model = model_of(tmp_path, spec(TRAITS, more=more))
    assert model.population.agents == 4 and model.population.fixed


def test_another_number_of_agents_is_refused(tmp_path: Path) -> None:
    (found,) = messages(tmp_path, spec(TRAITS, more="  agents 5\n"))
    assert found == ("MFG213", "5 agents, but the file has a row for each of 4")


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ("beta\n0.5,1\n", "`people.csv` line 2: expected 1 field, found 2"),
        ("beta\n0.5\n\nnan\n", "`people.csv` line 4: 'nan' is not a number"),
        ("beta\n0.5\n1e999\n", "`people.csv` line 3: '1e999' is not a number"),
        ("beta\n0.5\n-0.1\n", "`people.csv` line 3: `beta = -0.1` is outside [0, 1]"),
        ("beta\n", "`people.csv` has no rows below its header"),
        ("", "`people.csv` has no column `beta`, it has an empty first line"),
        ("beta,beta\n1,1\n", "`people.csv` line 1: two columns are called `beta`"),
        ("Beta\n1\n", "`people.csv` has no column `beta`, it has `Beta`; did you mean `Beta`?"),
    ],
)
def test_faults_of_a_column_are_named_with_their_line(
    tmp_path: Path, people: str, message: str
) -> None:
    text = spec('  trait beta : real in [0, 1] from "people.csv"')
    assert messages(tmp_path, text, people=people) == [("MFG705", message)]


@pytest.mark.parametrize(
    ("trait", "cell", "message"),
    [
        ("int", "1.5", "`people.csv` line 2: `v = 1.5` is not a whole number"),
        ("int in 0..3", "4", "`people.csv` line 2: `v = 4` is outside 0..3"),
        ("bool", "yes", "`people.csv` line 2: 'yes' is neither `true` nor `false`"),
        ("Kind", "C", "`people.csv` line 2: 'C' is no value of `Kind`"),
    ],
)
def test_a_value_that_is_none_of_its_type(
    tmp_path: Path, trait: str, cell: str, message: str
) -> None:
    text = spec(f'  trait v : {trait} from "people.csv"')
    assert messages(tmp_path, text, people=f"v\n{cell}\n") == [("MFG705", message)]


@pytest.mark.parametrize("trait", ["real[2]", "real mod [0, 1]"])
def test_a_trait_from_a_file_is_a_plain_scalar(tmp_path: Path, trait: str) -> None:
    text = spec(f'  trait v : {trait} from "people.csv"')
    assert [code for code, _ in messages(tmp_path, text, people="v\n1\n")] == ["MFG201"]


def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    text = spec('  trait beta : real from "people.csv"')
    ((code, message),) = messages(tmp_path, text, people="beta\n" + "0.50000\n" * (1 << 21) + "1")
    assert (code, message) == ("MFG705", "`people.csv` is larger than 16 MiB")


def table(model: Model) -> np.ndarray:
    (weights,) = model.population.weights
    array = model.arrays[weights.array]
    return np.array(array.values).reshape(array.dims)


def test_weights_as_a_square_and_as_a_list(tmp_path: Path) -> None:
    dense = model_of(tmp_path, spec(WEIGHTS, MEAN), w="0,1.5,0\n-1,0,0\n0,2,0\n")
    listed = "from,to,weight\n0,1,1.5\n1,0,-1\n2,1,2\n"
    sparse = model_of(tmp_path, spec(WEIGHTS, MEAN), w=listed)
    assert dense.population.agents == sparse.population.agents == 3
    assert np.array_equal(table(dense), [[0, 1.5, 0], [-1, 0, 0], [0, 2, 0]])
    assert np.array_equal(table(sparse), table(dense))


def test_listed_weights_have_as_many_agents_as_the_spec_says(tmp_path: Path) -> None:
    listed = "from,to,weight\n0,1,1\n"
    five = model_of(tmp_path, spec(WEIGHTS, MEAN, "  agents 5\n"), w=listed)
    four = model_of(tmp_path, spec(WEIGHTS + TRAITS, MEAN), w=listed)
    assert table(five).shape == (5, 5) and table(four).shape == (4, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0,1\n1\n", "`w.csv` line 2: expected 2 fields, found 1"),
        ("0,1\n1,x\n", "`w.csv` line 2: 'x' is not a number"),
        (
            "0,1\n",
            "`w.csv` has 1 rows of 2 numbers: weights have a row and a column for each agent",
        ),
        ("", "`w.csv` is empty"),
        ("from,to,weight\n0,9,1\n", "`w.csv` line 2: there is no agent 9, they are 0 to 3"),
        (
            "from,to,weight\n0,-1,1\n",
            "`w.csv` line 2: '-1' is no agent, they are counted 0, 1, 2, ...",
        ),
        (
            "from,to,weight\n0,1,1\n0,1,2\n",
            "`w.csv` line 3: the weight from 0 to 1 stands in line 2 too",
        ),
        ("0,1\n1,0\n", '"w.csv" is about 2 agents, "people.csv" about 4'),
    ],
)
def test_faults_of_weights_are_named_with_their_line(
    tmp_path: Path, content: str, message: str
) -> None:
    assert messages(tmp_path, spec(TRAITS + WEIGHTS, MEAN), w=content) == [("MFG705", message)]


@pytest.mark.parametrize(
    ("reward", "code"),
    [
        ("prob(w[q] > 0 for q in person)", "MFG407"),
        ("max(w[q] for q in person)", "MFG407"),
        ("mean(w[q] * w[q] for q in person)", "MFG407"),
        ("mean(w[q] * v[q] for q in person)", "MFG407"),
        ("mean(abs(w[q]) for q in person)", "MFG407"),
        ("mean(ind(q.x) / (2 + w[q]) for q in person)", "MFG407"),
        ("mean(if w[q] > 0 then 1 else 0 for q in person)", "MFG407"),
        ("mean(mean(w[r] * ind(r.x and q.x) for r in person) for q in person)", "MFG407"),
        ("w[1]", "MFG202"),
        ("mean(w[q, q] for q in person)", "MFG202"),
        ("mean(w[q] for q in other)", "MFG202"),
        ("mean(q.load for q in person)", "MFG105"),
        ("mean(w for q in person)", "MFG201"),
        ("sum(w[q] for q in person)", "MFG402"),
    ],
)
def test_weights_have_one_use(tmp_path: Path, reward: str, code: str) -> None:
    members = WEIGHTS + '  weights v from "w.csv"\n  let load = mean(w[q] for q in person)'
    other = "\npopulation other {\n  state y : bool = false\n  action b : bool\n  y' = b\n"
    text = spec(members, f"load + {reward}") + other + "  reward none = ind(b)\n}\n"
    assert [c for c, _ in messages(tmp_path, text, w="0,1\n1,0\n")] == [code]


@pytest.mark.parametrize(
    "reward",
    [
        "-2 * mean(-w[q] * (if q.x then 1 else 0.5) / 3 + ind(q.x) for q in person)",
        "mean(if a then w[q] else 0.5 * w[q] for q in others(person))",
        "if prob(q.x for q in person) > 0 then mean(w[q] for q in person if q.x) else 0",
        "mean(ind(q.x) * mean(w[r] * ind(r.x) for r in person) for q in person)",
    ],
)
def test_means_that_are_linear_in_weights(tmp_path: Path, reward: str) -> None:
    assert messages(tmp_path, spec(WEIGHTS, reward), w="0,1\n1,0\n") == []


def test_the_range_of_a_weight_bounds_the_reward(tmp_path: Path) -> None:
    found = compiled(tmp_path, spec(WEIGHTS, MEAN), w="0.5,-1\n3,0\n").certificates
    (reward,) = [c for c in found if c.claim == "range"]
    assert (reward.lower, reward.upper) == (-1, 3)


def test_agents_that_files_tell_apart_are_not_called_symmetric(tmp_path: Path) -> None:
    for members, reward in ((TRAITS, "prob(q.x for q in person)"), (WEIGHTS, MEAN)):
        found = compiled(tmp_path, spec(members, reward), w="0,1\n0,0\n").certificates
        assert "proved" not in {c.verdict for c in found if c.claim == "symmetry"}
    twins = compiled(tmp_path, spec(WEIGHTS, MEAN), w="0,1\n1,0\n").certificates
    assert [c.verdict for c in twins if c.claim == "symmetry"] == ["proved"]


def test_the_model_survives_json_and_the_layout_is_stable(tmp_path: Path) -> None:
    text = spec(TRAITS + WEIGHTS, MEAN, "  agents 4\n")
    model = model_of(tmp_path, text, w="0,1,0,0\n" * 4)
    assert Model.model_validate_json(model.model_dump_json()) == model
    assert format_source(format_source(text)) == format_source(text)
    assert '  weights w from "w.csv"' in format_source(text)


def test_a_bundle_takes_the_files_along(tmp_path: Path) -> None:
    text = spec(TRAITS + WEIGHTS, MEAN)
    bundle = bundle_of(compiled(tmp_path, text, w="0,1,0,0\n" * 4))
    assert set(bundle) == {"spec.mfg", "files/people.csv", "files/w.csv"}
    assert b'from "files/people.csv"' in bundle["spec.mfg"]


def test_majors_and_environments_have_no_weights(tmp_path: Path) -> None:
    other = 'environment city {\n  weights w from "w.csv"\n  state z : bool = true\n  z\' = z\n}\n'
    found = messages(tmp_path, spec("", "ind(city.z) * prob(q.x for q in person)") + other)
    assert [code for code, _ in found][:1] == ["MFG113"]
