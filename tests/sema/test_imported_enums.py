"""Values of an imported enum are written bare, unless another enum has them too."""

from mfdsl.compiler.driver import Compilation, compile_text

LIBRARY = "library health\nenum Health { S, I }\n"
MODEL = """model epidemic
import Health from "health.mfg"
{more}
objective nash
horizon 3

population person as mu {{
  state  h : Health ~ mix {{ 0.5 -> {ill}, else -> {well} }}
  action a : bool
  h' = if a then {well} else h
  reward r = -ind(h == {ill}) - mu[h = {ill}] {use}
}}
"""


def compiled(ill: str, well: str, more: str = "", use: str = "") -> Compilation:
    text = MODEL.format(ill=ill, well=well, more=more, use=use)
    return compile_text(text, imports={"health.mfg": LIBRARY})


def test_bare_and_qualified_values_are_one_model() -> None:
    bare, qualified = compiled("I", "S"), compiled("Health.I", "Health.S")
    assert bare.diagnostics == qualified.diagnostics == ()
    assert bare.require_model().population == qualified.require_model().population


def test_a_value_of_two_enums_needs_the_name_of_its_enum() -> None:
    more, use = "enum Size { I, L }\nparam size : Size = L", "* ind(size == Size.L)"
    codes = {d.code for d in compiled("Health.I", "S", more, use).diagnostics}
    assert codes == set()
    elsewhere = compiled("Health.I", "S", more, "* ind(I == I)")
    assert "MFG103" in {d.code for d in elsewhere.diagnostics}
