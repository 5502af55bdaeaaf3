"""Graphs: links and nodes as values, their numbers, files, and what can be wrong with them."""

from pathlib import Path

import pytest

from mfdsl.compiler.driver import Options, compile_file, compile_text
from mfdsl.compiler.ir.meaning import initial_law, kernel_row, reward
from mfdsl.compiler.ir.model import Model

CITY = """model m
objective nash
horizon 4
graph city {
  node A { toll = 1 }
  link A -> B { time = 1 }
  link B -- C { time = 2.5 }
  node B { toll = 2 }
  node C { toll = 3 }
}
population car {
  state e : city.link = city[A, B]
  action a : city.link where tail(a) == head(e) or a == e
  e' = a
  reward r = e.time + head(e).toll + 10 * ind(head(e) == city.C) + 0 * prob(q.e == e for q in car)
}
"""


def model(text: str = CITY) -> Model:
    return compile_text(text).require_model()


def test_links_are_numbered_as_written_with_both_ways_of_a_double_link() -> None:
    (graph,) = model().graphs
    assert graph.nodes == ("A", "B", "C")
    assert graph.links == ((0, 1), (1, 2), (2, 1))
    assert graph.attributes == {"time": (1.0, 2.5, 2.5)}
    assert graph.node_attributes == {"toll": (1.0, 2.0, 3.0)}


def test_ends_and_numbers_of_a_link() -> None:
    law = {((0,), (0,)): 1.0}
    found = [reward(model(), 0, law, (e,), (e,)) for e in range(3)]
    assert found == [1 + 2, 2.5 + 3 + 10, 2.5 + 2]
    assert kernel_row(model(), 0, law, (0,), (1,)) == {(1,): 1.0}


def test_a_parameter_has_an_entry_for_each_link_or_cell_that_is_declared_below_it() -> None:
    text = CITY.replace(
        "objective", "param worth : real[city.link, yard.cell] in [0, 9] = V\nobjective", 1
    )
    text = text.replace(
        "population", "param n : int in 1..3 = 2\ngrid yard { size 1, n }\npopulation", 1
    )
    text = text.replace("= V", "= [[1, 2], [3, 4], [5, 6]]").replace(
        "10 *", "worth[e, yard[0, 1]] *"
    )
    law = {((0,), (0,)): 1.0}
    assert [reward(model(text), 0, law, (e,), (e,)) for e in range(3)] == [3, 5.5 + 4, 4.5]


def test_links_from_files(tmp_path: Path) -> None:
    (tmp_path / "links.csv").write_text("from,to,time\nA,B,1\nB,C,2.5\nC,B,2.5\n")
    spec = tmp_path / "city.mfg"
    inline = CITY[CITY.index("  link A -> B") : CITY.index("  node B")]
    spec.write_text(CITY.replace(inline, '  file "links.csv"\n'))
    found = compile_file(spec, Options(root=tmp_path)).require_model().graphs
    assert found == model().graphs
    rows = '[{"from": "A", "to": "B", "time": 1}, {"from": "B", "to": "C", "time": 2.5}]'
    (tmp_path / "links.json").write_text(rows)
    spec.write_text(CITY.replace(inline, '  file "links.json"\n'))
    assert compile_file(spec, Options(root=tmp_path)).require_model().graphs[0].links == (
        (0, 1),
        (1, 2),
    )


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("e.time", "e.tine", "MFG107", "has no `tine`"),
        ("city[A, B]", "city[A, C]", "MFG107", "no link from A to C"),
        ("city.C)", "city.D)", "MFG107", "has no `D`"),
        ("link A -> B { time = 1 }", "link A -> B", "MFG111", "has no `time`"),
        ("link A -> B { time = 1 }", "link B -> C { time = 1 }", "MFG102", "already is a link"),
        ("node C { toll = 3 }", "", "MFG111", "the node C has no `toll`"),
        ("tail(a)", "tail(city.A)", "MFG201", "asked of a link"),
        ("  state e : city.link", "  state e : city.road", "MFG107", "has no type `road`"),
    ],
)
def test_faults_are_named(old: str, new: str, code: str, words: str) -> None:
    found = compile_text(CITY.replace(old, new, 1)).diagnostics
    assert [d.code for d in found if d.severity == "error"][:1] == [code]
    assert words in found[0].message
    parallel = [h.text for h in found[0].helps if "two roads" in h.text]
    assert bool(parallel) == (code == "MFG102")


def test_a_bad_line_of_a_file_is_named(tmp_path: Path) -> None:
    spec = tmp_path / "city.mfg"
    inline = CITY[CITY.index("  link A -> B") : CITY.index("  node B")]
    spec.write_text(CITY.replace(inline, '  file "links.csv"\n'))
    for content, words in (
        ("from,to,time\nA,B\n", "line 2: expected `from,to,time`, found 2 fields"),
        ("from,to,time\nA,B,fast\n", "line 2: 'fast' is not a number"),
        ("to,from\nA,B\n", "line 1: the header is"),
        ("from,to,time\nA,B,1\nA,B,2\n", "line 3: the link from A to B is there already"),
        ("", "is empty"),
    ):
        (tmp_path / "links.csv").write_text(content)
        (found,) = compile_file(spec, Options(root=tmp_path)).diagnostics
        assert found.code == "MFG705" and words in found.message, found.message


def test_nodes_of_a_file_that_are_numbers_or_words_are_written_in_brackets(tmp_path: Path) -> None:
    rows = "from,to,time\n1,2,1\n2,12,2\n12,Main St,3\n"
    (tmp_path / "links.csv").write_text(rows)
    inline = CITY[CITY.index("  node A") : CITY.index("}\npopulation")]
    text = CITY.replace(inline, '  file "links.csv"\n').replace(" + head(e).toll", "")
    spec = tmp_path / "city.mfg"
    for link, node, there in (
        ("city[1, 2]", "city[12]", [0, 1, 0]),
        ('city[12, "Main St"]', 'city["Main St"]', [0, 0, 1]),
    ):
        spec.write_text(text.replace("city[A, B]", link).replace("city.C", node))
        model = compile_file(spec, Options(root=tmp_path)).require_model()
        law = {((0,), (0,)): 1.0}
        paid = [time + 10 * here for time, here in zip((1, 2, 3), there, strict=True)]
        assert [reward(model, 0, law, (e,), (e,)) for e in range(3)] == paid
        start = 0 if link == "city[1, 2]" else 2
        assert {s: p for s, p in initial_law(model).items() if p} == {(start,): 1.0}
    spec.write_text(text.replace("city[A, B]", "city[1, 3]").replace("city.C", "city[12]"))
    (found,) = compile_file(spec, Options(root=tmp_path)).diagnostics
    assert (found.code, found.message) == ("MFG107", "graph `city` has no node `3`")
