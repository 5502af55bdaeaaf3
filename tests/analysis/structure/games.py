"""Small games written in the language, and what the interpreter says of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.structure.certificates import structure_certificates
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.driver import compile_text
from mfdsl.compiler.ir import meaning
from mfdsl.compiler.ir.model import Model

RING = """model ring

objective nash
horizon {horizon}

population person as mu {{
  state  x : int in 0..{last} ~ uniform
  action a : int in 0..1
  x' = if a == 1 then {last} - x else x
  reward r = {reward}
}}
"""


def model_of(text: str) -> Model:
    return compile_text(text).require_model()


def line(reward: str, states: int = 3, horizon: int = 3) -> Model:
    """A game whose state is one of a few numbers."""
    return model_of(RING.format(reward=reward, last=states - 1, horizon=horizon))


def copies_of(model: Model) -> Copies:
    return Copies(facts_of(model))


def certificates(model: Model, claim: str, seconds: float = 10.0) -> dict[str, Certificate]:
    """What is decided together with a claim, by claim."""
    return {c.claim: c for c in structure_certificates(model, seconds, claims={claim})}


def certificate(model: Model, claim: str, seconds: float = 10.0) -> Certificate:
    return certificates(model, claim, seconds)[claim]


def reward_at(model: Model, law: Sequence[float], state: int, action: int = 0) -> float:
    """The running reward where the law of states is `law`; actions are 0."""
    joint = {((s,), (0,)): float(p) for s, p in enumerate(law)}
    return meaning.reward(model, 0, joint, (state,), (action,))


def inner_product(model: Model, one: Any, other: Any) -> float:
    """The sum over states of the differences of rewards times those of laws."""
    return sum(
        (reward_at(model, one, s) - reward_at(model, other, s)) * (one[s] - other[s])
        for s in range(len(one))
    )


def table(rows: Sequence[Sequence[float]]) -> str:
    """A reward that is a matrix times the law of states."""
    arms = [
        f"if x == {s} then " + " + ".join(f"({v}) * mu[{z}]" for z, v in enumerate(row)) + " else "
        for s, row in enumerate(rows)
    ]
    return "".join(arms) + "0"


def laws(rng: np.random.Generator, states: int, count: int) -> np.ndarray:
    return np.asarray(rng.dirichlet(np.ones(states), count))
