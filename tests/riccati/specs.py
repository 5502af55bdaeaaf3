"""Specs of the tests, and their solutions by the exact solver."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mfdsl.exact import ExactJob, prepare_exact, run_exact
from mfdsl.game import load
from mfdsl.runtime.solvers.riccati.solution import ExactSolution
from mfdsl.runtime.solvers.riccati.table import RICCATI
from mfdsl.settings import resolve

FIGURES: dict[str, Any] = json.loads((Path(__file__).parent / "figures.json").read_text())

LQ1 = {"A": 1, "B": 0.5, "Ab": 0.1, "Q": 0.2, "Qb": 1, "S": 0.8, "R": 1, "QT": 0.5, "QTb": 1}
LQ1 |= {"ST": 0.8, "sigma": 0.3, "T": 20, "m0": 2, "v0": 1}
LQ1B = {"A": 1, "B": 1, "Ab": 0, "Q": 0.3, "Qb": 1, "S": 1.2, "R": 1, "QT": 0, "QTb": 1}
LQ1B |= {"ST": 1.2, "sigma": 0.2, "T": 10, "m0": 1, "v0": 0.2}

# Two populations, a major, an environment with a state, common noise on two of them, traits, means
# of actions, cross terms and time.
CROWDS = """\
model crowds
param T : int in 1..100 = 12
param k : real in [0, 5] = 0.7
objective nash
horizon T
environment sky {
  state s : real[2] ~ normal(0.3, std = 0.2)
  noise c : real[2] ~ normal(0, std = 0.4)
  s' = [0.9 * s[0] + 0.2 * s[1] + c[0], 0.5 * s[1] + c[1] + 0.1 * t]
}
major king {
  state  y : real = 0.4
  action w : real[2]
  noise  e : real ~ normal(0.2, std = 0.6)
  let mf = mean(f.x for f in fish)
  let mb = mean(b.x for b in bird)
  let mg = mean(b.g for b in bird)
  y' = 0.8 * y + 0.5 * w[0] - 0.2 * w[1] + 0.1 * mean(f.a for f in fish) + 0.3 * e + 0.05 * mb[1]
  cost track = (y - mf - 1)^2 + 0.2 * y * sky.s[0]
  cost work = dot(w, w) + 0.3 * w[0] * y
  final cost end = 2 * (y - 1)^2
  observe y, t, sky.s, mf, mb, mg
}
population fish {
  state  x : real ~ uniform([-1, 2])
  action a : real
  noise  e : real ~ normal(0.1, std = 0.3)
  let mf = mean(f.x for f in fish)
  let mb = mean(b.x for b in bird)
  let mg = mean(b.g for b in bird)
  x' = 0.9 * x + 0.6 * a + 0.2 * mb[0] + e + 0.3 * king.w[1] + 0.1 * sky.c[0]
  cost track = (x - 0.5 * king.y - 0.3 * mf)^2 + 0.1 * x * mean(f.a for f in fish)
  cost work = a^2 + 0.1 * a * x + 0.2 * a * mean(f.a for f in fish)
  final cost end = (x - sky.s[1])^2
  observe x, t, king.y, sky.s, mf, mb, mg
}
population bird {
  state  x : real[2] ~ normal(1, std = 0.5)
  trait  g : real ~ normal(0.5, std = 0.4)
  action a : real
  noise  e : real[2] ~ normal(0, std = 0.2)
  let mf = mean(f.x for f in fish)
  let mb = mean(b.x for b in bird)
  let mg = mean(b.g for b in bird)
  x' = [x[0] + 0.5 * x[1] + e[0], 0.7 * x[1] + a + e[1] + k * 0.1 * mf]
  cost track = (x[0] - g - 0.4 * mb[0])^2 + 0.5 * x[1]^2
  cost work = (1 + 0.02 * t) * a^2 + 0.1 * e[0] * x[0] + e[1]^2
  final cost end = (x[0] - g)^2
  observe x, g, t, king.y, sky.s, mf, mb, mg
}
"""
TEAM = CROWDS.replace("objective nash", "objective team")
ENDLESS = (
    CROWDS.replace("horizon T", "horizon infinite\ndiscount 0.9")
    .replace(" + 0.1 * t]", "]")
    .replace("(1 + 0.02 * t)", "1.2")
    .replace("param T : int in 1..100 = 12\n", "")
)
ENDLESS_TEAM = ENDLESS.replace("objective nash", "objective team")
TEXTS = {"crowds": CROWDS, "team": TEAM, "endless": ENDLESS, "endless team": ENDLESS_TEAM}


def job(
    spec: str,
    params: Mapping[str, float] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    dtype: Any = "float64",
) -> ExactJob:
    """A game of the shipped ones, of `TEXTS`, or a text, ready to be solved."""
    text = TEXTS.get(spec, spec if "\n" in spec else None)
    game = load(text=text, params=params) if text else load(spec, params=params)
    settings = resolve(game.model, RICCATI, options=options)
    return prepare_exact(game, settings, dtype=dtype)


@functools.cache
def _solution(spec: str, params: tuple[tuple[str, float], ...]) -> ExactSolution:
    return run_exact(job(spec, dict(params)))


def solution(spec: str, **params: float) -> ExactSolution:
    """The exact solution of a game."""
    return _solution(spec, tuple(sorted(params.items())))
