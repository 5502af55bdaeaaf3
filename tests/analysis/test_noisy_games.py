"""Constants of random small games with noises, against slopes of their kernels and mean rewards.

Each game is asked about twice: with finite noises, and with the first of them written as `w < c`
for a uniform w, which is the same game to everybody but the analysis.
"""

import random
import re

import pytest
import torch
from torch import Tensor

import mfdsl
from mfdsl.compiler.analysis.questions import answers
from mfdsl.game import Game

GAMES = 14
TINY = 2.0**-30  # how close bisections come: what moves at once over that is a jump
QUESTIONS = {
    "lipschitz(dynamics, mu)": 0,
    "lipschitz(reward, mu)": 1,
    "lipschitz(dynamics, x)": 0,
    "lipschitz(reward, x)": 1,
}


def chance(source: random.Random, depth: int, leaves: list[str]) -> str:
    """An expression in [0, 1] over shares of the population, own variables and noises."""

    def part() -> str:
        return chance(source, depth - 1, leaves)

    if depth == 0 or source.random() < 0.25:
        return source.choice(leaves)
    truths = ["x", "a", *(["u", "v"] if "ind(v)" in leaves else [])]
    rules = [
        lambda: f"({part()} * {part()})",
        lambda: f"(({part()} + {part()}) / 2)",
        lambda: f"abs({part()} - {part()})",
        lambda: f"max({part()}, {part()})",
        lambda: f"(1 - {part()})",
        lambda: f"(if {source.choice(truths)} then {part()} else {part()})",
        lambda: f"(if {source.choice(['m > 0.5', 'k > 0.3'])} then {part()} else {part()})",
    ]
    return source.choices(rules, [4, 3, 2, 2, 2, 2, 1])[0]()


def text_of(seed: int) -> str:
    """A game of two states and two actions, whose second noise goes with the first."""
    source = random.Random(seed)
    own = ["m", "k", "0.5", "0.2", "ind(x)", "ind(a)"]
    every = [*own, "ind(u)", "ind(v)"]
    second = f"(if u then {chance(source, 2, own)} else {chance(source, 1, own)})"
    rules = [
        "u",
        "v",
        "u == v",
        "if x then u else v",
        f"{chance(source, 2, every)} > 0.4",
        "a != u",
    ]
    return f"""
model noisy
objective nash
horizon 2
population p as mu {{
  state x : bool ~ bernoulli(0.5)
  action a : bool
  let m = prob(q.x for q in p)
  let k = prob(q.a for q in p)
  noise u : bool ~ bernoulli({chance(source, 2, own)})
  noise v : bool ~ bernoulli({second})
  x' = {source.choice(rules)}
  reward r = {chance(source, 3, every)}
}}
"""


def written_as_uniform(text: str) -> str:
    """The first noise as a threshold of another."""
    other = r"noise w : real in [0, 1] ~ uniform\n  let u = w < \1\n"
    return re.sub(r"noise u : bool ~ bernoulli\((.*)\)\n", other, text)


def tables(game: Game, laws: Tensor) -> tuple[Tensor, Tensor]:
    """Kernels [n, x, a, x'] and mean rewards [n, x, a] at laws of state and action [n, 4]."""
    module, params, time = game.program.module, game.program.params(), torch.tensor(0)
    masses = laws.view(-1, 2, 2)
    kernel = module.kernel(params, time, masses).expand(len(laws), 2, 2, 2)
    return kernel, module.rewards(params, time, masses).expand(len(laws), 2, 2)[..., None]


def steepest(game: Game, question: str, source: torch.Generator) -> float:
    """The largest slope that was found: on short segments that bisection narrows to the steeper
    half, or between both values of x.
    """
    which = QUESTIONS[question]

    def drawn() -> Tensor:
        found = torch.rand(2000, 4, generator=source, dtype=torch.float64) ** 2
        return found / found.sum(-1, keepdim=True)

    def far(one: Tensor, other: Tensor) -> Tensor:
        return (one - other).abs().sum(-1).flatten(1).amax(1)

    one, other = drawn(), drawn()
    if question.endswith("x)"):
        table = tables(game, one)[which]
        return float(far(table[:, :1], table[:, 1:]).max())
    best = 0.0
    while float((one - other).abs().max()) > TINY:
        middle = (one + other) / 2
        at, mid, to = (tables(game, laws)[which] for laws in (one, middle, other))
        slopes = far(at, to) / (one - other).abs().sum(-1)
        best = max(best, float(slopes.max()))
        first = (far(at, mid) > far(mid, to))[:, None]
        one, other = torch.where(first, one, middle), torch.where(first, middle, other)
    return best


@pytest.mark.parametrize("seed", range(GAMES))
def test_constants_enclose_slopes_and_only_jumps_are_refuted(seed: int) -> None:
    text = text_of(seed)
    game, alike = mfdsl.load(text=text), mfdsl.load(text=written_as_uniform(text))
    assert "w < " in written_as_uniform(text)
    source = torch.Generator().manual_seed(seed)
    for question in QUESTIONS:
        slope = steepest(game, question, source)
        for model in (game.model, alike.model):
            (found,) = answers(model, question, seconds=0.1)
            if found.upper is not None:
                assert slope <= found.upper + 1e-4, (question, text)
            if found.verdict == "refuted":
                assert slope > 1e5, (question, text)
            elif found.lower:
                assert found.lower <= slope * 1.5 + 1e-6, (question, text)
