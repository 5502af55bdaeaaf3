"""The specs of the language document, as far as their names and types go."""

import re
from pathlib import Path

import pytest

from mfdsl.compiler.ir.model import Model
from tests.sema.resolved import formula, next_value, resolved, reward

FOLDER = Path(__file__).parents[1] / "golden" / "language"
LATER = re.compile(
    r"^ *require (lipschitz|monotone|invariant|asymmetry|linear_quadratic)\b.*\n", re.M
)
LIBRARIES = {"lib/smooth.mfg": (FOLDER / "lib" / "smooth.mfg").read_text(encoding="utf-8")}


def spec(name: str) -> Model:
    """The model of a spec without the claims that come later."""
    text = (FOLDER / f"{name}.mfg").read_text(encoding="utf-8")
    return resolved(LATER.sub("", text), LIBRARIES)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("asymmetric_sis", ("continuous", "horizon_finite", "traits")),
        ("beach_bar", ("finite", "horizon_finite")),
        ("crowd", ("finite", "horizon_finite")),
        ("foraging", ("continuous", "environment", "horizon_finite", "major", "team")),
        ("lq_common_noise", ("continuous", "environment", "horizon_finite")),
        ("predator_prey", ("finite", "horizon_finite", "populations")),
        ("routing", ("finite", "graph", "horizon_finite", "populations")),
    ],
)
def test_each_says_what_it_needs(name: str, words: tuple[str, ...]) -> None:
    assert spec(name).features == words


def test_common_noise_is_read_by_every_bank() -> None:
    model = spec("lq_common_noise")
    assert "mul(rho, market.z0)" in next_value(model, "bank", "x")
    (noise,) = model.player("market").noises
    assert (noise.name, noise.density, noise.law) == ("z0", None, ("normal",))


def test_deposits_see_the_drones_and_drones_see_the_deposits() -> None:
    model = spec("foraging")
    assert [p.name for p in model.players] == [
        *(f"deposit[{k}]" for k in range(5)),
        "truck[0]",
        "truck[1]",
        "drone",
    ]
    mass = next(let.node for let in model.player("deposit[3]").lets if let.name == "mass")
    assert formula(model, mass).startswith("mean[drone](max(0, add(1, neg(div(norm(")
    assert "deposit[3].pos" in formula(model, mass) and "q0.pos" in formula(model, mass)
    forage = reward(model, "drone", "forage")
    assert all(f"deposit[{k}].left" in forage for k in range(5))
    assert model.player("drone").observes_law == ("drone",)
    observed = [o.name for o in model.player("drone").observe]
    assert observed == ["pos", "load", "truck[0].y", "truck[1].y"]


def test_continuous_starts_are_functions_of_draws() -> None:
    model = spec("foraging")
    drone = model.player("drone")
    assert [(d.name, d.law) for d in drone.draws] == [("pos", ("uniform",))]
    assert [(s.initial, s.start is None) for s in drone.states] == [(None, False)] * 2
    assert formula(model, drone.states[1].start) == "0"


def test_vans_and_cars_load_the_same_links() -> None:
    model = spec("routing")
    assert [p.agents for p in model.players] == [700, 300]
    volumes = {
        formula(model, next(let.node for let in p.lets if let.name == "volume"))
        for p in model.players
    }
    (volume,) = volumes
    assert "mean[flow[cars]](eq(q0.e, e))" in volume and "mean[flow[vans]](eq(q0.e, e))" in volume


def test_each_species_has_its_own_start_and_its_own_crowd() -> None:
    model = spec("predator_prey")
    starts = [formula(model, p.states[0].initial) for p in model.players]
    assert starts == ["eq(x, 0)", "eq(x, 20)", "eq(x, 4)"]
    for name in ("animal[rock]", "animal[paper]", "animal[scissors]"):
        assert f"mean[{name}](eq(q0.x, x))" in reward(model, name, "space")


def test_hidden_traits_stay_hidden() -> None:
    model = spec("asymmetric_sis")
    person = model.player("person")
    assert [t.name for t in person.traits] == ["beta", "fear"]
    assert all(t.next is None and t.start is not None for t in person.traits)
    assert [o.name for o in person.observe] == ["h", "t"]
