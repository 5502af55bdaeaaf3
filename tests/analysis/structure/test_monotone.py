"""Monotone rewards: the table of known verdicts, random games against the interpreter."""

import math

import numpy as np
import pytest

from mfdsl.compiler.analysis.structure.monotone import refuting
from mfdsl.compiler.analysis.structure.refute import inner_product as certified, rewards_of
from mfdsl.compiler.analysis.structure.separable import separable
from mfdsl.compiler.analysis.structure.stages import law_stages
from tests.analysis.structure.games import (
    certificate,
    certificates,
    copies_of,
    inner_product,
    laws,
    line,
    model_of,
    table,
)

KERNEL = "exp(-((x - y.x) / {h})^2 / 2)"
CIRCULANT = "(mu[x] + 0.4 * (mu[rem(x + 1, {n})] + mu[rem(x + {n} - 1, {n})]))"

TABLE = [
    ("-log(mu[x] + 0.1)", 10, "proved", "proved"),
    ("-2 * mu[x]^3", 10, "proved", "unknown"),
    ("mu[x]", 4, "refuted", "refuted"),
    ("mean(abs(x - y.x) for y in person)", 6, "proved", "proved"),
    ("-mean(abs(x - y.x) for y in person)", 6, "refuted", "refuted"),
    ("mean((x - y.x)^2 for y in person)", 6, "proved", "refuted"),
    (f"-mean({KERNEL.format(h=1)} for y in person)", 6, "proved", "proved"),
    (f"mean({KERNEL.format(h=1)} for y in person)", 6, "refuted", "refuted"),
    (f"-log(0.5 + {CIRCULANT.format(n=3)})", 3, "proved", "proved"),
    (f"-log(0.5 + {CIRCULANT.format(n=4)})", 4, "proved", "proved"),
    ("-mu[x] * (1 + mean(y.x for y in person) / 3)", 4, "proved", "proved"),
    ("-mu[x] * (1 + 4 * mean(y.x for y in person))", 4, "refuted", "refuted"),
    ("-x * mean(y.x for y in person)^3", 20, "proved", "unknown"),
    ("x * mean(y.x for y in person)", 20, "refuted", "refuted"),
    ("mean(y.x for y in person)^2 - x", 5, "proved", "refuted"),
    ("-max(mu[x], 0.2)", 5, "proved", "unknown"),
    ("-max(0.2 - mu[x], 0)", 5, "refuted", "refuted"),
    ("x", 5, "proved", "refuted"),
]


@pytest.mark.parametrize(("reward", "states", "weak", "strict"), TABLE)
def test_known_rewards_have_their_verdicts(
    reward: str, states: int, weak: str, strict: str
) -> None:
    both = certificates(line(reward, states), "monotone")
    found = both["monotone"]
    assert found.verdict == weak, found.detail
    if strict != "unknown":
        assert both["strictly_monotone"].verdict in (strict, "unknown")
    if weak == "refuted":
        assert found.witness is not None and float(found.witness["inner product"]) > 0


def test_rock_paper_scissors_is_monotone_and_nothing_more() -> None:
    found = certificates(line(table([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])), "monotone")
    assert found["monotone"].verdict == "proved"
    assert found["monotone"].rigor == "exact"
    assert found["skew_affine"].verdict == "proved"
    assert found["strictly_monotone"].verdict == "refuted"
    assert found["potential"].verdict == "refuted"
    assert found["concave_potential"].verdict == "refuted"


def test_a_pole_inside_of_the_domain_is_no_fall() -> None:
    model = line("mu[x] - 0.35")
    copies = copies_of(model)
    (player,) = model.populations
    gap = player.rewards[0].node
    kind = copies.nodes[gap].type
    root = copies.add("div", (copies.add("const", (), 1.0, kind), gap), None, kind)
    assert separable(copies, player, gap, 5.0) is not None
    assert separable(copies, player, root, 5.0) is None


def test_a_jump_upwards_is_not_overlooked() -> None:
    for reward in ("ind(mu[x] > 0.4) - mu[x]", "x * floor(2 * mean(y.x for y in person))"):
        assert certificate(line(reward), "monotone").verdict != "proved"


@pytest.mark.parametrize("seed", range(36))
def test_random_matrix_games_agree_with_eigenvalues_and_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    states = 3 + seed % 2
    entries = rng.integers(-4, 5, (states, states)).astype(float)
    if seed % 3 == 0:  # make it monotone
        entries = -(entries @ entries.T) / 4 + (entries - entries.T)
    model = line(table(entries.tolist()), states)
    basis = np.vstack([np.eye(states - 1), -np.ones(states - 1)])
    top = np.linalg.eigvalsh(basis.T @ (entries + entries.T) @ basis)[-1]
    found = certificate(model, "monotone")
    assert found.verdict == ("refuted" if top > 1e-9 else "proved")
    if found.verdict == "proved":
        for one, other in zip(*(laws(rng, states, 20) for _ in range(2)), strict=True):
            assert inner_product(model, one, other) <= 1e-9


@pytest.mark.parametrize("seed", range(10))
def test_random_curved_games_are_never_called_monotone_wrongly(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, c = rng.uniform(-1, 1, 3).round(2)
    reward = f"{a} * mu[x]^2 - {abs(b)} * mu[x] + {c} * mu[x] * mean(y.x for y in person)"
    model = line(reward, 3)
    found = certificate(model, "monotone", 2.0)
    worst = max(
        inner_product(model, one, other)
        for one, other in zip(*(laws(rng, 3, 200) for _ in range(2)), strict=True)
    )
    if found.verdict == "proved":
        assert worst <= 1e-9
    if worst > 1e-3:
        assert found.verdict == "refuted"


def test_a_refuting_pair_is_evaluated_again() -> None:
    model = line("-mu[x] * (1 + 4 * mean(y.x for y in person))", 4)
    copies = copies_of(model)
    (stage,) = law_stages(model, copies)
    found = certificate(model, "monotone")
    assert found.verdict == "refuted"
    (player,) = model.populations
    (part,) = stage.parts
    pair = refuting(model, copies, stage, 5.0, [])
    if pair is None:  # only the direction of the search finds one
        return
    game = rewards_of(copies, {"person": part.node}, [player])
    again = certified(game, pair.one, pair.other, pair.shared)
    assert again == pair.product and again[0] > 0


def test_two_populations_against_each_other_are_monotone_together() -> None:
    text = """model chase
objective nash
horizon 2
population cat as c {
  state x : int in 0..2 ~ uniform
  action a : int in 0..2
  x' = a
  reward near = prob(q.x == x for q in mouse)
}
population mouse as m {
  state x : int in 0..2 ~ uniform
  action a : int in 0..2
  x' = a
  reward away = SIGN prob(q.x == x for q in cat)
}
"""
    assert certificate(model_of(text.replace("SIGN", "-")), "monotone").verdict == "proved"
    assert certificate(model_of(text.replace("SIGN", "")), "monotone").verdict == "refuted"


def test_final_rewards_count() -> None:
    text = """model last
objective nash
horizon 2
population person as mu {
  state x : int in 0..2 ~ uniform
  action a : int in 0..2
  x' = a
  reward away = -mu[x]
  final reward home = mu[x]
}
"""
    found = certificate(model_of(text), "monotone")
    assert found.verdict == "refuted"


def test_illegal_members_refute_nothing() -> None:
    text = """model masked
objective nash
horizon 2
population person {
  state x : int in 0..0 = 0
  action a : int in 0..2 where a != 2
  x' = x
  reward r = if a == 2 then prob(q.a == 2 for q in person) else -prob(q.a == a for q in person)
}
"""
    assert certificate(model_of(text), "monotone").verdict != "refuted"


def test_inner_products_of_real_games_are_refuted_by_two_points() -> None:
    text = """model pull
objective nash
horizon 2
population agent {
  state x : real ~ normal(0, std = 1)
  action u : real
  x' = x + u
  cost track = (x - SLOPE * mean(q.x for q in agent))^2
}
"""
    assert certificate(model_of(text.replace("SLOPE", "0.5")), "monotone").verdict == "refuted"
    assert certificate(model_of(text.replace("SLOPE", "(-0.5)")), "monotone").verdict == "proved"
    assert math.isfinite(certificate(model_of(text.replace("SLOPE", "0")), "monotone").seconds)


STRICT = """model strict
objective nash
horizon 2
population person as mu {
  state x : bool ~ bernoulli(0.5)
  action a : bool
  x' = a
  reward r = REWARD
}
"""
COMMON = [
    ("-mu[x]", "proved"),
    ("-mu[x] + mu[true]", "proved"),
    ("-mu[x] + prob(q.a for q in person)", "refuted"),
    ("-mu[x] - prob(q.a == a for q in person)", "proved"),
    ("-mu[x] - prob(q.a == a for q in person) + prob(q.a and q.x for q in person)", "unknown"),
    ("-prob(q.a == a and q.x == x for q in person) + prob(q.a and q.x for q in person)", "proved"),
    ("-ind(x) * mu[true]^2 + prob(q.a for q in person)", "refuted"),
]


@pytest.mark.parametrize(("reward", "verdict"), COMMON)
def test_what_all_are_paid_alike_is_not_strict_where_only_it_moves(
    reward: str, verdict: str
) -> None:
    """All in one state: -1 + 0 where nobody acts, -1 + 1 where all do, and the product is 0."""
    both = certificates(model_of(STRICT.replace("REWARD", reward)), "monotone")
    assert both["monotone"].verdict == "proved"
    found = both["strictly_monotone"]
    assert found.verdict == verdict, found.detail
    if verdict == "refuted":
        assert found.witness is not None and found.witness["inner product"] == 0


@pytest.mark.parametrize(
    ("running", "final", "verdict"),
    [
        ("0", "-mu[x]", "proved"),
        ("-mu[x]", "0", "proved"),
        ("-mu[x]", "-2 * mu[x]", "proved"),
        ("-mu[x]", "mu[true]", "refuted"),
        ("prob(q.a for q in person)", "-mu[x]", "refuted"),
        ("0", "0", "refuted"),
    ],
)
def test_every_stage_that_reads_a_law_is_to_be_strict(
    running: str, final: str, verdict: str
) -> None:
    text = STRICT.replace("REWARD", f"{running}\n  final reward end = {final}")
    found = certificate(model_of(text), "strictly_monotone")
    assert found.verdict == verdict, found.detail


MASKED = """model masked
objective nash
horizon 2
population p as mu {
  state x : int in 0..2 ~ uniform
  action a : int in 0..2 where LEGAL
  x' = x
  reward r = REWARD
}
"""


@pytest.mark.parametrize(
    ("legal", "reward", "verdicts"),
    [
        ("a == 0", "if a == 1 then mu[x] else -mu[x]", ("proved", "proved", "proved", "refuted")),
        ("a == x", "if a == x then -mu[x] else mu[x]", ("proved", "proved", "proved", "refuted")),
        ("a == 0", "-prob(q.a == a for q in p)", ("proved", "unknown", "proved", "unknown")),
        ("a == x", "-prob(q.a == a for q in p)", ("proved", "proved", "proved", "refuted")),
        ("a == 0", "a * mu[x]", ("proved", "refuted", "proved", "proved")),
        ("a <= 1", "a * mu[x]", ("refuted", "refuted", "refuted", "refuted")),
        ("a == min(t, 2)", "a * mu[x]", ("unknown", "unknown", "unknown", "unknown")),
    ],
)
def test_laws_have_legal_members_only(
    legal: str, reward: str, verdicts: tuple[str, str, str, str]
) -> None:
    model = model_of(MASKED.replace("LEGAL", legal).replace("REWARD", reward))
    claims = ("monotone", "strictly_monotone", "potential", "skew_affine")
    found = certificates(model, "monotone")
    assert tuple(found[c].verdict for c in claims) == verdicts


@pytest.mark.parametrize(
    "reward", ["-prob(q.c == c for q in p)", "ind(c) * prob(q.x == 1 for q in p)"]
)
def test_policies_cannot_move_traits_so_that_these_refute_nothing(reward: str) -> None:
    """Between laws with one law of traits all inner products of these are 0."""
    text = MASKED.replace(" where LEGAL", "").replace("REWARD", reward)
    text = text.replace("  action", "  trait c : bool ~ bernoulli(0.3)\n  action")
    found = certificates(model_of(text), "monotone")
    for claim in ("monotone", "potential", "concave_potential", "skew_affine"):
        assert found[claim].verdict != "refuted"
