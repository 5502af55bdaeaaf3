"""Weighted sums of masses are means: chances where the weights of each member add up to one."""

import random

import numpy as np
import pytest

from mfdsl.compiler.analysis.enclosure import Evaluator, Narrowing, leaves_of
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.analysis.symbolic.terms import written_out
from mfdsl.compiler.driver import Compilation, compile_text
from mfdsl.compiler.ir.interpret import Environment, evaluate
from mfdsl.compiler.ir.model import Model

SPEC = """model small
param levels : int in 1..9 = 5
param scale : real in [-4, 4] = {scale}
objective nash
horizon 3
population people as mu {{
  state x : int in 0..5 ~ uniform
  state y : bool ~ bernoulli(0.5)
  action a : int in 0..levels
  let level = sum(mu[y = true, a = k] * k / levels for k in 0..levels)
  let total = sum(mu[x = k] * k for k in 0..5)
  x' = x
  y' ~ {law}
  reward r = {reward}
}}
population crowd as nu {{
  state x : int in 0..5 ~ uniform
  action a : int in 0..5
  x' = x
  reward r = 0
}}
"""


def compiled(law: str = "y", reward: str = "0", scale: str = "2") -> Compilation:
    return compile_text(SPEC.format(law=law, reward=reward, scale=scale))


def codes(compilation: Compilation) -> list[str]:
    return [d.code for d in compilation.diagnostics if d.severity == "error"]


@pytest.mark.parametrize(
    "law",
    [
        "bernoulli(level)",
        "mix { level -> true, mu[y = false] -> false, else -> y }",  # of members bound elsewhere
        "bernoulli(level + sum(mu[y = false, a = k] * k / 10 for k in 0..5) + mu[y = false] / 2)",
        "bernoulli(sum(mu[x = k] * (k + 1) / 6 for k in 0..5 if k != x))",
        "bernoulli(sum(sum(mu[x = k, a = j] * k * j for j in 0..levels) for k in 0..5) / 25)",
        "bernoulli((if a > 1 then sum(mu[x = k] * k for k in 0..5) else 1) / 5)",
        "bernoulli(sum(mu[x = k] * mu[y = true] for k in 0..5))",
        "bernoulli(sum(mu[x = k] / scale for k in 0..5) + mu[y = true] / 2)",
        "bernoulli(sum(mu[x = k / 2] * 0.5 for k in 0..10) / 0.5)",
        "bernoulli(sum(mu[x = rem(k, 2)] / 3 for k in 0..5))",
    ],
)
def test_means_of_numbers_up_to_one_are_chances(law: str) -> None:
    assert codes(compiled(law)) == []


@pytest.mark.parametrize(
    "law",
    [
        "bernoulli(sum(mu[y = true, a = k] * (k + 0.1) / levels for k in 0..levels))",
        "mix { level -> true, mu[y = true] -> false, else -> y }",  # both of the same members
        "mix { level -> true, nu[a = 0] -> false, else -> y }",  # of two populations
        "bernoulli(sum(mu[x = 0 * k] * 0.3 for k in 0..5))",
        "bernoulli(sum(mu[x = rem(k, 2)] * 0.6 for k in 0..5))",
        "bernoulli(sum(mu[x = k] + mu[x = k, y = true] / 4 for k in 0..5))",
        "bernoulli(sum(sum(mu[x = k] * k / 25 for j in 0..5) for k in 0..5))",
        "bernoulli(sum(mu[x = k] - mu[x = 3] * 0.2 for k in 0..5))",
        "bernoulli(sum(mu[x = k] / (scale - 1.1) for k in 0..5))",
        "bernoulli(sum(mu[x = k] * -scale / 4 for k in 0..5))",
        "bernoulli(sum(mu[x = k] * a / 2 for k in 0..5))",
        "bernoulli(sum(prob(q.a == 0 for q in people if q.x == k) / 2 for k in 0..5))",
    ],
)
def test_larger_or_negative_ones_are_not(law: str) -> None:
    assert {"MFG301", "MFG302"} & set(codes(compiled(law)))


def test_the_signs_of_a_parameter_count() -> None:
    law = "bernoulli(sum(mu[x = k] / scale for k in 0..5))"
    verdicts = {scale: codes(compiled(law, scale=scale)) for scale in ("1", "4", "-2", "0.5", "0")}
    assert not verdicts["1"] and not verdicts["4"]
    assert verdicts["-2"] and verdicts["0.5"] and "MFG304" in verdicts["0"]


def test_members_of_two_means_are_two_members() -> None:
    """Terms number members anew: those of both means have the number 0 there."""
    reward = "min(q.x * mean(r.x for r in people) - mean(r.x for r in people) for q in people)"
    model = compiled(reward=reward).require_model()
    terms, (root,) = written_out(facts_of(model), [model.populations[0].rewards[0].node])
    leaves = leaves_of(terms.nodes, [root])
    axes = {leaf: axis for axis, leaf in enumerate(leaves)}
    assert len(axes) == 1
    assert np.min(Evaluator(terms.as_facts(), axes).value(root).lo) <= min(values(model)) < 0


def test_what_is_known_of_an_index_is_not_known_of_a_sum() -> None:
    """Where `k >= 2` outside, a sum over the same `k` has all its terms."""
    reward = "sum(mean(max(q.x, k) + nu[x = 0] for q in people) for k in 0..5)"
    model = compiled(reward=reward).require_model()
    copies, total = Copies(facts_of(model)), model.populations[0].rewards[0].node
    (mean, index), kind = copies.nodes[total].args, copies.nodes[total].type
    node = copies.add("add", (total, mean), None, kind)
    axes = {leaf: axis for axis, leaf in enumerate(leaves_of(copies.nodes, [node]))}
    value = Evaluator(copies.facts, axes, {index: Narrowing(lo=2.0)}).value(node)
    least = value.lo.min(axis=tuple(axis for leaf, axis in axes.items() if leaf != index))
    assert least[2] <= 0 + 1 + 2 + 3 + 4 + 5 + 2  # all people are at 0, nobody of the crowd


REWARDS = [
    "mean(q.x * mean(r.x for r in people) - sum(mu[x = k] * k for k in 0..5) for q in people)",
    "mean(q.x * sum(nu[x = k] * k for k in 0..5) + nu[x = 3] * 5 - q.x for q in people)",
    "sum(mu[x = k] * (k - x) - nu[x = k] * k * scale for k in 0..4) + level * total",
    "sum(prob(q.x == k for q in others(people)) * k - mu[x = k] * k for k in 0..5)",
    "sum(prob(q.x == k for q in others(people)) + mu[x = k] / 2 for k in 0..5) * 2",
    "sum((if k > 1 then mu[x = k] else nu[x = 0] - mu[x = 1]) * (k - 1) for k in 0..levels)",
    "mean(sum(mu[x = k] * abs(k - q.x) for k in 0..5) - q.x * mu[x = q.x] for q in people)",
    "sum(sum(mu[x = k, a = j] * (j - k) for j in 0..5 if j <= k) - mu[a = k] * k for k in 0..5)",
]


@pytest.mark.parametrize("reward", REWARDS)
def test_sums_of_means_with_factors_are_enclosed(reward: str) -> None:
    model = compiled(reward=reward, scale="-1.5")
    claim = next(c for c in model.certificates if c.claim == "range")
    assert claim.lower is not None and claim.upper is not None
    for value in values(model.require_model()):
        assert claim.lower <= value <= claim.upper


def values(model: Model) -> list[float]:
    """The reward of the first population among few players and for laws of few members."""
    chance, found = random.Random(1), []
    for _ in range(60):
        count = chance.choice((1, 1, 2, 3))
        members = {p.name: [_member(chance, p.name) for _ in range(count)] for p in model.players}
        shares = [2.0**-k for k in range(1, count)]
        laws = {
            name: list(zip(drawn, [*shares, 1 - sum(shares)], strict=True))
            for name, drawn in members.items()
        }
        one = members["people"][0]
        played = Environment(own=one, members=members, me=0)
        for around in (played, Environment(own=_member(chance, "people"), laws=laws)):
            found.append(float(evaluate(model, model.populations[0].rewards[0].node, around)))
    return found


def _member(chance: random.Random, player: str) -> dict[tuple[str, str], int]:
    drawn = {
        ("state", "x"): chance.choice((0, 0, 1, 2, 4, 5, 5)),
        ("action", "a"): chance.randrange(4),
    }
    return drawn | ({("state", "y"): chance.randrange(2)} if player == "people" else {})
