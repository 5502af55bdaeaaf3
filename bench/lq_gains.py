"""Closed-form policies and exact costs of linear-quadratic games: a crowd, and perhaps one major.

A minor has the state x in R^d, the major y, and m is the mean of the minors' states. With
s = (y, m, 1), z = (x, s) and actions w of the major and a of a minor:

    x' = own x + act a + pull s + e,    y' = drift s + lead w + e0,
    2 cost of a minor = sum_t z C_t z + r a^2,    2 cost of the major = sum_t s C0_t s + r0 w^2.

Policies are rows: w_t = -k_t s, a_t = -K_t z. `nash` is the Markov perfect equilibrium in the
limit (backward induction), `team` minimises the sum of the major's cost and the minors' mean cost,
for any number of minors. `costs` are exact for N agents, by the second moments of z.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Case = Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Game:
    """The game of this module's first lines; `charges` are C_t, `charges0` C0_t, t = 0, ..., T.

    Noises: `spread` [d] and `s0` are standard deviations of e and e0, `common` that of a shock that
    all minors share. At the start x has mean `m0` [d] and independent entries of variance `v0`.
    """

    own: Array
    act: Array
    pull: Array
    charges: Sequence[Array]
    r: float
    spread: Array
    m0: Array
    v0: Array
    common: float = 0.0
    drift: Array | None = None
    lead: float = 0.0
    charges0: Sequence[Array] = ()
    r0: float = 1.0
    s0: float = 0.0
    y0: float = 0.0

    @property
    def size(self) -> int:
        """Entries d of a minor's state."""
        return len(self.act)

    def passive(self) -> Array:
        """Matrix of s' when nobody acts."""
        d, c = self.size, self.size + 2
        moves = np.zeros((c, c))
        moves[0] = np.zeros(c) if self.drift is None else self.drift
        moves[1:-1] = self.pull
        moves[1:-1, 1:-1] += self.own
        moves[-1, -1] = 1.0
        assert self.pull.shape == (d, c)
        return moves

    def charge0(self, t: int) -> Array:
        """C0_t, which is nothing where there is no major."""
        c = self.size + 2
        return self.charges0[t] if self.charges0 else np.zeros((c, c))


@dataclass(frozen=True, eq=False)
class Policy:
    """Rows k_t [d + 2] of the major and K_t [2 d + 2] of the minors, t = 0, ..., T - 1."""

    major: list[Array]
    minor: list[Array]


def square(*row: float) -> Array:
    """The matrix of (row z)^2."""
    return np.outer(row, row)


def nash(game: Game) -> Policy:
    """Both kinds best respond to the policies of the others, which read y and m as they are.

    With value functions s P0 s / 2 and z P z / 2 of t + 1, the first-order conditions
    r0 w + lead (P0 s')_y = 0 and r a + act (P z')_x = 0 are linear in the rows of both players.
    """
    d, act, lead = game.size, game.act, game.lead
    ends0, ends = game.charge0(-1), game.charges[-1]
    major, minor = [], []
    for t in reversed(range(len(game.charges) - 1)):
        reply = act @ ends[:d, :d]  # act P_xx
        onto = act @ ends[:d, d:]  # act P_xs
        own = reply @ game.own / (game.r + reply @ act)
        still = game.passive()
        still[1:-1, 1:-1] -= np.outer(act, own)
        left = [
            [game.r0 + lead**2 * ends0[0, 0], lead * ends0[0, 1:-1] @ act],
            [onto[0] * lead, game.r + reply @ act + onto[1:-1] @ act],
        ]
        right = [lead * ends0[0] @ still, reply @ game.pull + onto @ still]
        k, rest = np.linalg.solve(np.array(left), np.array(right))
        row = np.concatenate([own, rest])
        loop = closed(game, k, row)
        ends0 = game.charge0(t) + game.r0 * np.outer(k, k) + loop[d:, d:].T @ ends0 @ loop[d:, d:]
        ends = game.charges[t] + game.r * np.outer(row, row) + loop.T @ ends @ loop
        major.append(k)
        minor.append(row)
    return Policy(major[::-1], minor[::-1])


def team(game: Game) -> Policy:
    """The planner's policy: one control problem of (y, m), one of the distance to the mean."""
    d, c = game.size, game.size + 2
    everyone = np.vstack([np.eye(c)[1:-1], np.eye(c)])  # z of a minor at the mean
    whole = [game.charge0(t) + everyone.T @ q @ everyone for t, q in enumerate(game.charges)]
    push = np.zeros((c, 2))
    push[0, 0], push[1:-1, 1] = game.lead, game.act
    joint = regulated(game.passive(), push, whole, np.diag([game.r0, game.r]))
    apart = [q[:d, :d] for q in game.charges]
    near = regulated(game.own, game.act[:, None], apart, np.array([[game.r]]))
    minor = []
    for rows, (own,) in zip(joint, near, strict=True):
        rest = rows[1].copy()
        rest[1:-1] -= own
        minor.append(np.concatenate([own, rest]))
    return Policy([rows[0] for rows in joint], minor)


def regulated(moves: Array, push: Array, charges: Sequence[Array], effort: Array) -> list[Array]:
    """Gains K_t of u = -K_t x for x' = moves x + push u and costs x C_t x + u effort u."""
    ends, gains = charges[-1], []
    for charge in reversed(charges[:-1]):
        bend, cross = effort + push.T @ ends @ push, push.T @ ends @ moves
        gain = np.asarray(np.linalg.solve(bend, cross), dtype=np.float64)
        loop = moves - push @ gain
        ends = charge + gain.T @ effort @ gain + loop.T @ ends @ loop
        gains.append(gain)
    return gains[::-1]


def closed(game: Game, k: Array, row: Array) -> Array:
    """Matrix of z' under the rows of a step; the mean moves by the mean of the actions."""
    d = game.size
    loop = np.zeros((2 * d + 2, 2 * d + 2))
    loop[:d, :d], loop[:d, d:] = game.own, game.pull
    loop[:d] -= np.outer(game.act, row)
    loop[d:, d:] = game.passive()
    loop[d] -= game.lead * np.concatenate([np.zeros(d), k])
    mean = row[d:].copy()
    mean[1:-1] += row[:d]
    loop[d + 1 : -1, d:] -= np.outer(game.act, mean)
    return loop


def moments(game: Game, policy: Policy, agents: float = math.inf) -> Iterator[Array]:
    """Second moments E z z [2 d + 2, 2 d + 2] at t = 0, ..., T; the last column is E z."""
    d = game.size
    own, mean = slice(0, d), slice(d + 1, 2 * d + 1)

    def shared(single: Array, joint: float) -> Array:
        noise = np.zeros((2 * d + 2, 2 * d + 2))
        for a, b in ((own, own), (own, mean), (mean, own), (mean, mean)):
            noise[a, b] = np.diag(single) * (1.0 if a == b == own else 1 / agents) + joint
        return noise

    first = np.concatenate([game.m0, [game.y0], game.m0, [1.0]])
    second = np.outer(first, first) + shared(game.v0, 0.0)
    noise = shared(game.spread**2, game.common**2)
    noise[d, d] = game.s0**2
    yield second
    for k, row in zip(policy.major, policy.minor, strict=True):
        loop = closed(game, k, row)
        second = loop @ second @ loop.T + noise
        yield second


def costs(game: Game, policy: Policy, agents: float = math.inf) -> tuple[float, float]:
    """Expected costs of the major and of a minor among `agents`, exact."""
    d, major, minor = game.size, 0.0, 0.0
    for t, second in enumerate(moments(game, policy, agents)):
        charge0, charge = game.charge0(t), game.charges[t]
        if t < len(policy.minor):
            charge0 = charge0 + game.r0 * square(*policy.major[t])
            charge = charge + game.r * square(*policy.minor[t])
        major += float((charge0 * second[d:, d:]).sum()) / 2
        minor += float((charge * second).sum()) / 2
    return major, minor


def unseen(game: Game, policy: Policy) -> Policy:
    """The policy of minors that do not see the mean, and count on its expectation in the limit."""
    d, rows = game.size, []
    for row, second in zip(policy.minor, moments(game, policy), strict=False):
        blind = row.copy()
        blind[-1] += row[d + 1 : -1] @ second[d + 1 : -1, -1]
        blind[d + 1 : -1] = 0.0
        rows.append(blind)
    return Policy(policy.major, rows)


def crowd(case: Case) -> Game:
    """`lq_game` and `lq_control`: everybody tracks a multiple of the mean. z = (x, 0, m, 1)."""
    running = case["Q"] * square(1, 0, 0, 0) + case["Qb"] * square(1, 0, -case["S"], 0)
    final = case["QT"] * square(1, 0, 0, 0) + case["QTb"] * square(1, 0, -case["ST"], 0)
    return Game(
        own=np.array([[case["A"]]]),
        act=np.array([case["B"]]),
        pull=np.array([[0, case["Ab"], 0]]),
        charges=[running] * int(case["T"]) + [final],
        r=case["R"],
        spread=np.array([case["sigma"]]),
        m0=np.array([case["m0"]]),
        v0=np.array([case["v0"]]),
        common=case.get("common", 0.0),
    )


def with_major(case: Case) -> Game:
    """`lq_major` and `lq_major_control`, where the last costs are as the running ones."""
    steps = int(case["T"]) + 1
    return Game(
        own=np.array([[case["A"]]]),
        act=np.array([case["B"]]),
        pull=np.array([[case["F"], 0, 0]]),
        charges=[case["q"] * square(1, -case["h"], -case["h1"], 0)] * steps,
        r=case["r"],
        spread=np.array([case["s"]]),
        m0=np.array([case["m0"]]),
        v0=np.array([case["v0"]]),
        drift=np.array([case["A0"], case["F0"], 0]),
        lead=case["B0"],
        charges0=[case["q0"] * square(1, -case["h0"], -case["c0"])] * steps,
        r0=case["r0"],
        s0=case["s0"],
        y0=0.0,
    )


def flock(case: Case) -> Game:
    """`flocking` with beta = 0 along one axis: a minor is (position, velocity)."""
    dt = case["dt"]
    apart, unlike = square(1, 0, 0, -1, 0, 0), square(0, 1, 0, 0, -1, 0)
    running = dt * (case["w_x"] * apart + case["w_v"] * unlike)
    return Game(
        own=np.array([[1, dt], [0, 1]]),
        act=np.array([0, dt]),
        pull=np.zeros((2, 4)),
        charges=[running] * int(case["T"]) + [case["w_T"] * unlike],
        r=dt,
        spread=np.array([0, case["sigma"] * math.sqrt(dt)]),
        m0=np.zeros(2),
        v0=np.array([1, 0.25]),
    )


def chase(case: Case, axis: int) -> Game:
    """`rotating_target` along one axis."""
    dt, steps = case["dt"], int(case["T"])
    running = []
    for t in range(steps):
        angle = 2 * math.pi * t / steps
        goal = case["radius"] * (math.sin(angle) if axis else math.cos(angle))
        running.append(
            dt * (case["kappa"] * square(1, 0, -1, 0) + case["lambda"] * square(1, 0, 0, -goal))
        )
    return Game(
        own=np.eye(1),
        act=np.array([dt]),
        pull=np.zeros((1, 3)),
        charges=[*running, np.zeros((4, 4))],
        r=dt,
        spread=np.array([case["sigma"] * math.sqrt(dt)]),
        m0=np.zeros(1),
        v0=np.ones(1),
    )
