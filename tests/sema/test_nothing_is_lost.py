"""What a spec says is in its game, or an error says why not."""

import pytest

from mfdsl.compiler.backend.particles.emit import emit_particles
from mfdsl.compiler.driver import compile_text

SPEC = """model kept
{top}
objective nash
horizon 3
population p {{
  state x : int in 0..1 ~ uniform
  action u : int in 0..1
  x' = u
  reward first = {reward}
  reward second = x
}}
"""
LIBRARY = """library scales
fn ramp(v) = v * 3
fn scaled(v) = ramp(v) * 2
"""


@pytest.mark.parametrize(
    ("top", "reward"),
    [
        ("fn pick(v, i) = v[i] * 2", "pick([pick([x, u], 0) * i for i in 0..1], 1)"),
        ('import scaled from "scales.mfg"\nfn ramp(v) = scaled(v) + 1', "ramp(x)"),
    ],
)
def test_a_function_may_be_called_in_its_argument_and_have_the_name_of_another(
    top: str, reward: str
) -> None:
    text = SPEC.format(top=top, reward=reward)
    model = compile_text(text, imports={"scales.mfg": LIBRARY}).require_model()
    assert [term.name for term in model.population.rewards] == ["first", "second"]


def test_a_function_that_calls_itself_through_a_let_is_an_error() -> None:
    found = compile_text(SPEC.format(top="fn f(v) = v + c\nlet c = f(1)", reward="f(x)"))
    assert [d.code for d in found.diagnostics if d.severity == "error"] == ["MFG210"]


CLOUD = """model cloud
objective nash
horizon 3
fn near(h) = w2(p.v, [[h, 0], [1, 1]])
population p {{
  state v : real[2] in [0, 1] ~ uniform
  action u : bool
  v' = v
  reward r = {reward}
}}
"""


@pytest.mark.parametrize(
    ("reward", "codes"),
    [
        ("w2(p.v, [v, [1, 1]])", ["MFG206"]),
        ("near(v[0])", ["MFG206"]),
        ("near(ind(u))", ["MFG206"]),
        ("mean(w2(p.v, [q.v, [1, 1]]) for q in p)", ["MFG206"]),
        ("sum(near(i) for i in 0..6)", ["MFG206"]),
        ("sum(near(i) for i in 0..2)", []),  # is written out
        ("near(mean(q.v[0] for q in p)) + near(max(i / 6 for i in 0..6))", []),
        ("sum(i * near(max(j / 6 for j in 0..6)) for i in 0..6)", []),
    ],
)
def test_modules_transport_to_points_that_are_the_same_for_everybody(
    reward: str, codes: list[str]
) -> None:
    found = compile_text(CLOUD.format(reward=reward))
    assert [d.code for d in found.diagnostics if d.severity == "error"] == codes
    if not codes:
        emit_particles(found.require_model(), source_name="cloud", digest="0")
