"""The control problem of a team as one decision process on laws, solved exactly.

A state is the law of the population, a decision a rule that all agents follow (Li et al. 2021,
arXiv:2105.08268, section 2.2; Motte and Pham 2022, arXiv:1912.07883). With N agents the laws are
the tallies over N and moves are exact; with infinitely many they are a grid on the simplex, between
whose points values are interpolated. Values are normalised: (1 - discount) times the sum.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mfdsl.runtime.finite_population.extension import kuhn
from mfdsl.runtime.finite_population.grid import grid_size, position, tallies
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views.tables import Tables, build_tables, flow_rewards, stage_kernel

MOST_ENTRIES = 1 << 26  # numbers of a table of transitions


@dataclass(frozen=True, eq=False)
class MeanFieldMDP:
    """Laws [L, S], decision rules [R, S, A], how laws move, and what the team is paid on average.

    `agents` is None in the limit of infinitely many.
    """

    laws: Float[Tensor, "laws states"] = field(repr=False)
    rules: Float[Tensor, "rules states actions"] = field(repr=False)
    transitions: Float[Tensor, "laws rules laws"] = field(repr=False)
    rewards: Float[Tensor, "laws rules"] = field(repr=False)
    discount: float
    agents: int | None


def decision_rules(legal: Bool[Tensor, "states actions"]) -> Float[Tensor, "rules states actions"]:
    """All deterministic rules of legal actions, the action of the last state the fastest."""
    choices = [row.nonzero()[:, 0].tolist() for row in legal]
    eye = torch.eye(legal.shape[1], dtype=torch.float64)
    return torch.stack([eye[list(rule)] for rule in product(*choices)])


def of_agents(
    program: Program,
    agents: int,
    *,
    params: Params | None = None,
    rules: Tensor | None = None,
) -> MeanFieldMDP:
    """The process of N agents who all follow one rule and move independently: exact.

    `rules` [R, S, A] are all deterministic ones unless given. Means over the population include
    oneself.

    Raises:
        ValueError: the game is not discounted, reads time, has several populations, allows an
            action of a rule nowhere or is too large; a rule is random.
    """
    tables = _tables(program, params)
    rules = _rules(tables, rules)
    if not ((rules == 0) | (rules == 1)).all():
        raise ValueError("random rules make the shares of actions random: give deterministic ones")
    counts = tallies(agents, program.state_count)
    _check_size(len(counts), len(rules))
    laws = torch.from_numpy(counts / agents)
    moves, rewards = _steps(tables, laws, rules)
    transitions = torch.stack(
        [_tally_chances(row, m) for row, m in zip(counts.tolist(), moves, strict=True)]
    )
    return MeanFieldMDP(laws, rules, transitions, rewards, program.discount, agents)


def of_limit(
    program: Program,
    resolution: int,
    *,
    params: Params | None = None,
    rules: Tensor | None = None,
) -> MeanFieldMDP:
    """The process of infinitely many agents on the laws with shares in multiples of 1 / resolution.

    Laws move without chance; between the points of the grid values are linear on the simplices of
    Freudenthal's triangulation, which costs O(1 / resolution) where values are Lipschitz. Random
    rules may be given.

    Raises:
        ValueError: as `of_agents`, except for random rules.
    """
    tables = _tables(program, params)
    rules = _rules(tables, rules)
    states = program.state_count
    count = grid_size(resolution, states)
    _check_size(count, len(rules))
    laws = torch.from_numpy(tallies(resolution, states) / resolution)
    moves, rewards = _steps(tables, laws, rules)
    after = torch.einsum("ls,lrst->lrt", laws, moves)
    corners = kuhn(np.eye(count), resolution, after.reshape(-1, states).numpy())
    transitions = torch.from_numpy(corners).reshape(count, len(rules), count)
    return MeanFieldMDP(laws, rules, transitions, rewards, program.discount, None)


def action_values(mdp: MeanFieldMDP, values: Tensor) -> Float[Tensor, "laws rules"]:
    """Q [..., L, R] of values [..., L] of what follows."""
    ahead = torch.einsum("lrm,...m->...lr", mdp.transitions, values)
    return (1 - mdp.discount) * mdp.rewards + mdp.discount * ahead


def policy_values(mdp: MeanFieldMDP, policy: Tensor) -> Float[Tensor, " laws"]:
    """V [..., L] of a policy with probabilities [..., L, R] of the rules, by a linear solve."""
    moves = torch.einsum("...lr,lrm->...lm", policy, mdp.transitions)
    paid = (1 - mdp.discount) * (policy * mdp.rewards).sum(-1)
    eye = torch.eye(len(mdp.laws), dtype=moves.dtype)
    found: Tensor = torch.linalg.solve(eye - mdp.discount * moves, paid)
    return found


def optimal_values(mdp: MeanFieldMDP) -> Float[Tensor, " laws"]:
    """V* [L], by policy iteration."""
    best = mdp.rewards.argmax(-1)
    while True:
        values = policy_values(mdp, _deterministic(best, len(mdp.rules)))
        q = action_values(mdp, values)
        now = q.gather(-1, best[:, None])[:, 0]
        better = q.max(-1)
        change = better.values > now + 1e-14
        if not change.any():
            return values
        best = torch.where(change, better.indices, best)


def uniform_policy(mdp: MeanFieldMDP) -> Float[Tensor, "laws rules"]:
    """Every rule with the same probability."""
    return torch.full_like(mdp.rewards, 1 / mdp.rewards.shape[1])


def _deterministic(rule: Tensor, rules: int) -> Tensor:
    return torch.nn.functional.one_hot(rule, rules).double()


def _tables(program: Program, params: Params | None) -> Tables:
    """Tables of one stage.

    Raises:
        ValueError: the game is not one of the kind that `of_agents` names.
    """
    params = program.params() if params is None else params
    module = program.module
    read = module.SUCCESSORS_READ | module.WEIGHTS_READ | module.REWARDS_READ | module.LEGAL_READ
    if program.kind == "finite" or "time" in read:
        raise ValueError(f"{program.name} depends on time: values on laws need a discounted game")
    if len(program.populations) != 1 or program.batch_of(params) != 1:
        raise ValueError(f"{program.name} needs one population and one set of parameters")
    return build_tables(program, params, 1)


def _rules(tables: Tables, rules: Tensor | None) -> Tensor:
    program = tables.program
    legal = torch.ones(program.state_count, program.action_count, dtype=torch.bool)
    if tables.legal is not None:
        legal = tables.legal[0, :, :, 0].t()
    if rules is None:
        return decision_rules(legal)
    if (rules * ~legal).any():
        raise ValueError("a rule takes an action that is not legal there")
    return rules.to(torch.float64)


def _check_size(laws: int, rules: int) -> None:
    if laws * laws * rules > MOST_ENTRIES:
        raise ValueError(f"{laws} laws and {rules} rules make too large a table")


def _steps(tables: Tables, laws: Tensor, rules: Tensor) -> tuple[Tensor, Tensor]:
    """How an agent in each state moves [L, R, S, S], and what the team is paid [L, R]."""
    count, kinds = len(laws), len(rules)
    chosen = rules.permute(2, 1, 0)[:, :, None].expand(-1, -1, count, -1)  # [A, S, L, R]
    actions, states = chosen.shape[:2]
    mass = (laws.t()[None, :, :, None] * chosen).reshape(actions, states, -1)
    kernel = tables.kernel
    if kernel is None:
        joint = tables.public_joint(mass[None].contiguous())[0]
        kernel = stage_kernel(tables, tables.times(1)[0], joint)
    moves = mass.new_empty(states, states, count * kinds)
    for state in range(states):
        alone = torch.zeros_like(mass)
        alone[:, state] = chosen.reshape(actions, states, -1)[:, state]
        kernel.push(alone.reshape(actions * states, -1), moves[state])
    paid = tables.rewards
    if paid is None:
        paid = flow_rewards(tables, mass[None].contiguous())
    rewards = (mass * paid[0]).sum((0, 1)).reshape(count, kinds)
    return moves.reshape(states, states, count, kinds).permute(2, 3, 0, 1), rewards


def _tally_chances(counts: Sequence[int], moves: Tensor) -> Tensor:
    """Chances [R, L] of each tally after `counts` agents moved by `moves` [R, S, S].

    Agents of one state arrive as a multinomial; states are added up one by one.
    """
    states = len(counts)
    chances, reached = moves.new_ones(len(moves), 1), np.zeros((1, states), dtype=np.int64)
    for state, count in enumerate(counts):
        arrivals = tallies(count, states)
        part = _multinomial(arrivals, moves[:, state])
        both = (reached[:, None] + arrivals).reshape(-1, states)
        reached = tallies(int(both[0].sum()), states)
        weight = (chances[:, :, None] * part[:, None]).flatten(1)
        place = torch.from_numpy(position(both))
        chances = weight.new_zeros(len(moves), len(reached)).index_add_(1, place, weight)
    return chances


def _multinomial(counts: np.ndarray, chances: Tensor) -> Tensor:
    """Chances [R, K] of count vectors [K, S] with probabilities [R, S]."""
    rows = torch.from_numpy(counts).to(chances.dtype)
    ways = torch.lgamma(rows.sum(-1) + 1) - torch.lgamma(rows + 1).sum(-1)
    powers = torch.pow(chances[:, None], rows).prod(-1)
    return ways.exp() * powers
