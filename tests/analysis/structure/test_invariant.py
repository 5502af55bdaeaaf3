"""Invariance under maps of variables, on rings, chains and the real line."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.kernels import leaf_of
from mfdsl.compiler.analysis.questions import answers
from mfdsl.compiler.analysis.structure.invariant import invariant
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.driver import Options, compile_file, compile_text
from mfdsl.compiler.ir.model import Model
from tests.analysis.structure.games import copies_of, model_of

SPECS = Path(__file__).resolve().parents[3] / "specs"

Image = Callable[[Copies, int], int]


def negative(copies: Copies, leaf: int) -> int:
    return copies.add("neg", (leaf,), None, copies.nodes[leaf].type)


def plus(step: float) -> Image:
    return lambda copies, leaf: copies.add(
        "add", (leaf, copies.const(step, leaf)), None, copies.nodes[leaf].type
    )


def minus_from(whole: int) -> Image:
    return lambda copies, leaf: plus(whole)(copies, negative(copies, leaf))


def moved(model: Model, **images: Image) -> Certificate:
    copies, player = copies_of(model), model.populations[0]
    found = {}
    for name, image in images.items():
        kind = "action" if name in {a.name for a in player.actions} else "state"
        leaf = leaf_of(copies.facts, player, name, kind)
        assert leaf is not None
        found[name] = image(copies, leaf)
    return invariant(model, copies, player, found, "invariant", 20.0)


def spec(name: str, **parameters: float) -> Model:
    return compile_file(SPECS / f"{name}.mfg", Options(parameters=parameters)).require_model()


def test_a_tracking_game_looks_the_same_from_both_sides() -> None:
    assert moved(spec("lq_game", m0=0.0), x=negative, a=negative).verdict == "proved"
    found = moved(spec("lq_game"), x=negative, a=negative)
    assert found.verdict != "proved" and found.detail is not None and "start" in found.detail
    found = moved(spec("lq_game", m0=0.0), x=negative)
    assert found.verdict != "proved"


def test_only_distances_to_the_mean_count_in_systemic_risk() -> None:
    """A shift leaves rewards and steps as they are, but not the law at t = 0."""
    found = moved(spec("lq_common_noise"), x=plus(1.0))
    assert found.verdict == "unknown" and found.detail is not None
    assert found.detail.startswith("start of bank")


def test_the_beach_is_symmetric_about_its_bar() -> None:
    model = spec("beach_bar", n=10)
    assert moved(model, x=negative, a=negative).verdict == "proved"
    assert moved(model, x=negative).verdict != "proved"
    found = moved(model, x=plus(1))
    assert found.verdict == "refuted"
    assert found.detail is not None and found.detail.startswith("proximity")
    assert found.witness is not None and found.culprit is not None
    assert found.witness["value"] != found.witness["value after"]


RING = """model ring
objective nash
horizon 3
population person as mu {
  state  x : int mod 6 ~ START
  action a : int in -1..1 LEGAL
  noise  e : int in -1..1 ~ mix { 0.5 * CHANCE -> 0, 0.25 -> 1, else -> -1 }
  x' = x + a + e
  reward apart = -mu[x] + 0.5 * mean(cos(q.x - x) for q in person)
}
"""


@pytest.mark.parametrize(
    ("start", "legal", "chance", "verdict", "word"),
    [
        ("uniform", "", "1", "proved", ""),
        ("uniform", "", "mu[x]", "proved", ""),
        ("mix { 0.5 -> 0, else -> 3 }", "", "1", "refuted", "start"),
        ("uniform", "where x > 0 or a != 1", "1", "refuted", "legal"),
        ("uniform", "", "ind(x > 2)", "refuted", "next states"),
        ("uniform", "", "mu[0]", "refuted", "next states"),
    ],
)
def test_rings_turn(start: str, legal: str, chance: str, verdict: str, word: str) -> None:
    text = RING.replace("START", start).replace("LEGAL", legal).replace("CHANCE", chance)
    text = text.replace("+ 0.5 * mean(cos(q.x - x) for q in person)", "")
    found = moved(model_of(text), x=plus(1))
    assert found.verdict == verdict, found.detail
    if word:
        assert found.detail is not None and word in found.detail


def test_differences_on_a_ring_wrap_but_places_do_not() -> None:
    text = RING.replace("START", "uniform").replace("LEGAL", "").replace("CHANCE", "1")
    assert moved(model_of(text), x=plus(1)).verdict == "proved"
    cut = text.replace("cos(q.x - x)", "cos(q.x)")
    assert moved(model_of(cut), x=plus(1)).verdict == "refuted"


def test_reflections_of_a_chain() -> None:
    model = spec("lasry_lions_chain")
    assert moved(model, x=minus_from(6), a=negative).verdict == "proved"
    assert moved(model, x=minus_from(6)).verdict == "refuted"
    with pytest.raises(ValueError, match="leaves its values"):
        moved(model, x=plus(1))


def test_images_must_be_of_known_variables_and_permute() -> None:
    model = spec("lasry_lions_chain")
    copies, player = copies_of(model), model.populations[0]
    leaf = leaf_of(copies.facts, player, "x", "state")
    assert leaf is not None
    with pytest.raises(ValueError, match="no variable"):
        invariant(model, copies, player, {"y": leaf}, "invariant")
    three, kind = copies.const(3, leaf), copies.nodes[leaf].type
    above = copies.add("max", (leaf, three), None, kind)
    constant = copies.add("min", (above, three), None, kind)
    with pytest.raises(ValueError, match="one image"):
        invariant(model, copies, player, {"x": constant}, "invariant")


@pytest.mark.parametrize(
    ("images", "fault"),
    [
        ("x = y", "two joint values have one image"),
        ("x = 0", "two joint values have one image"),
        ("x = y, y = y", "two joint values have one image"),
        ("x = x + y, y = x + y", "two joint values have one image"),
        ("x = y, y = x", ""),
        ("x = x + k, a = a + x", ""),
        ("k = k + x", "the trait `k` may read own traits, no more"),
        ("x = x + a", "the state `x` may read own states, traits, no more"),
        ("x = x + t", "the state `x` may read"),
        ("x = if prob(q.x == 0 for q in p) > 0.5 then x else -x", "the state `x` may read"),
        ("a = a + e.z", ""),
        ("a = a + n", "the action `a` may read own states, traits, actions, no more"),
    ],
)
def test_maps_take_values_one_to_one_and_read_what_moves_along(images: str, fault: str) -> None:
    """(y, y) has another law than (x, y), and k + x changes with x, as a trait does not."""
    compilation = compile_text(
        f"""model dials
objective nash
horizon 2
environment e {{
  state z : int mod 4 ~ uniform
  z' = z
}}
population p as mu {{
  state x : int mod 4 ~ uniform
  state y : int mod 4 ~ uniform
  trait k : int mod 4 ~ uniform
  action a : int mod 4
  noise n : int mod 4 ~ uniform
  x' = x
  y' = y
  reward r = 0 * a
  require invariant({images})
}}
"""
    )
    errors = [d.message for d in compilation.diagnostics if d.severity == "error"]
    assert [fault in error for error in errors] == ([True] if fault else []), errors


LAMP = """model lamp
objective nash
horizon 2
environment e {
  state z : bool ~ bernoulli(0.5)
  noise n : int in 0..1 ~ mix { CHANCE -> 1, else -> 0 }
  z' = z
}
population p as mu {
  state x : int in 0..1 ~ uniform
  action a : int in 0..1
  x' = NEXT
  reward r = REWARD
}
"""


@pytest.mark.parametrize(
    ("chance", "next_", "reward", "verdict"),
    [
        ("prob(q.x == 1 for q in p)", "a", "5 * e.n", "refuted"),
        ("prob(q.x == 1 for q in p)", "e.n", "-mu[x]", "unknown"),
        ("prob(q.x == 1 for q in p)", "a", "0 * e.n", "proved"),
        ("0.3", "a", "5 * e.n", "proved"),
        ("0.3", "if a == 1 then e.n else 1 - e.n", "0", "unknown"),
        ("0.3", "if e.n == 1 then a else x", "0", "proved"),
    ],
)
def test_chances_of_common_noises_are_moved_too(
    chance: str, next_: str, reward: str, verdict: str
) -> None:
    """A mean reward of 5 mu(1) becomes 5 mu(0)."""
    text = LAMP.replace("CHANCE", chance).replace("NEXT", next_).replace("REWARD", reward)
    (found,) = answers(model_of(text), "p: invariant(x = 1 - x, a = 1 - a)", 20.0)
    assert found.verdict == verdict, found.detail


@pytest.mark.parametrize(
    ("chance", "reward", "next_", "verdict"),
    [
        ("0.2 + 0.6 * x", "y * mean(q.k for q in p)", "b", "unknown"),
        ("0.2", "y * mean(q.k for q in p)", "b", "proved"),
        ("0.2 + 0.6 * x", "y", "b", "proved"),
    ],
)
def test_chances_of_noises_of_members_are_moved_too(
    chance: str, reward: str, next_: str, verdict: str
) -> None:
    text = """model two
objective nash
horizon 2
population p as mu {
  state x : int in 0..1 ~ uniform
  action a : int in 0..1
  noise n : int in 0..1 ~ mix { CHANCE -> 1, else -> 0 }
  let k = n
  x' = a
  reward r = 0
}
population w as nu {
  state y : int in 0..1 ~ uniform
  action b : int in 0..1
  y' = NEXT
  reward s = REWARD
}
"""
    text = text.replace("CHANCE", chance).replace("NEXT", next_).replace("REWARD", reward)
    (found,) = answers(model_of(text), "p: invariant(x = 1 - x, a = 1 - a)", 20.0)
    assert found.verdict == verdict, found.detail


def test_a_noise_that_others_read_is_not_mirrored_for_one_player_alone() -> None:
    """w and x go up together; with w on the other side they part."""
    text = """model tide
objective nash
horizon 2
environment e {
  state w : real = 0
  noise z : real ~ normal(0, std = 1)
  w' = w + z
}
population p as mu {
  state x : real ~ normal(0, std = 1)
  action a : real
  x' = x + a + READ
  reward r = -a^2
}
"""
    for read, verdict in (("e.z", "unknown"), ("0", "proved")):
        model = model_of(text.replace("READ", read))
        copies = copies_of(model)
        leaf = leaf_of(copies.facts, model.player("e"), "w", "state")
        assert leaf is not None
        images = {"e.w": negative(copies, leaf)}
        found = invariant(model, copies, model.player("p"), images, "invariant", 20.0)
        assert found.verdict == verdict, found.detail


@pytest.mark.parametrize(
    ("common", "other", "verdict"),
    [("0", "0", "proved"), ("e.z", "0", "unknown"), ("0", "e.z", "unknown")],
)
def test_a_common_noise_of_one_population_is_mirrored_with_its_own(
    common: str, other: str, verdict: str
) -> None:
    """The reflection of banks under a common shock; whoever else reads it is on the other side."""
    text = f"""model banks
objective nash
horizon 2
environment e {{
  state w : real = 0
  noise z : real ~ normal(0, std = 1)
  w' = w + {common}
}}
population p as mu {{
  state x : real ~ normal(0, std = 1)
  action a : real
  noise own : real ~ normal(0, std = 1)
  let gap = mean(q.x for q in p) - x
  x' = x + gap + a + 0.2 * e.z + own
  reward r = -a^2 - gap^2 + e.w
}}
population o {{
  state y : real ~ normal(0, std = 1)
  action b : real
  y' = y + b + {other}
  reward s = -b^2
}}
"""
    (found,) = answers(model_of(text), "p: invariant(x = -x, a = -a)", 20.0)
    assert found.verdict == verdict, found.detail
