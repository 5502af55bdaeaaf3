import pytest

from mfdsl.compiler.ir.text import model_text, type_text
from mfdsl.compiler.ir.types import BOOL, REAL, Type
from tests.ir.models import GAMES, beach_bar


def test_the_dump_names_every_player_and_every_node():
    model = beach_bar()
    text = model_text(model)
    assert text.startswith("model beach_bar (abi 1, nash, finite 5, discount 1.0)\n")
    assert "param p_still : real = 0.8" in text
    next_node = model.population.states[0].next
    assert f"next %{next_node}" in text
    assert sum(line.startswith("  %") for line in text.splitlines()) == len(model.nodes)


@pytest.mark.parametrize("name", GAMES)
def test_the_dump_is_the_same_every_time(name):
    assert model_text(GAMES[name]()) == model_text(GAMES[name]())


@pytest.mark.parametrize(
    "type_,text",
    [
        (REAL, "real"),
        (BOOL, "bool"),
        (Type(kind="real", lo=0, hi=1), "real [0, 1]"),
        (Type(kind="int", lo=0, hi=9, periodic=True), "int 0..9 ring"),
        (Type(kind="enum", lo=0, hi=1, name="Health"), "Health (2)"),
        (Type(kind="real", dims=(3, 2)), "real[3, 2]"),
    ],
)
def test_types_read_like_the_language(type_, text):
    assert type_text(type_) == text
