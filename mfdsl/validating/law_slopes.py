"""Lipschitz constants of kernels and rewards in the law, for each type: exact, or certified.

Where a spec is affine in its law, by its structure, the values at point masses give the exact l1
modulus at every state and action. Else the compiler's certificate, one constant for all.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfdsl.compiler.analysis.asymmetry.degrees import law_degree
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.lipschitz import Question, Source, Subject, lipschitz
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.subjects import law_name, reward_subject
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.walk import reachable
from mfdsl.game import Game
from mfdsl.runtime.finite_population.constants import affine_slopes
from mfdsl.runtime.finite_population.theorem_b import TypedGame

Floats = NDArray[np.float64]

NO_BOUND = 1e12  # per unit of distance: large enough that the cap of the gain is what is left
SECONDS = 2.0
LARGEST_GRADIENT = 2 * 10**7
ALIKE = 1e-12


@dataclass(frozen=True)
class LawSlopes:
    """Constants per unit of the l1 distance of the masses of `groups` [states, actions].

    `kernel` and `reward` [types, steps, states, actions, 1], `induced` both for the mean game.
    """

    kernel: Floats
    reward: Floats
    induced: tuple[Floats, Floats]
    groups: NDArray[np.int64] | None
    note: str


def law_slopes(
    game: Game, player: Player, typed: TypedGame, induced: TypedGame, stages: int
) -> LawSlopes:
    """The constants of the game at each type; every one holds between all pairs of laws."""
    if _affine(game.model, player):
        found = _exact(game, typed, induced, stages)
        if found is not None:
            return found
    return _certified(game.model, player, typed, induced, stages)


def _roots(player: Player, *, dynamics: bool) -> list[int]:
    if not dynamics:
        return [t.node for t in player.rewards]
    nexts = [s.next for s in player.states if s.next is not None]
    return nexts + [n.density for n in player.noises if n.density is not None]


def _affine(model: Model, player: Player) -> bool:
    """Whether masses and rewards are affine in the law, and next values do not read it."""
    nexts = [s.next for s in player.states if s.next is not None]
    densities = [n.density for n in player.noises if n.density is not None]
    rewards = _roots(player, dynamics=False)
    nodes = model.nodes
    if any(law_degree(nodes, r, player.name) > 0 for r in nexts):
        return False
    if sum(law_degree(nodes, r, player.name) for r in densities) > 1:
        return False
    return all(law_degree(nodes, r, player.name) <= 1 for r in rewards) and not (
        any(law_degree(nodes, r, player.name) > 0 for r in densities)
        and any(_reads_noise(model, player, r) for r in rewards)
    )


def _reads_noise(model: Model, player: Player, root: int) -> bool:
    """The mean of a reward over a noise whose law moves is not affine any more."""
    return any(model.nodes[i].op == "noise" for i in reachable(model.nodes, [root]))


def _exact(game: Game, typed: TypedGame, induced: TypedGame, stages: int) -> LawSlopes | None:
    module = game.program.module
    states, actions = typed.initial.shape[1], game.program.action_count
    cells, count = states * actions, len(typed.shares)
    moves = "law" in module.SUCCESSORS_READ | module.WEIGHTS_READ
    width = (states if moves else 0) + 1
    if count * cells**2 * width > LARGEST_GRADIENT:
        return None
    timed = "time" in module.SUCCESSORS_READ | module.WEIGHTS_READ | module.REWARDS_READ
    columns: list[Floats] = []

    def slopes(of: TypedGame, h: int) -> tuple[Floats, Floats]:
        points = np.eye(cells).reshape(cells, states, actions)
        rewards = np.stack([of.reward(h, law) for law in points], -1)[..., None, :]
        columns.append(rewards.reshape(-1, cells))
        kernel = np.zeros(rewards.shape[:3])
        if moves and h < stages:
            table = np.stack([of.kernel(h, law) for law in points], -1)
            columns.append(table.reshape(-1, cells))
            kernel = affine_slopes(table)
        return kernel[..., None], affine_slopes(rewards)[..., None]

    def along(of: TypedGame) -> tuple[Floats, Floats]:
        last = [stages] if of.steps > stages else []
        once = {h: slopes(of, h) for h in ([*range(stages)] if timed else [0]) + last}
        order = [once.get(h, once[0]) for h in range(of.steps)]
        kernel = np.stack([k for k, _ in order], 1)
        return kernel, np.stack([r for _, r in order], 1)

    kernel, reward = along(typed)
    mean = along(induced)
    groups = _groups(columns).reshape(states, actions)
    return LawSlopes(kernel, reward, mean, groups, "constants exact: affine in the law")


def _groups(tables: list[Floats]) -> NDArray[np.int64]:
    """The group of each cell: a cell joins the first one whose columns are the same."""
    columns = np.concatenate(tables)
    groups = np.full(columns.shape[1], -1, dtype=np.int64)
    count = 0
    for cell in range(len(groups)):
        if groups[cell] < 0:
            same = np.abs(columns - columns[:, cell : cell + 1]).max(0) <= ALIKE
            groups[same & (groups < 0)] = count
            count += 1
    return groups


def _certified(
    model: Model, player: Player, typed: TypedGame, induced: TypedGame, stages: int
) -> LawSlopes:
    facts = facts_of(model)
    source = Source(law_name(player), "law", player)
    subjects = [
        Subject("dynamics", dynamics=player),
        reward_subject(model, player),
        reward_subject(model, player, final=True),
    ]
    values = []
    for subject in subjects:
        question = Question(facts, subject, source, Budget(seconds=SECONDS), model.places)
        found = lipschitz(question)
        upper, norm = found.upper, found.norm or ""
        values.append(upper if upper is not None and norm.startswith("l1") else NO_BOUND)
    dynamics, running, final = values
    noisy = any(_reads_noise(model, player, r) for r in _roots(player, dynamics=False))
    if noisy and dynamics > 0:
        running = NO_BOUND  # the mean over a noise moves with its law, too
    states, actions = typed.initial.shape[1], game_actions(typed)

    def table(of: TypedGame, here: float, last: float) -> Floats:
        found = np.full((len(of.shares), of.steps, states, actions, 1), here)
        if of.steps > stages:
            found[:, -1] = last
        return found

    below = reachable(model.nodes, _roots(player, dynamics=True) + _roots(player, dynamics=False))
    by_action = any(model.nodes[i].op == "peer_action" for i in below)
    rows = np.repeat(np.arange(states)[:, None], actions, axis=1)
    note = "constants certified for all laws"
    if NO_BOUND in values or running == NO_BOUND:
        note = "no Lipschitz constant is known: the bound is the cap"
    return LawSlopes(
        table(typed, dynamics, 0.0),
        table(typed, running, final),
        (table(induced, dynamics, 0.0), table(induced, running, final)),
        None if by_action else rows,
        note,
    )


def game_actions(game: TypedGame) -> int:
    """The number of actions of a game that lists which are legal."""
    assert game.legal is not None
    return int(game.legal.shape[1])
