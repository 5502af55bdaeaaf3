"""Bounds for policies of programs: against arrays, and against N agents of the same program."""

import numpy as np
import pytest
import torch

import mfdsl
from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.finite_population.constants import anchored_slopes
from mfdsl.runtime.finite_population.extension import grid_laws
from mfdsl.runtime.finite_population.of_policy import (
    along,
    certify,
    certify_types,
    policy_constants,
)
from mfdsl.runtime.finite_population.slopes import Slopes, affine_program_slopes
from mfdsl.runtime.finite_population.theorem_b import TypedGame, typed_flow, typed_gains
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.program import Program, load_program
from mfdsl.runtime.views.finite import FiniteView
from tests.runtime import oracle as programs
from tests.runtime.finite_population import oracle

TYPED_SIS = """
model typed_sis

param T : int in 1..50 = 6

objective nash
horizon T

population person as mu {
  state  kind : int in 0..2 ~ mix { 0.5 -> 0, 0.3 -> 1, else -> 2 }
  state  sick : int in 0..1 ~ mix { 0.4 -> 1, else -> 0 }
  action home : bool

  let exposure = prob(q.sick == 1 for q in person)
  let rate     = 0.5 + 0.2 * kind

  kind' = kind
  sick' ~ match sick {
    0 -> if home then 0 else mix { rate * exposure -> 1, else -> 0 },
    1 -> mix { 0.2 + 0.1 * kind -> 0, else -> 1 }
  }

  cost illness   = (1 + 0.2 * kind) * sick
  cost isolation = 0.4 * ind(home)

  observe kind, sick, t
}
"""

TWO_KINDS = """
model two_kinds

param T : int in 1..50 = 2

enum Kind { cat, mouse }
param taste : real[Kind, Kind] in [-1, 1] = [[-0.1, 0.2], [-0.2, 0.1]]

objective nash
horizon T

population animal[k in Kind] as mu {
  state  x : int in 0..1 ~ mix { 0.3 -> 1, else -> 0 }
  action a : bool

  x' ~ if a then mix { 0.1 -> 1 - x, else -> x } else uniform

  reward meet = sum(taste[k, j] * prob(q.x == x for q in animal[j]) for j in Kind)
  reward rest = 0.1 * ind(a)

  observe x, t
}
"""


def view_of(program: Program) -> FiniteView:
    return FiniteView.build(program)


def random_policy(view: FiniteView, seed: int) -> TabularPolicy:
    uniform = view.uniform().probs
    generator = torch.Generator().manual_seed(seed)
    weights = uniform * torch.rand(uniform.shape, generator=generator, dtype=uniform.dtype) ** 2
    return view.policy(weights / weights.sum(-1, keepdim=True))


def agents_of(view: FiniteView, starts: np.ndarray) -> tuple[list[oracle.Game], np.ndarray]:
    """The game of N agents of a program who see the law of everyone, one for each step.

    `starts` [agents, states]. Illegal actions cost more than everything else.
    """
    program = view.program
    players, states = starts.shape
    actions = program.action_count
    full = oracle.everybody(players, states * actions)
    laws = torch.from_numpy(oracle.empirical(full, states * actions))
    public = laws.reshape(len(full), *program.states.values(), *program.actions.values())
    by_state = laws.reshape(len(full), states, actions).sum(-1)
    rows = np.arange(len(full))
    games = []
    for t in range(view.stages + program.module.HAS_FINAL):
        time = torch.tensor(t)
        if t < view.stages:
            kernel = program.module.kernel(view.tables.params, time, public)
            kernel = kernel.reshape(-1, states * actions, states)
            reward = program.module.rewards(view.tables.params, time, public)
            reward = reward.reshape(-1, states * actions).clone()
            if program.module.MASKED:
                legal = program.module.legal(view.tables.params, time).reshape(1, -1)
                reward = reward.masked_fill(~legal, -100.0)
        else:
            kernel = torch.eye(states, dtype=torch.float64).repeat_interleave(actions, 0)[None]
            last = by_state.reshape(len(full), *program.states.values())
            reward = program.module.final_rewards(view.tables.params, time, last)
            reward = reward.reshape(-1, states).repeat_interleave(actions, -1)
        moves = kernel.expand(len(full), -1, -1).numpy()
        gifts = reward.expand(len(full), -1).numpy()
        games.append(
            oracle.Game(
                players,
                states,
                actions,
                view.stages + program.module.HAS_FINAL,
                starts,
                np.stack([moves[rows, full[:, i]] for i in range(players)])[None],
                np.stack([gifts[rows, full[:, i]] for i in range(players)])[None],
                np.ones((1, 1, len(full), 1)),
                np.zeros((1, 1, len(full))),
                np.ones((view.stages + 1, 1, 1)),
            )
        )
    return games, full


def exact_gains(view: FiniteView, policy: TabularPolicy, starts: np.ndarray) -> np.ndarray:
    games, _ = agents_of(view, starts)
    table = policy.probs[0].numpy()
    if view.program.module.HAS_FINAL:
        table = np.concatenate(
            [table, np.eye(table.shape[-1])[np.zeros_like(table[:1, :, 0], int)]]
        )
    found = [oracle.solve(games[0], table[:, None], i, stages=games) for i in range(len(starts))]
    return np.array([best - own[i] for i, (best, own, _) in enumerate(found)])


def initial(view: FiniteView) -> np.ndarray:
    return view.tables.initial[:, 0].numpy()


def enumerated_slopes(view: FiniteView, policy: TabularPolicy, agents: int) -> Slopes:
    """Slopes between the flow and all laws that so many agents can have."""
    program, game = view.program, along(view, policy)
    states, actions = program.state_count, program.action_count
    points = grid_laws(agents, states * actions)
    shape = tuple(program.states.values()), tuple(program.actions.values())
    laws = torch.from_numpy(points)
    joint = laws.reshape(len(points), *shape[0], *shape[1])
    kernel, reward = [], []
    for t in range(view.stages):
        time = torch.tensor(t)
        moves = program.module.kernel(view.tables.params, time, joint)
        moves = moves.expand(len(points), *moves.shape[1:]).reshape(-1, states, actions, states)
        gifts = program.module.rewards(view.tables.params, time, joint)
        gifts = gifts.expand(len(points), *gifts.shape[1:]).reshape(-1, states, actions, 1)
        law = game.joint[t].reshape(-1)
        kernel.append(anchored_slopes(moves.numpy(), points, game.kernels[t], law))
        reward.append(anchored_slopes(gifts.numpy(), points, game.rewards[t, ..., None], law))
    final = np.zeros((states, 1))
    if program.module.HAS_FINAL:
        by_state = laws.reshape(len(points), states, actions).sum(-1).reshape(-1, *shape[0])
        gifts = program.module.final_rewards(view.tables.params, torch.tensor(t + 1), by_state)
        here = game.rewards[-1, :, :1]
        coarse = by_state.reshape(len(points), states).numpy()
        law = game.joint[-1].sum(-1)
        final = anchored_slopes(gifts.reshape(-1, states, 1).numpy(), coarse, here, law)[:, None]
    return Slopes(np.stack(kernel)[..., None], np.stack(reward)[..., None], final)


@pytest.mark.parametrize(
    ("name", "changes", "reward_range"),
    [
        ("left_right", {}, 20.0),
        ("beach_bar", {"HORIZON": "2"}, 200.0),
        ("susceptible_infected", {"HORIZON": "3"}, 20.0),
        ("masked_queue", {"HORIZON": "2"}, 200.0),
    ],
)
def test_agents_of_a_program_gain_no_more_than_their_bound(
    name: str, changes: dict[str, str], reward_range: float
) -> None:
    view = view_of(programs.load(name, **changes))
    for seed in range(2):
        policy = random_policy(view, seed)
        slopes = enumerated_slopes(view, policy, 3)
        bound = certify(view, policy, slopes, 3, reward_range)
        gains = exact_gains(view, policy, np.tile(initial(view), (3, 1)))
        assert (gains <= bound.epsilon + 1e-9).all()
        assert not bound.vacuous.any()


def test_affine_programs_have_exact_slopes() -> None:
    view = view_of(programs.load("susceptible_infected", HORIZON="3"))
    slopes = affine_program_slopes(view)
    policy = random_policy(view, 5)
    assert (enumerated_slopes(view, policy, 3).kernel <= slopes.kernel + 1e-12).all()
    game = along(view, policy)
    constants = policy_constants(game, slopes)
    # A mass m of infected infects with probability 0.81 m: per unit of l1 half of 2 * 0.81.
    assert slopes.kernel.max() == pytest.approx(0.81)
    assert constants.own_slope == pytest.approx(0.81)
    assert constants.reward_slope == pytest.approx(0.0)
    sick = game.joint.sum(-1)[:, 1]
    assert constants.spread[0, :, 0] == pytest.approx(2 * np.sqrt(sick * (1 - sick)))
    assert slopes.groups is not None
    assert slopes.groups.tolist() == [[0, 0], [1, 1]]
    with pytest.raises(ValueError, match="not affine"):
        affine_program_slopes(view_of(programs.load("beach_bar")))


def test_the_statistic_says_the_same_as_the_law_of_two_states() -> None:
    view = view_of(programs.load("susceptible_infected", HORIZON="5"))
    policy = random_policy(view, 1)
    by_law = affine_program_slopes(view)
    sick = np.array([[[0.0, 0.0], [1.0, 1.0]]])
    by_mean = Slopes(2 * by_law.kernel, 2 * by_law.reward, np.zeros(()), statistics=sick)
    for players in (3, 100, 10_000):
        one = certify(view, policy, by_law, players, 2.0)
        two = certify(view, policy, by_mean, players, 2.0)
        assert two.epsilon == pytest.approx(one.epsilon)


def test_types_of_a_program_are_those_of_the_arrays() -> None:
    program = mfdsl.load(text=TYPED_SIS).program
    view = view_of(program)
    assert list(program.states) == ["kind", "sick"]
    probs = random_policy(view, 3).probs.reshape(6, 3, 2, 2)[:, :1].expand(6, 3, 2, 2)
    policy = view.policy(probs.reshape(1, 6, 6, 2))
    table = probs[:, 0].numpy()
    kinds = np.arange(3)

    def kernel(h: int, joint: np.ndarray) -> np.ndarray:
        found = np.zeros((3, 2, 2, 2))
        found[:, 0, 0, 1] = (0.5 + 0.2 * kinds) * joint[1].sum()
        found[:, 1, :, 1] = 1 - (0.2 + 0.1 * kinds)[:, None]
        found[..., 0] = 1 - found[..., 1]
        return found

    def reward(h: int, joint: np.ndarray) -> np.ndarray:
        sick, home = np.ogrid[:2, :2]
        return -(1 + 0.2 * kinds)[:, None, None] * sick - 0.4 * home

    shares = np.array([0.5, 0.3, 0.2])
    game = TypedGame(6, np.tile([0.6, 0.4], (3, 1)), shares, kernel, reward)
    flow = typed_flow(game, table)
    gains = typed_gains(game, flow, table)
    bound = certify_types(view, policy, ["kind"], affine_program_slopes(view), 1000, 1.8)
    assert bound.terms["type incentive"] == pytest.approx(gains, abs=1e-12)
    assert gains.std() > 0.01
    # The population sees only who is sick: two groups, and the spread of the mean law.
    sick = flow.joint.sum(-1)[:, 1]
    noise = 2 * np.sqrt(sick * (1 - sick)) / np.sqrt(999)
    first = bound.deviations.crowd[:, 0]
    assert first == pytest.approx(noise[0])


def test_types_that_nobody_has_are_left_out() -> None:
    text = TYPED_SIS.replace("0.3 -> 1, else -> 2", "0.5 -> 1, else -> 2")
    view = view_of(mfdsl.load(text=text).program)
    slopes = affine_program_slopes(view)
    assert len(certify_types(view, view.uniform(), ["kind"], slopes, 100, 1.8).epsilon) == 2


def test_the_last_law_is_a_step_where_a_final_reward_is() -> None:
    view = view_of(programs.load("masked_queue", HORIZON="2"))
    game = along(view, policy := random_policy(view, 0))
    assert len(game.joint) == 3 and game.stages == 2
    assert game.joint[2].sum(-1) == pytest.approx(view.laws(policy)[0, 2].numpy())
    problem = view.flow(policy).problem
    assert problem is not None and problem.final is not None
    assert game.rewards[2, :, 0] == pytest.approx(problem.final[:, 0].numpy())


def test_a_variable_that_changes_is_no_type() -> None:
    view = view_of(mfdsl.load(text=TYPED_SIS).program)
    slopes = affine_program_slopes(view)
    with pytest.raises(ValueError, match="changes during play"):
        certify_types(view, view.uniform(), ["sick"], slopes, 10, 1.8)
    with pytest.raises(ValueError, match="name state variables"):
        certify_types(view, view.uniform(), ["age"], slopes, 10, 1.8)


def test_several_populations() -> None:
    program = mfdsl.load(text=TWO_KINDS).program
    view = view_of(program)
    assert program.populations == ("animal[cat]", "animal[mouse]")
    slopes = affine_program_slopes(view)
    start = initial(view).reshape(2, -1)
    starts = np.zeros((4, program.state_count))
    for agent, kind in enumerate((0, 0, 1, 1)):
        starts[agent].reshape(2, -1)[kind] = 2 * start[kind]
    for seed in range(2):
        policy = random_policy(view, seed)
        bound = certify(view, policy, slopes, dict.fromkeys(program.populations, 2), 1.0)
        gains = exact_gains(view, policy, starts)
        terms = np.sum(list(bound.terms.values()), axis=0)
        assert (gains.reshape(2, 2) <= terms[:, None] + 1e-9).all()
        gaps = Evaluation(view, policy).exploitability.per_population
        assert bound.terms["solver gap"] == pytest.approx(list(gaps.values()))
    many = certify(view, policy, slopes, dict.fromkeys(program.populations, 10**8), 1.0)
    assert many.epsilon == pytest.approx(many.terms["solver gap"], abs=1e-2)
    with pytest.raises(ValueError, match="players of each"):
        certify(view, policy, slopes, 4, 1.0)


def test_a_horizon_without_end_is_cut() -> None:
    text = programs.MODULES.joinpath("susceptible_infected.py").read_text()
    text = text.replace('HORIZON_KIND = "finite"', 'HORIZON_KIND = "infinite"')
    text = text.replace("HORIZON = 51", "HORIZON = None").replace(
        "DISCOUNT = 1.0", "DISCOUNT = 0.5"
    )
    view = view_of(load_program(text, name="endless"))
    bound = certify(view, view.uniform(), affine_program_slopes(view), 1000, 2.0)
    assert bound.cap == pytest.approx(4.0)
    gap = float(view.exploitability(view.uniform())[0])
    assert bound.terms["solver gap"] == pytest.approx(gap, abs=1e-7)
    assert gap < bound.epsilon[0] < 4.0


def test_a_range_of_rewards_that_is_too_small_is_refused() -> None:
    view = view_of(mfdsl.load(text=TYPED_SIS).program)
    slopes = affine_program_slopes(view)
    with pytest.raises(ValueError, match="more than the range"):
        certify(view, view.uniform(), slopes, 100, 1.0)
    with pytest.raises(ValueError, match="more than the range"):
        certify_types(view, view.uniform(), ["kind"], slopes, 100, 1.0)


def test_batches_are_refused() -> None:
    view = view_of(programs.load("left_right"))
    policy = view.policy(view.uniform().probs.expand(2, -1, -1, -1))
    with pytest.raises(ValueError, match="batch"):
        along(view, policy)
