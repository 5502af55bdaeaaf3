"""Games of a population and a major on a grid of laws: exact dynamic programs, equilibria, control.

A law mu of the population lies on a grid of the simplex. At a common state c the major takes u and
every member at x takes a, from policies pi0(u | c, mu) and pi(a | x, c, mu); the next law is
mu' = sum over x, a of mu(x) pi(a | x, c, mu) P(. | x, a, c, u, mu), which falls on the grid: on its
neighbours by chance, so that means are kept (Kuhn 1960), or on the nearest point in l1. On the grid
all values are exact, and so are best responses of a member and of the major.

The model is that of major-minor mean-field games with common states (Cui, Dayanikli, Lauriere,
Geist, Pietquin and Koeppl 2024, arXiv 2312.10787), whose grids project to the nearest point.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.policy import greedy_probs
from mfdsl.runtime.solvers.simplex_places import nearest, neighbours

Projection = Literal["interpolate", "nearest"]
Method = Literal["fixed_point", "fictitious_play", "omd"]
MOST_RULES = 1 << 10


@dataclass(frozen=True, eq=False)
class GridGame:
    """C common states, U actions of the major, G laws, S states and A actions of members.

    `chances` are those of the next common state; `laws` are the points of the grid, tallies over
    `points`; `first_common` are the chances of common states at t = 0, `first_law` the laws there.
    """

    laws: Float[Tensor, "G S"] = field(repr=False)
    points: int
    moves: Float[Tensor, "C U G S A S"] = field(repr=False)
    rewards: Float[Tensor, "C U G S A"] = field(repr=False)
    paid: Float[Tensor, "C U G"] = field(repr=False)
    chances: Float[Tensor, "C U G C"] = field(repr=False)
    first_common: Float[Tensor, " C"] = field(repr=False)
    first_law: Float[Tensor, "C S"] = field(repr=False)
    stages: int
    discount: float
    projection: Projection = "interpolate"

    @property
    def sizes(self) -> tuple[int, int, int, int, int]:
        """C, U, G, S and A."""
        common, actions, laws, states, own, _ = self.moves.shape
        return common, actions, laws, states, own

    def placed(
        self, laws: Float[Tensor, "*many S"]
    ) -> tuple[Int[Tensor, "*many K"], Float[Tensor, "*many K"]]:
        """Points of the grid and their weights, for any laws."""
        place = neighbours if self.projection == "interpolate" else nearest
        return place(laws, self.points)

    @cached_property
    def start(self) -> Float[Tensor, "C G"]:
        """The probability of each common state and law at t = 0."""
        places, weights = self.placed(self.first_law)
        law = self.laws.new_zeros(len(places), len(self.laws)).scatter_add_(1, places, weights)
        return self.first_common[:, None] * law


@dataclass(frozen=True, eq=False)
class Policies:
    """What members and the major do at each stage, common state and law of the grid."""

    member: Float[Tensor, "T C G S A"]
    major: Float[Tensor, "T C G U"]


@dataclass(frozen=True, eq=False)
class Values:
    """Q of the policies, and of best responses to them, of a member and of the major."""

    member: Float[Tensor, "T C G S A"]
    best_member: Float[Tensor, "T C G S A"]
    major: Float[Tensor, "T C G U"]
    best_major: Float[Tensor, "T C G U"]


@dataclass(frozen=True)
class Score:
    """Values at the start, and what a member and the major gain by leaving their policies."""

    member: float
    major: float
    member_gain: float
    major_gain: float

    @property
    def exploitability(self) -> float:
        """The sum of both gains."""
        return self.member_gain + self.major_gain


@dataclass(frozen=True, eq=False)
class Found:
    """The policies of least exploitability, their score, and the exploitability of each iterate."""

    policies: Policies
    score: Score
    history: tuple[float, ...]


def uniform(game: GridGame) -> Policies:
    """Everybody takes all actions alike."""
    common, actions, laws, states, own = game.sizes
    member = game.laws.new_full((game.stages, common, laws, states, own), 1 / own)
    return Policies(member, game.laws.new_full((game.stages, common, laws, actions), 1 / actions))


def evaluate(game: GridGame, policies: Policies) -> tuple[Values, Score]:
    """Values of the policies and of best responses, by one sweep backwards."""
    member, major = policies.member, policies.major
    best_member, best_major = torch.empty_like(member), torch.empty_like(major)
    own_member, own_major = torch.empty_like(member), torch.empty_like(major)
    common, _, laws, states, _ = game.sizes
    zero, none = member.new_zeros(common, laws, states), member.new_zeros(common, laws, 1)
    values, best, paid, most = zero, zero, none, none
    for t in reversed(range(game.stages)):
        ahead = _onwards(game, member[t])
        chosen = major[t]
        own_member[t] = _of_a_member(game, chosen, ahead(values))
        best_member[t] = _of_a_member(game, chosen, ahead(best))
        own_major[t] = _of_the_major(game, ahead(paid))
        best_major[t] = _of_the_major(game, ahead(most))
        values = (member[t] * own_member[t]).sum(-1)
        best = best_member[t].amax(-1)
        paid = (chosen * own_major[t]).sum(-1, keepdim=True)
        most = best_major[t].amax(-1, keepdim=True)
    at_start = torch.einsum("cg,cgs,gs->", game.start, values, game.laws)
    leaving = torch.einsum("cg,cgs,gs->", game.start, best, game.laws)
    earned = (game.start * paid[..., 0]).sum()
    wanted = (game.start * most[..., 0]).sum()
    score = Score(float(at_start), float(earned), float(leaving - at_start), float(wanted - earned))
    return Values(own_member, best_member, own_major, best_major), score


def equilibrium(
    game: GridGame,
    method: Method = "omd",
    *,
    iterations: int = 100,
    tolerance: float = 1e-6,
    rate: float = 0.5,
    stop: Callable[[], bool] = lambda: False,
) -> Found:
    """Policies from which neither a member nor the major gains by leaving, as far as found.

    `fixed_point` takes best responses, `fictitious_play` averages them with weights 1 / (k + 1),
    state by state, `omd` takes the softmax of the sums of values, `rate` times each. Nothing is
    proved of any; the iterate of the least exploitability is returned.
    """
    policies = uniform(game)
    scores = torch.zeros_like(policies.member), torch.zeros_like(policies.major)
    history: list[float] = []
    best: tuple[Policies, Score] | None = None
    for k in range(iterations + 1):
        values, score = evaluate(game, policies)
        history.append(score.exploitability)
        if best is None or score.exploitability < best[1].exploitability:
            best = policies, score
        if score.exploitability <= tolerance or k == iterations or stop():
            break
        if method == "omd":
            scores = scores[0] + rate * values.member, scores[1] + rate * values.major
            policies = Policies(torch.softmax(scores[0], -1), torch.softmax(scores[1], -1))
            continue
        weight = 1.0 if method == "fixed_point" else 1 / (k + 2)
        policies = Policies(
            torch.lerp(policies.member, _greedy(values.best_member), weight),
            torch.lerp(policies.major, _greedy(values.best_major), weight),
        )
    assert best is not None
    return Found(*best, tuple(history))


def control(game: GridGame) -> tuple[Policies, float]:
    """What is best for the mean of the members plus the major, who all follow one plan.

    The plan gives the action of the major and a rule for the members, one action for each state,
    at each stage, common state and law; dynamic programming over these is exact on the grid. Rules
    that mix are not tried: a plan that may divide members of one state could do better.

    Raises:
        ValueError: there are more than 1,024 rules.
    """
    common, actions, laws, states, own = game.sizes
    if own**states > MOST_RULES:
        raise ValueError(f"there are {own**states:,} rules of members, and at most {MOST_RULES}")
    rules = [torch.tensor(rule) for rule in product(range(own), repeat=states)]
    eye = torch.eye(own, dtype=game.laws.dtype)
    tables = [eye[rule].expand(common, laws, states, own) for rule in rules]
    onwards = [_onwards(game, table) for table in tables]
    earned = [
        torch.einsum("gx,cgxa,cugxa->cug", game.laws, table, game.rewards) + game.paid
        for table in tables
    ]
    member = game.laws.new_empty(game.stages, common, laws, states, own)
    major = game.laws.new_empty(game.stages, common, laws, actions)
    value = game.laws.new_zeros(common, laws, 1)
    for t in reversed(range(game.stages)):
        each = torch.stack(
            [
                paid + game.discount * ahead(value)[..., 0]
                for paid, ahead in zip(earned, onwards, strict=True)
            ]
        )
        flat = each.permute(1, 3, 0, 2).reshape(common, laws, -1)
        top, place = flat.max(-1)
        value = top[..., None]
        rule, act = place // actions, place % actions
        member[t] = torch.stack(rules)[rule].unsqueeze(-1).eq(torch.arange(own)).to(member)
        major[t] = torch.nn.functional.one_hot(act, actions).to(major)
    return Policies(member, major), float((game.start * value[..., 0]).sum())


def _onwards(
    game: GridGame, member: Float[Tensor, "C G S A"]
) -> Callable[[Tensor], Float[Tensor, "C U G N"]]:
    """Means over the next common state and law of tables [C, G, N], when members act like this."""
    law = torch.einsum("gx,cgxa,cugxay->cugy", game.laws, member, game.moves)
    places, weights = game.placed(law)

    def mean(table: Tensor) -> Tensor:
        there = table[:, places]  # next common state, then [C, U, G, K, N]
        return torch.einsum("cugk,cugd,dcugkn->cugn", weights, game.chances, there)

    return mean


def _of_a_member(game: GridGame, major: Tensor, ahead: Tensor) -> Float[Tensor, "C G S A"]:
    gained = game.rewards + game.discount * torch.einsum("cugxay,cugy->cugxa", game.moves, ahead)
    return torch.einsum("cgu,cugxa->cgxa", major, gained)


def _of_the_major(game: GridGame, ahead: Tensor) -> Float[Tensor, "C G U"]:
    return (game.paid + game.discount * ahead[..., 0]).permute(0, 2, 1)


def _greedy(q: Tensor) -> Tensor:
    """All probability on the best actions, shared among equal ones."""
    flat = q.reshape(1, 1, -1, q.shape[-1])
    return greedy_probs(flat).reshape(q.shape)
