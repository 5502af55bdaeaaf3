"""Games whose emitted modules were edited before they were loaded: bugs for checks to find."""

from collections.abc import Callable

from mfdsl.game import Game, load
from mfdsl.runtime.agents import load_agents
from mfdsl.runtime.program import load_program

SIS = """\
model small_sis
objective nash
horizon 6
enum Health { S, I }
enum Plan { out, home }
param beta : real in [0, 1] = 0.8
population person as mu {
  state  h : Health ~ mix { 0.4 -> I, else -> S }
  action a : Plan
  let exposure = prob(q.h == I and q.a == out for q in person)
  h' ~ match h {
    S -> if a == home then S else mix { beta * exposure -> I, else -> S },
    I -> mix { 0.3 -> S, else -> I }
  }
  cost infected = ind(h == I)
  cost home     = 0.5 * ind(a == home)
  agents 100
}
"""

WALK = """\
model walkers
objective nash
horizon 5
environment wind {
  state  z : real in [-1, 1] = 0
  noise  e : real ~ uniform([-0.5, 0.5])
  z' = clip(0.5 * z + e)
}
population walker as mu {
  state  x : real in [-1, 1] ~ uniform
  action u : real in [-0.5, 0.5]
  x' = clip(x + 0.1 * u + 0.1 * wind.z)
  reward near = -abs(x - mean(q.x for q in walker))
  agents 50
}
"""


def with_agents(text: str, edit: Callable[[str], str]) -> Game:
    """A game whose simulator was edited; the edit must change it."""
    game = load(text=text)
    before = game.emit("agents")
    after = edit(before)
    assert after != before
    game.__dict__["agents"] = load_agents(after, game.model, game.name)
    return game


def with_tables(text: str, edit: Callable[[str], str]) -> Game:
    """A game whose tables were edited; the edit must change them."""
    game = load(text=text)
    before = game.emit("torch")
    after = edit(before)
    assert after != before
    game.__dict__["program"] = load_program(after, game.model, game.name)
    return game
