"""A best response by counts of what each choice leads to, where what deviators see is one of few
views.

In every situation that deviators meet all their choices are tried, with the same draws of the game
and of all others (common random numbers, Glasserman 2003, Monte Carlo Methods in Financial
Engineering, 4.2): members of weight 0 move nobody, so that nothing else changes. Values follow
backwards in time from the counts (certainty equivalence), of a view v at a time t:
q_t(v, a) = mean of what a was paid + discount * mean over what it led to of max_a' q_{t+1}(v', a').
Choices differ by what they lead to and not by the luck of who made them, which near an equilibrium
is far more than what there is to gain. The network has only to do what is best at each view; fitted
to values itself, as in `replayed.py`, it spends its weights on how much views differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.behaviours import Scene
from mfdsl.runtime.learning.answers import Answer, Budget, Deviating
from mfdsl.runtime.learning.branching import Branching
from mfdsl.runtime.learning.deviators import Arena
from mfdsl.runtime.learning.engine import Turn
from mfdsl.runtime.learning.eyes import View
from mfdsl.runtime.learning.heads import Drawn
from mfdsl.runtime.learning.replayed import index_of, tried
from mfdsl.runtime.learning.sight import model_of

OFTEN = 20  # visits of each view that are enough, in the mean
MOST = 20_000_000  # pairs of a choice at a view and what it leads to, of all times
STEPS, AGAIN = 2_000, 50  # of Adam at most, on all views together, and between looks at choices
MOSTLY = 0.9  # of the steps in which a deviator does what it is sure of
LEAST = 0.05  # weight of views at which nothing is gained
PARTS = 4


@dataclass(frozen=True, eq=False)
class Tally:
    """What choices did at each time, from views with numbers below V: how `often` each was tried,
    what it was `paid` in all, and how often it `led` to each view of the next time; which were
    `legal`, and what is seen there, `own` and in `common`.
    """

    often: Float[Tensor, "T V C"]
    paid: Float[Tensor, "T V C"]
    led: Float[Tensor, "T V*C*V"]
    own: Float[Tensor, "T V k"]
    common: Float[Tensor, "T V c"]


def following(arena: Arena) -> Arena:
    """The arena whose deviators see no means of the crowd that their own place and the time tell.

    Without majors and environments a law is the same function of time in all games, but for the
    noise of N agents. What a player sees of it then follows from the time and from all its own
    values, if it sees those. An answer that leaves it out gains what can be gained in the limit,
    and is an answer in any case.
    """
    sight, model = arena.sight, model_of(arena.program)
    player = model.player(sight.player)
    own = {v.name for v in (*player.states, *player.traits)}
    told = own <= {f.name for f in sight.own} and "t" in {f.name for f in sight.common}
    if not told or any(p.kind != "population" for p in model.players):
        return arena
    common = tuple(f for f in sight.common if f.name == "t")
    mine = tuple(f for f in sight.own if f.name in own)
    return replace(arena, sight=replace(sight, own=mine, common=common, points=(), crowds=()))


def few(arena: Arena, answer: Answer, budget: Budget) -> bool:
    """Whether deviators see one of few views: finite values of their own and the time, no laws."""
    sight, eyes = arena.sight, answer.eyes
    if arena.shadows is None or not eyes.finite or eyes.read:
        return False
    if any(feature.name != "t" for feature in sight.common):
        return False
    views = _views(arena)
    visits = budget.replays * arena.engine.batch * arena.count
    pairs = arena.engine.steps * views * answer.actor.head.choices * views
    return visits >= OFTEN * views and pairs <= MOST


def _views(arena: Arena) -> int:
    return prod(feature.type.size for feature in arena.sight.own)


def _number(arena: Arena, scene: Scene) -> Int[Tensor, "B K"]:
    """The number of what each deviator sees of itself."""
    seen = arena.seen(scene)
    found = torch.zeros((), dtype=torch.int64, device=scene.time.device)
    for feature in arena.sight.own:
        place = seen[feature.name].long() - feature.type.first
        found = found * feature.type.size + place
    return found


def tallied(deviating: Deviating, budget: Budget, first: int) -> Iterator[Answer]:
    """Let the answer do what is best by the counts of a quarter of the episodes from number `first`
    on, of a half, and so on; given out after each.
    """
    tally, arena = nothing(deviating), deviating.arena
    assert arena.shadows is not None
    branches = Branching(arena.shadows, deviating.answer.actor.head.choices)
    for part in range(PARTS):
        last = budget.replays * (part + 1) // PARTS
        for episode in range(budget.replays * part // PARTS, last):
            count(tally, deviating, branches, first + episode, answered=part > 0)
        do_best(deviating.answer, tally, arena.engine.discount, budget)
        yield deviating.answer


def nothing(deviating: Deviating) -> Tally:
    """Before anything was tried."""
    arena, answer = deviating.arena, deviating.answer
    unit = arena.simulator.params.unit.new_zeros((), dtype=torch.float64)
    steps, views, choices = arena.engine.steps, _views(arena), answer.actor.head.choices
    own, common, _ = answer.eyes.widths
    return Tally(
        unit.new_zeros(steps, views, choices),
        unit.new_zeros(steps, views, choices),
        unit.new_zeros(steps, views * choices * views, dtype=torch.float32),
        unit.new_zeros(steps, views, own),
        unit.new_zeros(steps, views, common),
    )


@torch.no_grad()
def count(
    tally: Tally, deviating: Deviating, branches: Branching, episode: int, *, answered: bool = False
) -> None:
    """Add what all choices do in one episode of each game. Deviators go on as those of
    `replayed.py` do; where there is an answer that was found so far, as `_ways` says.
    """
    arena, head = deviating.arena, deviating.answer.actor.head
    engine, params = replace(arena.engine, simulator=branches), branches.params
    wide = replace(arena, engine=engine, count=branches.shadows)
    views, choices = _views(arena), head.choices
    choice = torch.arange(choices, device=params.unit.device)[:, None]
    scene = branches.scene(0, branches.reset(episode))
    for t in range(engine.steps):
        number = episode * (engine.steps + 1) + t
        usual, mask, here = arena.followed(scene, number), arena.mask(scene), _number(arena, scene)
        _see(tally, t, here, deviating.answer.view(arena, scene))
        part = [value[:, : arena.count] for value in getattr(usual, arena.sight.field)]
        own = index_of(head, part)
        index = tried(deviating, scene, number, mask, own)
        if answered:
            index = _ways(deviating, scene, number, mask, index, own)
        legal = torch.ones_like(here, dtype=torch.bool)[:, None].expand(-1, choices, -1)
        legal = legal if mask is None else mask.movedim(-1, 1)
        every = torch.where(legal, choice, index[:, None])
        action = wide.acted(usual, head.values(Drawn(None, every.flatten(1)), params.unit))
        noise = branches.noise(number)
        state, rewards = branches.program.module.step(
            params, scene.time, scene.state, action, noise
        )
        state = branches.whole(state)
        after = replace(scene, t=t + 1, time=branches.time(t + 1), state=state)
        paid = wide.paid(rewards)
        if t + 1 == engine.steps and (last := engine.paid(Turn(after))) is not None:
            paid = paid + engine.discount * wide.paid(last)
        place = (here[:, None] * choices + choice)[legal]
        tally.often[t] += torch.bincount(place, minlength=views * choices).view(views, -1)
        tally.paid[t].view(-1).index_add_(0, place, paid.view(legal.shape)[legal].double())
        to = place * views + _number(wide, after).view(legal.shape)[legal]
        tally.led[t] += torch.bincount(to, minlength=views * choices * views)
        scene = replace(after, state=branches.gone_on(state, index))


def _ways(
    deviating: Deviating,
    scene: Scene,
    number: int,
    mask: Tensor | None,
    half: Int[Tensor, "B K"],
    own: Int[Tensor, "B K"],
) -> Int[Tensor, "B K"]:
    """Which way deviators go on: a third of them as `half`, a third mostly as the policy does, and
    a third mostly as the answer does that was found so far, which leads to where it must be known.
    """
    best = deviating.answer.law(deviating.answer.view(deviating.arena, scene), mask).mode().index
    assert best is not None
    third = torch.arange(own.shape[1], device=own.device) % 3
    sure = torch.where(third == 1, own, best)
    mostly = tried(deviating, scene, number, mask, sure, often=MOSTLY)
    return torch.where(third == 0, half, mostly)


def _see(tally: Tally, t: int, here: Int[Tensor, "B K"], view: View) -> None:
    assert view.own is not None
    tally.own[t, here] = view.own.to(tally.own)
    tally.common[t, here] = view.common[:, None].expand(*here.shape, -1).to(tally.common)


def values_of(tally: Tally, discount: float) -> Float[Tensor, "T V C"]:
    """Values of the choices, -inf where one was never tried; what was led to and never met is worth
    as little as anything that was.
    """
    steps, views, choices = tally.often.shape
    found = torch.empty_like(tally.paid)
    ahead = tally.paid.new_zeros(views)
    for t in reversed(range(steps)):
        led = tally.led[t].view(views * choices, views).to(ahead) @ ahead
        total = tally.paid[t] + discount * led.view(views, choices)
        met = tally.often[t] > 0
        found[t] = torch.where(met, total / tally.often[t].clamp(min=1), -torch.inf)
        best = found[t].amax(-1)
        some = met.any(-1)
        ahead = torch.where(some, best, best[some].amin())
    return found


def do_best(answer: Answer, tally: Tally, discount: float, budget: Budget) -> None:
    """Fit laws of actions to the best choice at each view, by how much is at stake there."""
    q = values_of(tally, discount).flatten(0, 1)
    legal = q.isfinite()
    some = legal.any(-1)
    q, legal = q[some], legal[some]
    unit = next(answer.parameters())
    own, common = (part.flatten(0, 1)[some].to(unit) for part in (tally.own, tally.common))
    rows = View(own[:, None], common, (), ())
    best, most = q.argmax(-1), q.amax(-1)
    stake = most - torch.where(legal, q, torch.inf).amin(-1)
    weight = (stake / stake.mean().clamp(min=1e-12) + LEAST).to(unit)
    optimizer = torch.optim.Adam(answer.parameters(), budget.learning_rate)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = budget.learning_rate * (1 - 0.95 * step / STEPS)
        logits = cast(Tensor, answer.law(rows, legal[:, None]).logits)[:, 0]
        if step % AGAIN == 0 and bool((logits.argmax(-1) == best).all()):
            return
        logs = torch.log_softmax(logits, -1)
        loss = -(weight * logs.gather(-1, best[:, None])[:, 0]).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
