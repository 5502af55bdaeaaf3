"""The constants of the bounds: how strongly a game reacts to its population, step by step.

A *gauge* is a way to measure how far the others are from the flow: the l1 distance of laws on X,
or the change of one statistic s = sum of a(x) mu(x). Lipschitz constants are per unit of a gauge;
with statistics the size of X drops out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mfdsl.runtime.finite_population.grid import FloatArray, IntArray

FULL = 2.0


@dataclass(frozen=True)
class Constants:
    """What the bounds need to know of a game along a flow, or at worst over all flows.

    Types differ in what happens to one player, blocks are populations of their own; axes of size
    1 where there is one. Steps are h = 0..H-1; a final reward is one more step.

    `reward_slope` [types, steps, gauges]: L, change of the reward per unit of the gauge.
    `own_slope` [types, steps, gauges]: K, l1 change of the next law, at the worst state and action.
    `crowd_slope` [steps, gauges]: K^pi, at the worst state with actions of the policy, all types.
    `own_mixing` [types, steps]: delta, half the l1 distance of next laws, worst pair.
    `crowd_mixing` [steps]: delta^pi, worst pair of states, independent actions of the policy.
    `reward_span` [types, steps]: span of the reward over states and actions at the flow.
    `spread` [blocks, steps, gauges]: sum of sqrt(mu (1 - mu)) over X, or standard deviation of a.
    `width` [steps, gauges]: 2 for the l1 distance, max a - min a for a statistic.
    `weights` [steps]: discount ** h.
    `shares` [blocks]: which part of the players each block has; a law of several blocks is their
    mean with equal weights.

    Raises:
        ValueError: a shape does not fit, or an entry is negative or not a number.
    """

    reward_slope: FloatArray
    own_slope: FloatArray
    crowd_slope: FloatArray
    own_mixing: FloatArray
    crowd_mixing: FloatArray
    reward_span: FloatArray
    spread: FloatArray
    width: FloatArray
    weights: FloatArray
    shares: FloatArray

    def __post_init__(self) -> None:
        types, steps, gauges = self.reward_slope.shape
        expected = {
            "own_slope": (types, steps, gauges),
            "crowd_slope": (steps, gauges),
            "own_mixing": (types, steps),
            "crowd_mixing": (steps,),
            "reward_span": (types, steps),
            "spread": (len(self.shares), steps, gauges),
            "width": (steps, gauges),
            "weights": (steps,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")
        for name in ("reward_slope", *expected, "shares"):
            if not (getattr(self, name) >= 0).all():
                raise ValueError(f"{name} has an entry that is negative or not a number")

    @property
    def steps(self) -> int:
        """Number of steps H."""
        return len(self.weights)


def dobrushin(kernel: FloatArray, legal: FloatArray | None = None) -> float:
    """Half the largest l1 distance between two rows of a kernel [states, actions, next]."""
    rows = kernel.reshape(-1, kernel.shape[-1])
    if legal is not None:
        rows = rows[legal.reshape(-1).astype(bool)]
    return max((0.5 * float(np.abs(rows - row).sum(-1).max()) for row in rows), default=0.0)


def policy_dobrushin(kernel: FloatArray, policy: FloatArray) -> float:
    """Mean of half the l1 distance over independent actions in two states, worst pair of states.

    `kernel` is [states, actions, next], `policy` [states, actions].
    """
    worst = 0.0
    for s in range(len(kernel) - 1):
        apart = 0.5 * np.abs(kernel[s][:, None, None] - kernel[s + 1 :]).sum(-1)
        mean = np.einsum("a,atb,tb->t", policy[s], apart, policy[s + 1 :])
        worst = max(worst, float(mean.max()))
    return worst


def reward_span(rewards: FloatArray, legal: FloatArray | None = None) -> float:
    """Largest minus smallest of rewards [states, actions] where legal."""
    values = rewards if legal is None else rewards[legal.astype(bool)]
    return float(values.max() - values.min())


def law_spread(joint: FloatArray, groups: IntArray | None = None) -> float:
    """Sum of sqrt(mu (1 - mu)) over the cells: sqrt(K) times a bound of the mean l1 error of K.

    At most sqrt(cells - 1), by Cauchy and Schwarz. With `groups` [states, actions] the cells are
    those of the coarser law that adds up the mass of each group.
    """
    flat = joint.reshape(-1)
    cells = flat if groups is None else np.bincount(groups.reshape(-1), flat)
    mass = np.clip(cells, 0.0, 1.0)
    return float(np.sqrt(mass * (1 - mass)).sum())


def statistic_spread(values: FloatArray, joint: FloatArray) -> float:
    """Standard deviation of a(x) under the law: sqrt(K) times that of the mean over K players."""
    mass = joint.reshape(-1)
    flat = values.reshape(-1)
    mean = float(mass @ flat)
    return float(np.sqrt(max(0.0, float(mass @ (flat - mean) ** 2))))


def affine_slopes(gradient: FloatArray, law: FloatArray | None = None) -> FloatArray:
    """Exact l1 modulus of an affine function of a law, at `law` against all laws, or globally.

    `gradient` [..., outputs, cells]; the modulus is that of the l1 norm over outputs. A move of
    mass from j to i has l1 length 2 and changes the function by column i minus column j; a convex
    function of the move is largest at such moves, and mass can only leave cells where it is.
    """
    cells = gradient.shape[-1]
    sources = range(cells) if law is None else np.flatnonzero(law.reshape(-1) > 0)
    slope = np.zeros(gradient.shape[:-2])
    for j in sources:
        moved = np.abs(gradient - gradient[..., j : j + 1]).sum(-2)
        slope = np.maximum(slope, 0.5 * moved.max(-1))
    return slope


def anchored_slopes(
    values: FloatArray, points: FloatArray, centre: FloatArray, law: FloatArray
) -> FloatArray:
    """Largest ||f(point) - f(law)||_1 / ||point - law||_1 over the points, by enumeration.

    `values` [points, ..., outputs], `points` [points, cells], `centre` [..., outputs] the value at
    `law` [cells]. The others only ever have laws on the grid of K players, so on that grid this is
    exact. The slope is infinite where f jumps at a point that is `law` itself.
    """
    far = np.abs(points - law.reshape(-1)).sum(-1)
    apart = np.abs(values - centre).sum(-1)
    same = far <= 1e-12
    if apart[same].size and apart[same].max() > 1e-9:
        return np.full(apart.shape[1:], np.inf)
    if same.all():
        return np.zeros(apart.shape[1:])
    ratios = apart[~same] / far[~same].reshape(-1, *(1,) * (apart.ndim - 1))
    slopes: FloatArray = ratios.max(0)
    return slopes


def along_flow(
    kernels: FloatArray,
    rewards: FloatArray,
    joint: FloatArray,
    policy: FloatArray,
    kernel_slope: FloatArray,
    reward_slope: FloatArray,
    *,
    statistics: FloatArray | None = None,
    groups: IntArray | None = None,
    legal: FloatArray | None = None,
    discount: float = 1.0,
    exact_mixing: bool = True,
) -> Constants:
    """The constants at a flow; the Lipschitz constants are the caller's, the rest is computed.

    `kernels` [types, steps, states, actions, next] and `rewards` [types, steps, states, actions]
    at the flow, `joint` [steps, states, actions] the flow, `policy` [steps, states, actions].
    `kernel_slope` and `reward_slope` [types, steps, states, actions, gauges]: per unit of the l1
    distance (one gauge), or of each of `statistics` [gauges, states, actions]. They need to hold
    between the law of the flow and any other one, not between all pairs of laws. With `groups`
    [states, actions] the distance is that of the masses of groups of cells, as where only the law
    of the states is read. `legal` [states, actions], or for each step. `exact_mixing` compares all
    pairs of states and actions; without it delta is 1, which always holds.
    """
    allowed = np.broadcast_to(np.ones(()) if legal is None else legal, policy.shape)
    masked = allowed[..., None] > 0
    crowd = np.einsum("hsa,khsag->khsg", policy, np.where(masked, kernel_slope, 0.0))
    worst = [_mixing(k, policy, allowed, exact=exact_mixing) for k in kernels]
    spans = [
        [reward_span(r, legal=mask) for r, mask in zip(row, allowed, strict=True)]
        for row in rewards
    ]
    return Constants(
        reward_slope=np.where(masked, reward_slope, 0.0).max((2, 3)),
        own_slope=np.where(masked, kernel_slope, 0.0).max((2, 3)),
        crowd_slope=crowd.max((0, 2)),
        own_mixing=np.array([own for own, _ in worst]),
        crowd_mixing=np.array([others for _, others in worst]).max(0),
        reward_span=np.array(spans),
        spread=_spreads(joint, statistics, groups)[None],
        width=np.tile(_widths(statistics), (len(joint), 1)),
        weights=discount ** np.arange(len(joint), dtype=np.float64),
        shares=np.ones(1),
    )


def _mixing(
    kernels: FloatArray, policy: FloatArray, allowed: FloatArray, *, exact: bool
) -> tuple[list[float], list[float]]:
    """Both coefficients at each step, worked out once where a step repeats the one before."""
    own, others = [], []
    for h, kernel in enumerate(kernels):
        same = h > 0 and np.array_equal(kernel, kernels[h - 1])
        if not exact:
            own.append(1.0)
            others.append(1.0)
            continue
        alike = same and np.array_equal(allowed[h], allowed[h - 1])
        own.append(own[-1] if alike else dobrushin(kernel, allowed[h]))
        alike = same and np.array_equal(policy[h], policy[h - 1])
        others.append(others[-1] if alike else policy_dobrushin(kernel, policy[h]))
    return own, others


def _spreads(
    joint: FloatArray, statistics: FloatArray | None, groups: IntArray | None
) -> FloatArray:
    if statistics is None:
        return np.array([[law_spread(law, groups)] for law in joint])
    return np.array([[statistic_spread(a, law) for a in statistics] for law in joint])


def _widths(statistics: FloatArray | None) -> FloatArray:
    if statistics is None:
        return np.array([FULL])
    return np.array([a.max() - a.min() for a in statistics])


def of_populations(populations: Sequence[Constants], players: FloatArray) -> Constants:
    """Several populations, one type each, whose union has equal weights; `players` [populations].

    Raises:
        ValueError: there is not one number of players for each.
    """
    if len(players) != len(populations) or not populations:
        raise ValueError(f"{len(players)} numbers of players for {len(populations)} populations")
    first = populations[0]
    return replace(
        first,
        reward_slope=np.concatenate([c.reward_slope for c in populations]),
        own_slope=np.concatenate([c.own_slope for c in populations]),
        own_mixing=np.concatenate([c.own_mixing for c in populations]),
        reward_span=np.concatenate([c.reward_span for c in populations]),
        crowd_slope=np.max([c.crowd_slope for c in populations], axis=0),
        crowd_mixing=np.max([c.crowd_mixing for c in populations], axis=0),
        spread=np.concatenate([c.spread for c in populations]),
        shares=np.asarray(players / players.sum()),
    )


def a_priori(
    steps: int,
    cells: int,
    kernel_slope: float,
    reward_slope: float,
    mixing: float,
    span: float,
    *,
    discount: float = 1.0,
) -> Constants:
    """The constants before solving: suprema over all laws and policies, in l1 distance.

    `mixing` is the supremum of half the l1 distance between two next laws, `span` that of the
    span of the reward at one law.
    """
    table = np.ones((1, steps, 1))
    return Constants(
        reward_slope=reward_slope * table,
        own_slope=kernel_slope * table,
        crowd_slope=kernel_slope * table[0],
        own_mixing=mixing * table[..., 0],
        crowd_mixing=mixing * table[0, :, 0],
        reward_span=span * table[..., 0],
        spread=np.sqrt(cells - 1) * table,
        width=FULL * table[0],
        weights=discount ** np.arange(steps, dtype=np.float64),
        shares=np.ones(1),
    )
