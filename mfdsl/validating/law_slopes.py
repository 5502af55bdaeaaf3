"""Lipschitz constants of kernels and rewards in the law, for each type: exact, or certified.

Where a spec is affine in its law, by its structure, the values at point masses give the exact l1
modulus at every state and action. Else the compiler's certificate, one constant for all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mfdsl.compiler.analysis.asymmetry.degrees import law_degree
from mfdsl.compiler.analysis.facts import facts_of
from mfdsl.compiler.analysis.lipschitz import Question, Source, Subject, lipschitz
from mfdsl.compiler.analysis.slopes.search import Budget
from mfdsl.compiler.analysis.subjects import law_name, reward_subject
from mfdsl.compiler.ir.model import Model, Node, Player
from mfdsl.compiler.ir.walk import MEMBERS, reachable
from mfdsl.game import Game
from mfdsl.runtime.finite_population.constants import affine_slopes
from mfdsl.runtime.finite_population.theorem_b import TypedGame
from mfdsl.validating.blocks import Blocks

Floats = NDArray[np.float64]

NO_BOUND = 1e12  # per unit of distance: large enough that the cap of the gain is what is left
SECONDS = 2.0
LARGEST_GRADIENT = 2 * 10**7
ALIKE = 1e-12
ANY = "any population"


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
    game: Game, kinds: tuple[TypedGame, Blocks], mean: tuple[TypedGame, Blocks], stages: int
) -> LawSlopes:
    """The constants of the game at each type, and of the game of mean types.

    Every one holds between all pairs of laws.
    """
    if affine(game.model):
        found = _exact(game, kinds, mean, stages)
        if found is not None:
            return found
    return _certified(game.model, kinds, mean, stages)


def _roots(player: Player, *, dynamics: bool) -> list[int]:
    if not dynamics:
        return [t.node for t in player.rewards]
    nexts = [s.next for s in player.states if s.next is not None]
    return nexts + [n.density for n in player.noises if n.density is not None]


def affine(model: Model) -> bool:
    """Whether masses and rewards are affine in all laws, and next values do not read them."""
    nodes = _one_population(model)

    def degree(root: int) -> float:
        return law_degree(nodes, root, ANY)

    for player in model.populations:
        nexts = [s.next for s in player.states if s.next is not None]
        densities = [n.density for n in player.noises if n.density is not None]
        rewards = _roots(player, dynamics=False)
        moves = sum(degree(r) for r in densities)
        if any(degree(r) > 0 for r in nexts) or moves > 1 or any(degree(r) > 1 for r in rewards):
            return False
        if moves > 0 and any(_reads_noise(model, r) for r in rewards):
            return False
    return True


def _one_population(model: Model) -> list[Node]:
    """The nodes with all populations called alike: degrees in all laws together."""
    return [
        n.model_copy(update={"attr": (n.attr[0], ANY, *n.attr[2:])})
        if n.op in MEMBERS and isinstance(n.attr, tuple)
        else n
        for n in model.nodes
    ]


def _reads_noise(model: Model, root: int) -> bool:
    """The mean of a reward over a noise whose law moves is not affine any more."""
    return any(model.nodes[i].op == "noise" for i in reachable(model.nodes, [root]))


def _exact(
    game: Game, kinds: tuple[TypedGame, Blocks], mean: tuple[TypedGame, Blocks], stages: int
) -> LawSlopes | None:
    module = game.program.module
    states, actions = game.program.state_count, game.program.action_count
    cells, count = states * actions, len(kinds[0].shares)
    moves = "law" in module.SUCCESSORS_READ | module.WEIGHTS_READ
    width = (states if moves else 0) + 1
    if count * cells**2 * width > LARGEST_GRADIENT:
        return None
    timed = "time" in module.SUCCESSORS_READ | module.WEIGHTS_READ | module.REWARDS_READ
    columns: list[Floats] = []
    blocks = kinds[1]
    parts = [
        slice(k * blocks.size * actions, (k + 1) * blocks.size * actions)
        for k in range(blocks.count)
    ]

    def slopes(of: TypedGame, h: int) -> tuple[Floats, Floats]:
        points = np.eye(cells).reshape(cells, states, actions)
        rewards = np.stack([of.reward(h, law) for law in points], -1)[..., None, :]
        columns.append(rewards.reshape(-1, cells))
        kernel = np.zeros(rewards.shape[:3])
        if moves and h < stages:
            table = np.stack([of.kernel(h, law) for law in points], -1)
            columns.append(table.reshape(-1, cells))
            kernel = _within(table, parts)
        return kernel[..., None], _within(rewards, parts)[..., None]

    def along(of: TypedGame) -> tuple[Floats, Floats]:
        last = [stages] if of.steps > stages else []
        once = {h: slopes(of, h) for h in ([*range(stages)] if timed else [0]) + last}
        order = [once.get(h, once[0]) for h in range(of.steps)]
        kernel = np.stack([k for k, _ in order], 1)
        return kernel, np.stack([r for _, r in order], 1)

    kernel, reward = along(kinds[0])
    induced = along(mean[0])
    groups = _groups(columns).reshape(states, actions)
    return LawSlopes(kernel, reward, induced, groups, "constants exact: affine in the law")


def _within(gradient: Floats, parts: Sequence[slice]) -> Floats:
    """The modulus of an affine function of laws whose mass stays within parts of the cells."""
    found: Floats = np.max([affine_slopes(gradient[..., part]) for part in parts], axis=0)
    return found


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
    model: Model, kinds: tuple[TypedGame, Blocks], mean: tuple[TypedGame, Blocks], stages: int
) -> LawSlopes:
    found = np.array([certified_slopes(model, player) for player in model.populations])
    states, actions = kinds[0].initial.shape[1], game_actions(kinds[0])

    def tables(of: TypedGame, blocks: Blocks) -> tuple[Floats, Floats]:
        dynamics, running, final = found[blocks.of_type].T
        shape = (len(of.shares), of.steps, states, actions, 1)
        kernel = np.broadcast_to(dynamics.reshape(-1, 1, 1, 1, 1), shape).copy()
        reward = np.broadcast_to(running.reshape(-1, 1, 1, 1, 1), shape).copy()
        if of.steps > stages:
            kernel[:, -1] = 0.0
            reward[:, -1] = final.reshape(-1, 1, 1, 1)
        return kernel, reward

    roots = [r for p in model.populations for d in (True, False) for r in _roots(p, dynamics=d)]
    below = reachable(model.nodes, roots)
    by_action = any(model.nodes[i].op == "peer_action" for i in below)
    rows = np.repeat(np.arange(states)[:, None], actions, axis=1)
    note = "constants certified for all laws"
    if (found >= NO_BOUND).any():
        note = "no Lipschitz constant is known: the bound is the cap"
    return LawSlopes(*tables(*kinds), tables(*mean), None if by_action else rows, note)


def certified_slopes(model: Model, player: Player) -> tuple[float, float, float]:
    """Constants of dynamics, rewards and final rewards of a player per unit of the l1 distance of
    the law of all populations, where each has the same mass.
    """
    facts = facts_of(model)
    subjects = [
        Subject("dynamics", dynamics=player, players=model.players),
        reward_subject(model, player),
        reward_subject(model, player, final=True),
    ]
    values = []
    for subject in subjects:
        uppers = [0.0]
        for population in model.populations:
            source = Source(law_name(population), "law", population)
            question = Question(facts, subject, source, Budget(seconds=SECONDS), model.places)
            found = lipschitz(question)
            known = found.upper is not None and (found.norm or "").startswith("l1")
            uppers.append(found.upper if known and found.upper is not None else NO_BOUND)
        values.append(min(NO_BOUND, len(model.populations) * max(uppers)))
    dynamics, running, final = values
    return dynamics, running, final


def game_actions(game: TypedGame) -> int:
    """The number of actions of a game that lists which are legal."""
    assert game.legal is not None
    return int(game.legal.shape[1])
