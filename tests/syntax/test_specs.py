"""The seven specs and the trees they give."""

from fractions import Fraction
from pathlib import Path

import pytest

from mfdsl.compiler.diagnostics import Sink
from mfdsl.compiler.source import SourceFile
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.parse import parse

SPECS = Path(__file__).parents[1] / "golden" / "language"


def read(text: str) -> ast.Unit:
    sink = Sink()
    unit = parse(SourceFile("m.mfg", text), sink)
    assert [d.message for d in sink.diagnostics] == []
    return unit


def value(text: str) -> ast.Expr:
    (declaration,) = read(f"model m\nlet a = {text}\n").declarations
    assert isinstance(declaration, ast.Let)
    return declaration.value


@pytest.mark.parametrize("path", sorted(SPECS.rglob("*.mfg")), ids=lambda p: p.stem)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_specs_of_the_design_parse_without_a_diagnostic(path: Path, newline: str) -> None:
    unit = read(path.read_text(encoding="utf-8").replace("\n", newline))
    assert unit.header is not None
    assert unit.header.name.name == path.stem
    assert unit.declarations


def test_declarations_and_members_come_in_order() -> None:
    unit = read((SPECS / "beach_bar.mfg").read_text(encoding="utf-8"))
    kinds = [type(d).__name__ for d in unit.declarations]
    assert kinds == ["Param"] * 4 + ["Let", "Objective", "Horizon", "Player", "Solver"]
    player = unit.declarations[7]
    assert isinstance(player, ast.Player)
    assert (player.kind, player.name.name) == ("population", "bather")
    assert player.handle is not None and player.handle.name == "mu"
    members = [type(m).__name__ for m in player.members]
    rewards = ["Next", "Reward", "Reward", "Reward", "Agents", "Require", "Require", "Require"]
    assert members == ["State", "Action", "Noise", *rewards]


def test_doc_comments_are_attached_above_and_behind() -> None:
    unit = read(
        "## first\n## second\nmodel m\n\n## far\n\nparam n : int  ## here\n"
        "## above\nparam k : int = 1  ## behind\n"
        "population p as mu { ## crowd\n  ## own\n  state x : int = 0 ## there\n}\n"
    )
    n, k, player = unit.declarations
    assert unit.header is not None and unit.header.doc == "first\nsecond"
    assert isinstance(n, ast.Param) and n.doc == "here"
    assert isinstance(k, ast.Param) and k.doc == "above\nbehind"
    assert isinstance(player, ast.Player) and player.doc == "crowd"
    (state,) = player.members
    assert isinstance(state, ast.State) and state.doc == "own\nthere"


def test_sums_and_products_are_flat() -> None:
    tree = value("1 - 2 + 3 * 4 / 5 · 6")
    assert isinstance(tree, ast.Sum)
    assert tree.signs == ("+", "-", "+")
    product = tree.terms[2]
    assert isinstance(product, ast.Product)
    assert product.operators == ("*", "*", "/", "*")


def test_power_binds_tighter_than_minus_and_to_the_right() -> None:
    tree = value("-x^2^3")
    assert isinstance(tree, ast.Negate)
    assert isinstance(tree.operand, ast.Power)
    assert isinstance(tree.operand.exponent, ast.Power)


@pytest.mark.parametrize(
    ("text", "exact", "integral"),
    [
        ("12", Fraction(12), True),
        ("0.06", Fraction(3, 50), False),
        ("1e-6", Fraction(1, 10**6), False),
    ],
)
def test_literals_are_exact(text: str, exact: Fraction, integral: bool) -> None:
    number = value(text)
    assert isinstance(number, ast.Number)
    assert (number.value, number.integral) == (exact, integral)


def test_unicode_operators_read_as_ascii() -> None:
    tree = value("a ≤ b ≠ c")
    assert isinstance(tree, ast.Compare)
    assert tree.operators == ("<=", "!=")


def test_micro_sign_and_mu_are_one_name() -> None:
    micro, mu = value("\N{MICRO SIGN}"), value("\N{GREEK SMALL LETTER MU}")
    assert isinstance(micro, ast.Name) and isinstance(mu, ast.Name)
    assert micro.name == mu.name


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[e for i in S]", ast.VectorFor),
        ("[1, 2]", ast.Vector),
        ("choose(y in 0..n-1, weight = w(x, y))", ast.CallIn),
        ("softmax(y in S, score = -y)", ast.CallIn),
        ("ind(x in rooms.E)", ast.Call),
        ("mean(f(q) for q in others(p) if q.a == 1)", ast.CallFor),
        ("law(p)", ast.Call),
        ("bar[t]", ast.Index),
        ("mu[h = I]", ast.Index),
        ("if a then b else if c then d else e", ast.If),
        ("match { x > 1 -> 2, else -> 3, }", ast.Match),
        ("x in {1, 2}", ast.Member),
        ("a--b", ast.Sum),
    ],
)
def test_forms_of_expressions(text: str, kind: type) -> None:
    assert isinstance(value(text), kind)


def test_data_parameters_and_names_of_horizons() -> None:
    unit = read('model m\nparam P : real[n, m] in [0, 1] from "p.npz"\nhorizon stationary\n')
    data, horizon = unit.declarations
    assert isinstance(data, ast.Param) and data.data is not None
    assert (data.data.value, data.default) == ("p.npz", None)
    assert isinstance(horizon, ast.Horizon) and isinstance(horizon.value, ast.Name)


def test_words_of_grids_are_names_elsewhere_and_inside() -> None:
    unit = read("model m\nparam size : int = 3\ngrid g { size size, size periodic moves moves }\n")
    grid = unit.declarations[1]
    assert isinstance(grid, ast.Grid)
    size, _, moves = grid.items
    assert isinstance(size, ast.GridSize) and isinstance(size.height, ast.Name)
    assert isinstance(moves, ast.GridMoves) and moves.name.name == "moves"


def test_graph_links_keep_direction_and_settings() -> None:
    unit = read('model m\ngraph g { node A link A -> B { t = 1, } link B -- C file "g.csv" }\n')
    (graph,) = unit.declarations
    assert isinstance(graph, ast.Graph)
    _, one, both, data = graph.items
    assert isinstance(one, ast.GraphLink) and isinstance(both, ast.GraphLink)
    assert (one.both_ways, both.both_ways) == (False, True)
    assert [s.name.name for s in one.settings] == ["t"]
    assert isinstance(data, ast.GraphFile)


def test_map_rows_lose_their_indentation_and_keep_their_places() -> None:
    source = SourceFile("m.mfg", 'model m\ngrid g { map """\n    ##S\n    #.#\n  """ }\n')
    sink = Sink()
    (grid,) = parse(source, sink).declarations
    assert isinstance(grid, ast.Grid)
    (cells,) = grid.items
    assert isinstance(cells, ast.GridMap)
    assert cells.rows == ("##S", "#.#")
    assert tuple(source.slice(span) for span in cells.row_spans) == cells.rows


def test_reward_is_a_name_in_claims_only() -> None:
    (claim,) = read("model m\nrequire lipschitz(reward, mu) <= 2\n").declarations
    assert isinstance(claim, ast.Require)
    sink = Sink()
    parse(SourceFile("m.mfg", "model m\nlet a = reward\n"), sink)
    assert [d.code for d in sink.diagnostics] == ["MFG005"]
