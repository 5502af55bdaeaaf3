"""Reports of runs: what they say is what the run holds, in one file that loads nothing."""

import json
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mfdsl.compiler.typeset.blocks import Formulas
from mfdsl.compiler.typeset.report import report_blocks
from mfdsl.game import load
from mfdsl.reporting.charts import Line, Scale, heat_map, lines_chart
from mfdsl.reporting.flows import _taken
from mfdsl.reporting.library import CLAIMS
from mfdsl.reporting.mathml import FormulaError, aligned, inline
from mfdsl.reporting.papers import papers_in, papers_of
from mfdsl.runtime.learning.table import LEARNERS
from mfdsl.runtime.policy import Axis, TabularPolicy
from mfdsl.runtime.runs import RunFolder
from mfdsl.runtime.solvers.riccati.table import EXACT
from mfdsl.runtime.solvers.table import SOLVERS
from mfdsl.shipped import shipped_specs
from mfdsl.solve_verbs import solve

VOID = {"meta"}
LOADING = {"src", "href", "xlink:href", "action", "data", "poster", "srcset"}


class Page(HTMLParser):
    """The texts, numbers and tags of a page; tags that are not closed in order are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.numbers: list[float] = []
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert not LOADING & {name for name, _ in attrs}
        assert tag not in ("script", "link", "img", "iframe", "object")
        self.tags.append(tag)
        self.numbers += [float(value) for name, value in attrs if (tag, name) == ("data", "value")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


def solved(mfdsl: Any, *words: str) -> Path:
    return Path(mfdsl("solve", *words, "-o", "runs", "--json").json["run"])


def test_the_figures_of_a_batch_are_those_of_its_summary(mfdsl: Any, spec: Path) -> None:
    run = solved(mfdsl, str(spec), "--sweep", "c_crowd=1,3", "--set", "n=15")
    done = mfdsl("report", run, "--json")
    assert done.json["file"] == str(run / "report.html")
    text = (run / "report.html").read_text()
    assert "http" not in text and "@import" not in text and "url(" not in text
    page, summary = Page(text), json.loads((run / "summary.json").read_text())
    gaps = summary["exploitability"]
    for value in (gaps["value"], *gaps["per_game"], *summary["value"], summary["iterations"]):
        assert value in page.numbers
    assert page.tags.count("svg") == 3 and "math" in page.tags
    for part in ("Everybody likes the right room", "reward crowd", "omd", "exact", "2103.00623"):
        assert part.replace("reward ", "") in page.text
    laws = np.load(run / "flow.npz")["laws"][0]
    assert f"darkest: {laws.max():.3g}" in page.text
    figures = json.loads((run / "report.json").read_text())
    assert figures["result"]["exploitability"] == gaps and figures["games"] == [
        {"c_crowd": 1.0}, {"c_crowd": 3.0}
    ]  # fmt: skip
    assert [line["exploitability"] for line in figures["course"]] == [
        line["exploitability"] for line in summary["history"]
    ]
    where, taken = figures["flow"]
    assert np.array_equal(where["shares"], laws) and np.shape(taken["shares"])[1] == 3
    assert figures["command"] in page.text and figures["bibtex"] in page.text


def test_a_report_is_not_written_over(mfdsl: Any, spec: Path) -> None:
    run = solved(mfdsl, str(spec))
    assert mfdsl("report", run).code == 0
    (run / "report.html").write_text("mine")
    again = mfdsl("report", run)
    assert again.code == 2 and "exists already" in again.err
    assert (run / "report.html").read_text() == "mine"
    assert mfdsl("report", run, "-o", "other.html").code == 0 and Path("other.json").is_file()
    (run / "report.html").unlink()
    again = mfdsl("report", run)
    assert again.code == 2 and "report.json` exists already" in again.err
    assert not (run / "report.html").exists()
    assert "is to be a page" in mfdsl("report", run, "-o", "page.json").err


def test_the_command_of_a_report_repeats_the_run(
    mfdsl: Any, spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["--set", "n=4", "--opt", "learning_rate=0.3", "--start", "random", "--seed", "5"]
    run = solved(mfdsl, str(spec), *given, "--iterations", "7", "--tol", "1e-9").resolve()
    mfdsl("report", run)
    page = Page((run / "report.html").read_text())
    (command,) = [text for text in page.texts if text.startswith("mfdsl solve spec.mfg")]
    monkeypatch.chdir(run)
    again = solved(mfdsl, *shlex.split(command)[2:])
    first, second = (json.loads((p / "options.json").read_text()) for p in (run, again))
    assert first == second
    first, second = (json.loads((p / "summary.json").read_text()) for p in (run, again))
    assert first["exploitability"] == second["exploitability"]


def test_runs_without_tables_have_what_they_have(mfdsl: Any) -> None:
    exact = solved(mfdsl, "lq_control", "--solver", "riccati", "--set", "T=3")
    mfdsl("report", exact)
    page, summary = (
        Page((exact / "report.html").read_text()),
        json.loads((exact / "summary.json").read_text()),
    )
    cost = summary["costs"]["agent"]
    assert f'cost of agent</td><td><data value="{cost!r}"' in (exact / "report.html").read_text()
    assert summary["social"]["price_of_anarchy"] in page.numbers
    assert "Means of states, by stage." in page.text and "Course" not in page.texts
    learned = solved(
        mfdsl, "lq_control", "--solver", "mf_ppo", "--set", "T=2", "--iterations", "2",
        "--opt", "agents=5",
    )  # fmt: skip
    mfdsl("report", learned)
    page = Page((learned / "report.html").read_text())
    assert json.loads((learned / "summary.json").read_text())["value"]["mean"] in page.numbers
    assert "exploitability" not in page.texts and "Flow and play" not in page.texts
    assert "1302.6416" in page.text and "2105.08268" in page.text


def test_players_of_one_table_have_flows_of_their_own(mfdsl: Any, spec: Path) -> None:
    text = spec.read_text().replace("solver {", "population crawler { CRAWLER }\n\nsolver {")
    inside = "state y : int in 0..1 = 0\n action a : int in 0..1\n y' = a\n reward r = y"
    spec.write_text(text.replace("CRAWLER", inside))
    run = solved(mfdsl, str(spec), "--iterations", "1")
    mfdsl("report", run)
    page = Page((run / "report.html").read_text())
    shares = [text for text in page.texts if "share at each value of" in text]
    names, of = ("walker", "crawler"), "share at each value of"
    assert shares == [f"{n}: {of} {v}, by stage." for n in names for v in ("x_y", "a")]
    flows = shares[::2]
    last = page.texts.index(flows[1])
    assert "0.8" in page.texts[page.texts.index(flows[0]) : last]  # shares of crawlers, not of all


def test_what_is_played_stands_beside_where_all_are(mfdsl: Any) -> None:
    run = solved(mfdsl, "pigou", "--iterations", "3")
    mfdsl("report", run)
    page = Page((run / "report.html").read_text())
    shares = RunFolder(run).saved_policy().probs[0, 0, 0].tolist()
    assert 0 < shares[0] < 0.5 and set(shares) <= set(page.numbers)
    assert "value of home" not in page.text  # there is one place only


def test_shares_of_actions_are_means_over_all_places() -> None:
    axes = (Axis("x", 2, 0.0, 1.0),), (Axis("a", 3, 0.0, 1.0),)
    probs = torch.tensor([[[[0.5, 0.25, 0.25], [0, 1, 0]], [[1, 0, 0], [0, 0, 1]]]]).double()
    laws = np.array([[0.2, 0.8], [0.6, 0.4], [1.0, 0.0]])
    taken = _taken(TabularPolicy(probs, *axes), laws)
    assert taken == pytest.approx(np.array([[0.1, 0.85, 0.05], [0.6, 0, 0.4]]))


def test_a_run_that_did_not_end_says_so(mfdsl: Any, spec: Path) -> None:
    run = solved(mfdsl, str(spec))
    (run / "summary.json").unlink()
    mfdsl("report", run)
    page = Page((run / "report.html").read_text())
    assert "The run has not ended: there is no summary." in page.texts
    assert "Flow and play" not in page.texts and page.tags.count("svg") == 1


def test_damaged_versions_are_told(mfdsl: Any, spec: Path) -> None:
    run = solved(mfdsl, str(spec), "--iterations", "1")
    (run / "versions.json").write_text("{")
    for verb in ("report", "cite"):
        done = mfdsl(verb, run)
        assert done.code == 2 and "versions.json is damaged" in done.err


def test_bibtex_has_the_papers_of_the_solver_of_its_claims_and_of_the_game(mfdsl: Any) -> None:
    run = solved(mfdsl, "beach_bar", "--iterations", "1", "--set", "T=2", "--set", "n=5")
    text = mfdsl("cite", run).out
    assert "author = {Perrin and others}" in text and "title = {Fictitious play for" in text
    assert "author = {Lasry and Lions},\n  title = {Mean field games}" in text
    assert "note = {of the claim: monotone}" in text
    assert "@software{mfdsl" in text and text.count("{") == text.count("}")
    keys = [line for line in text.splitlines() if line.startswith("@")]
    assert len(set(keys)) == len(keys)


def test_the_line_of_sources_gives_who_what_and_when() -> None:
    doc = """Something. After nobody.

    Source: after Nourian, Caines and Malhame, "Flocking of a kind", IFAC 2011, in steps; Ben Taher
    and others, "Storage", CoRL 2019, arXiv:2007.00025, as in Li and others, "Invariance", L4DC
    2021, arXiv:2106.08268. Facts (2022): "no title", 2023, arXiv:2207.00001.
    """
    first, second, third, fact = papers_in(doc)
    assert (first.authors, first.title) == ("Nourian, Caines and Malhame", "Flocking of a kind")
    assert (first.year, first.place, first.key) == ("2011", "", "nourian2011")
    assert (second.authors, second.title, second.year) == (
        "Ben Taher and others",
        "Storage",
        "2019",
    )
    assert (third.authors, third.place, third.year) == ("Li and others", "2106.08268", "2021")
    assert (fact.title, fact.place) == ("", "2207.00001")
    assert "eprint" not in first.bibtex() and "title = {Flocking of a kind}" in first.bibtex()


def test_every_paper_of_a_solver_and_of_a_shipped_game_has_a_title_and_authors() -> None:
    rows = [*SOLVERS.values(), *LEARNERS.values(), *EXACT.values()]
    found = [paper for row in rows for paper in papers_of(row.reference)]
    found += [paper for line in CLAIMS.values() for paper in papers_of(line)]
    for path in shipped_specs().values():
        lines = [line[2:] for line in path.read_text().splitlines() if line.startswith("##")]
        found += papers_in("\n".join(lines))
    assert len(found) > 80
    for paper in found:
        assert "title = {" in paper.bibtex() and paper.authors, paper


def test_notebooks_show_a_game_and_a_solution() -> None:
    game = load("beach_bar", params={"n": 4, "T": 2})
    page = Page(game._repr_html_())
    assert "beach_bar: population bather (4 states x 3 actions)" in page.text
    assert "math" in page.tags and "monotone" not in page.texts and "range" in page.texts
    solution = solve(game, "omd", iterations=2)
    page = Page(solution._repr_html_())
    assert f"{solution.exploitability.value:.6g} (exact)" in page.texts
    assert f"{solution.value[0]:.6g}" in page.texts and "max iterations" in page.texts


def test_every_formula_of_the_shipped_games_is_drawn() -> None:
    drawn = 0
    for path in shipped_specs().values():
        compilation = load(path).compilation
        assert compilation.unit is not None
        for block in report_blocks(compilation.unit, compilation.require_model()):
            if isinstance(block, Formulas):
                drawn += 1
                assert "\\" not in aligned(block.rows)
                Page(aligned(block.rows))
    assert drawn > 100
    with pytest.raises(FormulaError, match="overbrace"):
        inline(r"\overbrace{x}")


def test_formulas_keep_their_structure() -> None:
    assert inline(r"\frac{1}{x_{t}} < 2") == (
        "<math><mrow><mfrac><mrow><mn>1</mn></mrow><mrow><msub><mi>x</mi><mrow><mi>t</mi></mrow>"
        "</msub></mrow></mfrac><mo>&lt;</mo><mn>2</mn></mrow></math>"
    )
    small, large = inline(r"\left(x - 1\right)"), inline(r"\left(\frac{x}{2}\right)")
    assert small.count('<mo stretchy="false">') == 2 and "<mo>\N{MINUS SIGN}</mo>" in small
    assert "stretchy" not in large


def test_charts_put_numbers_where_they_belong() -> None:
    scale = Scale(1e-4, 1.0, 100, 0, log=True)
    assert scale.at(1e-2) == pytest.approx(50) and 1e-2 in scale.ticks()
    assert Scale(1.9, 14.0, 100, 0, log=True).ticks() == [2, 5, 10]
    drawing = lines_chart([Line("", [(0, 1.0), (1, float("nan")), (2, 0.5)])], "x", "y")
    assert drawing.count("<circle") == 2  # the gap parts them
    drawing, note = heat_map([[0.0, 1.0]] * 250, ["a", "b"], "stage", "x")
    assert note == "each cell is the mean of 3 stages"
    assert drawing.count("<rect") == 84 and "darkest: 1<" in drawing
