"""Successive averages against a slow statement of them, and a game whose costs jump."""

from itertools import pairwise

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.runtime.evaluate import Evaluation, build_view
from mfdsl.runtime.solvers.base import make_solver
from mfdsl.runtime.solvers.loop import solve
from tests.runtime import oracle
from tests.runtime.solvers.games import gaps, program, run

# Queues of whole cars: the wait in a lane is a number of steps, so costs jump in the law.
LANES = """
model lanes
objective nash
horizon 4
population car as mu {
  state  x : int in 0..4 = 0
  state  home : bool ~ mix { 0.4 -> true, else -> false }
  action a : int in 1..4
  x' = a
  home' = home
  cost wait = floor(11.7 * mu[x = x]) / 12 + 0.05 * x + 0.2 * ind(home and x > 2)
  agents 1000
}
"""


class Slow:
    """The algorithm state by state, for one game."""

    def __init__(self, game: oracle.Game, sizes: tuple[int, ...], discount: float) -> None:
        self.game, self.sizes, self.discount = game, sizes, discount
        self.states = list(np.ndindex(*sizes))
        self.steps: dict[tuple, float] = {}

    def aim(self, policy: np.ndarray, favourite: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        joints, last = oracle.flow(self.game, policy)
        q = oracle.q_values(self.game, joints, last, None, self.discount)
        target, losses = policy.copy(), np.zeros(policy.shape[:2])
        turned = np.zeros(policy.shape[:2])
        for t, s in np.ndindex(*policy.shape[:2]):
            good = q[t, s] >= q[t, s].max() - 1e-12
            if not good[favourite[t, s]]:
                favourite[t, s], turned[t, s] = q[t, s].argmax(), 1
            for a in np.flatnonzero(~good & (policy[t, s] > 0)):
                mass = joints[t][s, a] * self.discount**t
                losses[t, s] += mass * (q[t, s].max() - q[t, s, a])
                target[t, s, favourite[t, s]] += policy[t, s, a]
                target[t, s, a] = 0
        return target, losses, turned

    def blocks(self, stages: int) -> list[tuple]:
        """(stage, axis, value): axis -1 for the stage, None for one state."""
        wide = [i for i, n in enumerate(self.sizes) if n > 1]
        axes = wide if len(wide) > 1 else []
        found: list[tuple] = [(t, -1, 0) for t in range(stages)]
        for axis in axes:
            found += [(t, axis, v) for t in range(stages) for v in range(self.sizes[axis])]
        return found + [(t, None, s) for t in range(stages) for s in range(len(self.states))]

    def inside(self, block: tuple) -> list[int]:
        _, axis, value = block
        if axis is None:
            return [value]
        return [s for s, at in enumerate(self.states) if axis == -1 or at[axis] == value]

    def gain(self, block: tuple, losses: np.ndarray) -> float:
        """What the block loses, 0 where a larger one loses no more."""
        stage, axis, value = block
        own = losses[stage, self.inside(block)].sum()
        larger = [] if axis == -1 else [(stage, -1, 0)]
        if axis is None and len([n for n in self.sizes if n > 1]) > 1:
            at = self.states[value]
            larger += [(stage, i, at[i]) for i, n in enumerate(self.sizes) if n > 1]
        around = [losses[stage, self.inside(b)].sum() for b in larger]
        return 0.0 if any(own >= (1 - 1e-9) * other for other in around) else own

    def run(self, iterations: int, damping: float, patience: int) -> list[float]:
        policy = oracle.uniform(self.game)
        favourite = np.zeros(policy.shape[:2], dtype=int)
        turns = np.zeros(policy.shape[:2])
        least, waited, block = np.inf, 0, None
        rates = dict.fromkeys(self.blocks(len(policy)), 0.5)
        found = []
        for k in range(iterations + 1):
            gap = oracle.exploitability(self.game, policy, self.discount)
            found.append(gap)
            better = gap < least
            if block is None:
                waited = 0 if better else waited + 1
            else:
                rates[block] = min(1, rates[block] * (2 if better else 0.5))
            if better or (block is None and waited <= patience):
                target, losses, turned = self.aim(policy, favourite)
                turns += turned if k else 0
            if better:
                least, best = gap, (policy, target, losses)
            if block is None and waited <= patience:
                x = damping / (damping + 1 + turns)
                policy = policy + x[..., None] * (target - policy)
                continue
            old, ahead, losses = best
            block = max(rates, key=lambda b: self.gain(b, losses) * rates[b])
            policy = old.copy()
            for s in self.inside(block):
                t = block[0]
                policy[t, s] += rates[block] * (ahead[t, s] - old[t, s])
        return found


@pytest.mark.parametrize("patience", [0, 3, 100])
@pytest.mark.parametrize("name", ["ring", "masked_queue", "lanes"])
def test_iterates_are_those_of_the_algorithm(name: str, patience: int) -> None:
    if name == "lanes":
        played = mfdsl.load(text=LANES).program
    else:
        played = program(name) if name == "ring" else oracle.load(name)
    game = oracle.dense_game(played, played.params())
    slow = Slow(game, tuple(played.states.values()), played.discount)
    found = run(played, "successive_averages", 20, damping=2.0, patience=patience)
    expected = slow.run(20, damping=2.0, patience=patience)
    assert gaps(found) == pytest.approx(expected, rel=1e-6, abs=1e-12)
    if patience != 3:
        assert (found.state["block"] >= 0).all() == (patience == 0)


def test_losses_sum_to_the_exploitability() -> None:
    for played in (program("ring"), mfdsl.load("sis", params={"T": 6}).program):
        view, solver = build_view(played), make_solver("successive_averages", {"patience": 0})
        with torch.no_grad():
            state = solver.init(view)
            for _ in range(4):
                evaluation = Evaluation(view, view.policy(state.probs))
                state = solver.step(evaluation, state)
                stages = state.gains[0, : evaluation.policy.stages].sum()
                assert stages.item() == pytest.approx(state.gap.item(), rel=1e-9)


def test_the_best_policy_gets_better_block_by_block() -> None:
    found = run(mfdsl.load(text=LANES).program, "successive_averages", 120, patience=4)
    best = found.state["gap"].item()
    assert best == min(gaps(found)[:-1])
    lows = np.minimum.accumulate(gaps(found))
    assert lows[-1] < 0.5 * lows[6]
    assert all(after <= before for before, after in pairwise(lows))


def test_the_best_policy_is_returned_and_the_last_one_goes_on() -> None:
    """Some games of the batch end at their best iterate, others do not: each says which."""
    played = mfdsl.load(text=LANES).program
    straight = run(played, "successive_averages", 40, patience=4)
    seen, ended_elsewhere = gaps(straight), 0
    for count in range(8, 20):
        found = run(played, "successive_averages", count, patience=4)
        so_far = seen[: count + 1]
        best = int(np.argmin(so_far))
        assert found.exploitability.value == so_far[best]
        view = build_view(played)
        assert view.exploitability(found.policy).item() == pytest.approx(so_far[best], abs=1e-12)
        assert gaps(found)[-1] == so_far[-1] and found.iterations == count
        ended_elsewhere += best != count
        told = f"returned is iteration {best:,}, the best one scored"
        assert (told in found.message) == (best != count)
    assert 0 < ended_elsewhere < 12
    again = solve(
        played,
        None,
        "successive_averages",
        {"patience": 4},
        iterations=40,
        tolerance=0.0,
        state=found.state,
        history=found.history,
    )
    assert gaps(again) == seen
    assert all(torch.equal(again.state[name], straight.state[name]) for name in straight.state)
    assert torch.equal(again.policy.probs, straight.policy.probs)


def test_games_of_a_batch_return_their_own_best() -> None:
    played = mfdsl.load("sis", params={"T": 12}).program
    params = played.params({"mu0": [0.05, 0.3, 0.6, 0.9]})
    found = solve(played, params, "successive_averages", iterations=13, tolerance=0.0)
    told = [ending.message for ending in found.endings]
    for place, mu0 in enumerate((0.05, 0.3, 0.6, 0.9)):
        one = played.params({"mu0": mu0})
        alone = solve(played, one, "successive_averages", iterations=13, tolerance=0.0)
        least = min(gaps(alone))
        assert found.exploitability.per_game[place] == pytest.approx(least, abs=1e-12)
        assert told[place] == alone.message
        assert ("best one scored" in told[place]) == (least < gaps(alone)[-1])


def test_costs_that_jump_leave_less_than_to_fictitious_play() -> None:
    fine = LANES.replace("floor(11.7 * mu[x = x]) / 12", "floor(39.7 * mu[x = x]) / 40")
    played = mfdsl.load(text=fine).program
    start, *others = gaps(run(played, "fictitious_play", 300))
    found = gaps(run(played, "successive_averages", 300, damping=1.0))
    assert min(found) < 1e-3 * start < min(others)
