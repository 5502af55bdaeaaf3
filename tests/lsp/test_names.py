"""Which declaration a name means, in shipped games and where names hide each other."""

from pathlib import Path

import pytest

from mfdsl.compiler.sema.names import BUILTIN_NAMES, MOVE_WORDS, RESERVED_NAMES, SOFT_NAMES
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.tokens import SOFT_KEYWORDS, scan
from mfdsl.lsp.documents import Document, document_of
from mfdsl.lsp.symbols import Symbol
from mfdsl.shipped import shipped_specs

LANGUAGE = BUILTIN_NAMES | SOFT_NAMES | RESERVED_NAMES | MOVE_WORDS | SOFT_KEYWORDS
# Words that stand for no declaration: options, parts of spaces, regions, numbers of links.
WORDS = frozenset("nash team cell move link von_neumann std weight score spacing".split())
SHAPES = {
    "S": "crowd four_rooms",
    "E": "crowd crowd_avoidance",
    "W": "crowd_avoidance",
    "a": "dynamic_routing routing sioux_falls",
    "b": "routing",
    "t0": "routing",
    "source": "sioux_falls",
    "sink": "sioux_falls",
}


def settings(document: Document) -> list[tuple[int, int]]:
    """Where `solver` blocks and numbers of links stand."""
    solvers = (d for d in document.unit.declarations if isinstance(d, ast.Solver))
    graphs = (d for d in document.unit.declarations if isinstance(d, ast.Graph))
    links = (s for g in graphs for i in g.items for s in getattr(i, "settings", ()))
    return [(node.span.start, node.span.end) for node in (*solvers, *links)]


@pytest.mark.parametrize("name", sorted(shipped_specs()))
def test_every_name_of_a_shipped_game_has_a_meaning(name: str) -> None:
    path = shipped_specs()[name]
    document = document_of(path.read_text(), path)
    known = {use.span.start for use in document.index.uses}
    skipped = settings(document)
    without = {
        token.text
        for token in scan(document.text)
        if token.kind == "name"
        and token.start not in known
        and not any(low <= token.start < high for low, high in skipped)
    }
    parts = {word for word, games in SHAPES.items() if name in games.split()}
    assert without - LANGUAGE - WORDS - parts == set()


HIDING = """\
model hiding
param q : real = 1
param c : real = q
enum Kind { A, B }
enum Other { B, C }
fn twice(q) = q + q
objective nash
horizon 2
environment market { state z : real = 0  z' = z + q }
population person as mu {
  state q : int in 0..1 ~ uniform
  state k : Kind = A
  action a : Kind
  let near = mean(q.q for q in person) + mu[q = 1] + market.z
  q' = q
  k' = if a == Kind.B then A else k
  reward place = twice(near) * c - sum(q for q in 0..1)
  require place in [-9, 9]
}
"""


def meant(document: Document, text: str, shift: int = 0) -> tuple[Symbol, ...]:
    """What the name `shift` characters into the first `text` means."""
    use = document.index.use_at(document.text.index(text) + shift)
    return use.symbols if use is not None else ()


@pytest.mark.parametrize(
    ("text", "shift", "kind", "declared"),
    [
        ("real = q", 7, "param", "param q"),
        ("q + q\n", 4, "argument", "twice(q"),
        ("z + q", 4, "param", "param q"),
        ("q.q for", 0, "bound", "for q in person"),
        ("q.q for", 2, "state", "state q"),
        ("mu[q", 3, "state", "state q"),
        ("mu[q", 0, "law", "as mu"),
        ("market.z", 7, "state", "state z"),
        ("Kind.B", 5, "value", "A, B }"),
        ("q' = q", 5, "state", "state q"),
        ("sum(q", 4, "bound", "for q in 0"),
        ("place in", 0, "reward", "reward place"),
    ],
)
def test_the_innermost_name_is_meant(text: str, shift: int, kind: str, declared: str) -> None:
    document = document_of(HIDING)
    (symbol,) = meant(document, text, shift)
    assert symbol.kind == kind
    line = document.text.index(declared)
    assert line <= symbol.span.start < line + len(declared)


def test_a_value_of_two_enums_may_be_either() -> None:
    document = document_of(HIDING.replace("a == Kind.B", "a == B"))
    assert [s.owner for s in meant(document, "a == B", 5)] == ["Kind", "Other"]


def test_names_of_a_library_lead_to_its_file(tmp_path: Path) -> None:
    library = tmp_path / "lib.mfg"
    library.write_text("library lib\n## Doubles.\nfn twice(x) = x + x\nenum Side { L, R }\n")
    spec = tmp_path / "game.mfg"
    text = 'model game\nimport twice, Side from "lib.mfg"\nlet two = twice(1)\nlet s = L\n'
    document = document_of(text, spec)
    (symbol,) = meant(document, "twice(1")
    assert (Path(symbol.span.file), symbol.doc) == (library, "Doubles.")
    assert [s.owner for s in meant(document, "= L", 2)] == ["Side"]


@pytest.mark.parametrize("cut", range(0, len(HIDING), 37))
def test_a_text_that_breaks_off_keeps_the_names_before(cut: int) -> None:
    document = document_of(HIDING[:cut])
    names = {s.name for s in document.index.declared}
    assert {"Kind", "twice"} <= names or cut < HIDING.index("horizon")
