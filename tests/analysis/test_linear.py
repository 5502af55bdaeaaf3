"""Sums of means are enclosed together: masses of different states add up to at most 1."""

import random

import pytest

from mfdsl.compiler.driver import Compilation, compile_text
from mfdsl.compiler.ir import meaning

SPEC = """model small
objective nash
horizon 3
population people as mu {{
  state x : int in 0..3 ~ uniform
  action a : int in 0..1
  {step}
  reward total = {reward}
}}
"""


def compiled(step: str = "x' = x", reward: str = "mu[x] + a") -> Compilation:
    return compile_text(SPEC.format(step=step, reward=reward))


def codes(compilation: Compilation) -> list[str]:
    return [d.code for d in compilation.diagnostics if d.severity == "error"]


@pytest.mark.parametrize(
    "law",
    [
        "mix { mu[0] -> 0, mu[1] -> 1, else -> x }",
        "mix { sum(mu[k] for k in 0..3) -> 0, else -> x }",
        "mix { mu[x] -> 0, (1 - mu[x]) / 2 -> 1, else -> x }",
        "mix { mu[0] -> 0, 1 - mu[0] - mu[1] -> 1, else -> x }",
        "choose(y in 0..3, weight = mu[y])",
        "normalize(y in 0..3, weight = 2 * mu[y])",
        "choose(y in 0..3, weight = 0.9 * mu[y] + 0.1 / 4)",
        "mix { prob(q.x < 2 for q in people) -> 0, mu[3] -> 1, else -> x }",
    ],
)
def test_masses_that_share_one_law_are_weights(law: str) -> None:
    assert codes(compiled(f"x' ~ {law}")) == []


@pytest.mark.parametrize(
    "law",
    [
        "mix { mu[0] -> 0, mu[x] -> 1, else -> x }",
        "mix { mu[0] -> 0, 1.01 * mu[1] -> 1, else -> x }",
        "mix { prob(q.x < 2 for q in people) -> 0, mu[1] -> 1, else -> x }",
        "mix { mu[0] - mu[1] -> 0, else -> x }",
        "mix { mu[0] -> 0, sqrt(mu[1]) -> 1, else -> x }",
        "choose(y in 0..3, weight = mu[x])",
    ],
)
def test_masses_that_overlap_are_not(law: str) -> None:
    assert set(codes(compiled(f"x' ~ {law}"))) <= {"MFG301", "MFG302"}
    assert codes(compiled(f"x' ~ {law}"))


def test_what_may_be_rounded_below_0_has_no_root() -> None:
    reward = "sqrt(1 - mu[0] - mu[1] - mu[2] - mu[3])"
    assert codes(compiled(reward=reward)) == ["MFG304"]


def _mean(chance: random.Random) -> str:
    return chance.choice(
        [
            "mu[0]",
            "mu[x]",
            "mu[3]",
            "mean(q.x for q in people)",
            "mean(q.x * q.a - 1 for q in people)",
            "prob(q.a == a for q in people)",
            "sum(k * mu[k] for k in 0..9)",
            "sum(mu[k] * 2 - mu[x] for k in 0..8)",
            "mean(abs(q.x - x) for q in people)^2",
            "x",
        ]
    )


def test_random_sums_of_means_are_enclosed() -> None:
    chance = random.Random(3)
    for _ in range(25):
        terms = [f"({chance.randint(-4, 4)}) * {_mean(chance)} / 3" for _ in range(4)]
        found = compiled(reward=f"{terms[0]} - ({terms[1]} + {terms[2]} - (1 - {terms[3]})) / 2")
        model = found.require_model()
        claim = next(c for c in found.certificates if c.claim == "range")
        assert claim.lower is not None and claim.upper is not None
        keys = [(s, a) for s in meaning.joint_states(model) for a in meaning.joint_actions(model)]
        for power in (0, 1, 30):
            mass = [chance.random() ** power for _ in keys]
            law = {key: m / sum(mass) for key, m in zip(keys, mass, strict=True)}
            for state, action in keys:
                value = meaning.reward(model, 0, law, state, action)
                assert claim.lower <= value <= claim.upper
