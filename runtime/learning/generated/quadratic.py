"""Exact best responses to a frozen law where they are linear-quadratic, by a Riccati recursion.

Given the law, one agent of a linear-quadratic game has affine dynamics with additive noise and a
quadratic reward (Bensoussan et al. 2016, arXiv:1404.5741; Anderson and Moore 1990). Their
coefficients are read off the simulator: a quadratic function is given by its values at 0, at the
unit vectors and their negatives, and at sums of two of them. That they are quadratic at all is
checked at other points, where the simulator has to agree with them.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.learning.base import LessonError
from mfdsl.runtime.learning.generated.frozen import TOGETHER, Act, Arena, Meeting
from mfdsl.runtime.learning.sight import sights_of

AGREE = 1e-6  # of the largest value: the coefficients have some 12 digits
CHECKS = 16


@dataclass(frozen=True, eq=False)
class Quadratic:
    """constant + slope.y + y'bend y / 2."""

    constant: Tensor
    slope: Tensor
    bend: Tensor

    def at(self, y: Tensor) -> Tensor:
        """Values [...] at y [..., k]."""
        bent = 0.5 * torch.einsum("...i,ij,...j->...", y, self.bend, y)
        return self.constant + y @ self.slope + bent


@dataclass(frozen=True, eq=False)
class Stage:
    """One step for y = (x, a): next states are matrix y + shift + noise, with the covariance
    `spread` [d, d], and `reward` is paid.
    """

    matrix: Tensor
    shift: Tensor
    spread: Tensor
    reward: Quadratic


@dataclass(frozen=True, eq=False)
class Response:
    """The best actions gain[t] x + offset[t], [T, k, d] and [T, k]; `curve` [T, k, k] is how much
    is lost by others, apart' curve apart / 2, and `start` the value of being at a point at t = 0.
    """

    gain: Tensor
    offset: Tensor
    curve: Tensor
    start: Quadratic

    def lost(self, t: int, x: Tensor, action: Tensor) -> Tensor:
        """What an action [..., k] at x [..., d] loses, now and later."""
        apart = action - x @ self.gain[t].T - self.offset[t]
        return 0.5 * torch.einsum("...i,ij,...j->...", apart, self.curve[t], apart)


def probes(count: int) -> Tensor:
    """Points whose values give a quadratic function of `count` numbers, [(k + 1)(k + 2) / 2, k]."""
    one = torch.eye(count, dtype=torch.float64)
    i, j = torch.triu_indices(count, count, 1)
    return torch.cat([one.new_zeros(1, count), one, -one, one[i] + one[j]])


def quadratic_through(values: Tensor, count: int) -> Quadratic:
    """The quadratic function with these values at the probes."""
    centre, up, down = values[0], values[1 : count + 1], values[count + 1 : 2 * count + 1]
    slope, square = (up - down) / 2, up + down - 2 * centre
    bend = torch.diag(square)
    i, j = torch.triu_indices(count, count, 1)
    mixed = values[2 * count + 1 :] - up[i] - up[j] + centre
    bend[i, j] = bend[j, i] = mixed
    return Quadratic(centre, slope, bend)


class Prober:
    """Reads the steps of a game against a law, in an arena of double precision.

    Raises:
        LessonError: states, actions or what is seen are not those of a linear-quadratic game.
    """

    def __init__(self, arena: Arena) -> None:
        self.arena, self.space, self.device = arena, arena.space, arena.params.unit.device
        program = arena.program
        (sight,) = sights_of(program)
        self.actions = sight.actions
        why = None
        if self.space.finite or any(a.type.finite for a in self.actions):
            why = "states or actions are finite"
        elif torch.isfinite(self.space.low).any() or torch.isfinite(self.space.high).any():
            why = "states have bounds"
        elif any(a.type.lo is not None or a.type.hi is not None for a in self.actions):
            why = "actions have bounds"
        elif any(law[0] != "normal" for law, _ in program.module.NOISES[self.space.field].values()):
            why = "noise is not normal"
        else:
            names = {f.name for f in (*sight.own, *sight.common)}
            missing = [n for n in (*program.variables(self.space.field, "state"), "t")]
            unseen = [n for n in missing if n not in names]
            why = f"agents do not see {unseen[0]}" if unseen else None
        if why is not None:
            raise _refused(program.name, why)
        self.width = self.space.width
        self.count = sum(max(1, _size(a.type.dims)) for a in self.actions)

    def stage(self, t: int, points: Tensor) -> Stage:
        """One step against a crowd at `points` [M, d].

        Raises:
            LessonError: the step is not affine or its reward not quadratic.
        """
        total = self.width + self.count
        inputs = probes(total).to(self.device)
        stream = torch.Generator().manual_seed(t)
        other = torch.randn(CHECKS, total, generator=stream, dtype=torch.float64).to(inputs)
        draws = self._draws()
        noises = torch.eye(draws).to(inputs)
        y = torch.cat([inputs, other, inputs.new_zeros(draws, total), other[:draws]])
        z = y.new_zeros(len(y), draws)
        z[len(inputs) + CHECKS : len(inputs) + CHECKS + draws] = noises
        rows = min(draws, CHECKS)
        z[len(inputs) + CHECKS + draws :] = noises[:rows]
        after, paid = self._stepped(t, points, y, z)
        first = len(inputs)
        shift = after[0]
        matrix = (after[1 : total + 1] - shift).T
        reward = quadratic_through(paid[:first], total)
        moved = after[first + CHECKS : first + CHECKS + draws] - shift
        self._agrees(after[first : first + CHECKS], other @ matrix.T + shift, "the next state")
        self._agrees(paid[first : first + CHECKS], reward.at(other), "the reward")
        self._agrees(paid[first + CHECKS : first + CHECKS + draws], paid[:1], "paid noise")
        again = after[first + CHECKS + draws :] - (other[:rows] @ matrix.T + shift)
        self._agrees(again, moved[:rows], "noise")
        return Stage(matrix, shift, moved.T @ moved, reward)

    def final(self, points: Tensor) -> Quadratic:
        """What the end of the game pays, against a crowd at `points` [M, d]."""
        inputs = probes(self.width).to(self.device)
        zero = Quadratic(*(inputs.new_zeros(s) for s in ((), (self.width,), (self.width,) * 2)))
        if not self.arena.program.module.HAS_FINAL:
            return zero
        meeting = self._meeting(self.arena.steps, points, inputs)
        paid = self.arena.final(meeting)
        return zero if paid is None else quadratic_through(paid.mean(0), self.width)

    def chosen(self, t: int, points: Tensor, x: Tensor, act: Act) -> Tensor:
        """The actions [N, k] of agents at x [N, d] beside a crowd at `points` [M, d]."""
        simulator = self.arena.simulator(len(points) + len(x))
        state = self.arena.placed(simulator.reset(0), self.space.values(x[None]))
        meeting = self.arena.meeting(simulator.scene(t, state), points[None].double())
        group = getattr(act(meeting), self.space.field)
        return torch.cat([v[0, meeting.crowd :].reshape(len(x), -1).double() for v in group], -1)

    def _draws(self) -> int:
        laws = self.arena.program.module.NOISES[self.space.field]
        return sum(_size(shape) for _, shape in laws.values())

    def _meeting(self, t: int, points: Tensor, x: Tensor) -> Meeting:
        """Agents at x beside a crowd, in games side by side where everybody meets everybody."""
        games = max(1, len(points) // TOGETHER) if self.arena.pairs else 1
        crowd = len(points) // games
        points = points[: games * crowd].reshape(games, crowd, -1).double()
        simulator = self.arena.simulator(crowd + len(x), games)
        state = simulator.reset(0)
        state = self.arena.placed(state, self.space.values(x[None]))
        return self.arena.meeting(simulator.scene(t, state), points)

    def _stepped(self, t: int, points: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Next states and rewards of learning agents at y with the draws z, means over games."""
        arena = self.arena
        meeting = self._meeting(t, points, y[:, : self.width])
        crowd, games = meeting.crowd, meeting.scene.batch
        action = arena.idle(meeting)
        action = self._filled(action, crowd, self.actions, y[:, self.width :])
        module = arena.weighted.module
        laws = module.NOISES[self.space.field]
        noise, start = {}, 0
        for name, (_, shape) in laws.items():
            size = _size(shape)
            whole = y.new_zeros(games, crowd + len(y), size)
            whole[:, crowd:] = z[:, start : start + size]
            noise[name] = whole.reshape(games, -1, *shape)
            start += size
        kind = module.Noise.__annotations__[self.space.field]
        drawn = module.Noise(**{self.space.field: kind(**noise)})
        after, rewards = module.step(
            arena.params, meeting.scene.time, meeting.counted, action, drawn
        )
        paid = getattr(rewards, self.space.field).expand(games, -1)
        return self.space.points(after)[:, crowd:].mean(0), paid[:, crowd:].mean(0)

    def _filled(self, action: Any, crowd: int, kinds: Any, values: Tensor) -> Any:
        group = getattr(action, self.space.field)
        found, start = [], 0
        for old, feature in zip(group, kinds, strict=True):
            size = _size(feature.type.dims)
            new = old.clone()
            new[:, crowd:] = values[:, start : start + size].reshape(len(values), *old.shape[2:])
            found.append(new)
            start += size
        return type(action)(**{self.space.field: type(group)(*found)})

    def _agrees(self, found: Tensor, wanted: Tensor, what: str) -> None:
        apart = (found - wanted).abs().max()
        if not apart <= AGREE * (1 + wanted.abs().max()):
            raise _refused(self.arena.program.name, f"{what} is not that of one, given the law")


def respond(prober: Prober, points: Tensor) -> Response:
    """The best response to a crowd at `points` [T + 1, M, d], by a backward recursion.

    Raises:
        LessonError: the game is not linear-quadratic, or has no best response.
    """
    value, rate = prober.final(points[-1]), prober.arena.discount
    gains, offsets, curves = [], [], []
    width = prober.width
    for t in range(prober.arena.steps - 1, -1, -1):
        stage = prober.stage(t, points[t])
        ahead = value.slope + value.bend @ stage.shift
        constant = value.at(stage.shift) + 0.5 * (value.bend * stage.spread).sum()
        whole = Quadratic(
            stage.reward.constant + rate * constant,
            stage.reward.slope + rate * stage.matrix.T @ ahead,
            stage.reward.bend + rate * stage.matrix.T @ value.bend @ stage.matrix,
        )
        curve = -whole.bend[width:, width:]
        if not torch.linalg.eigvalsh(curve).min() > 0:
            raise _refused(prober.arena.program.name, f"no action is best at t = {t}")
        gain = torch.linalg.solve(curve, whole.bend[width:, :width])
        offset = torch.linalg.solve(curve, whole.slope[width:])
        value = Quadratic(
            whole.constant + 0.5 * offset @ curve @ offset,
            whole.slope[:width] + gain.T @ curve @ offset,
            whole.bend[:width, :width] + gain.T @ curve @ gain,
        )
        gains.append(gain)
        offsets.append(offset)
        curves.append(curve)
    stacked = [torch.stack(found[::-1]) for found in (gains, offsets, curves)]
    return Response(stacked[0], stacked[1], stacked[2], value)


def _size(dims: tuple[int, ...]) -> int:
    size = 1
    for length in dims:
        size *= length
    return size


def _refused(name: str, why: str) -> LessonError:
    return LessonError(
        f"{name} is not linear-quadratic for one agent: {why}", "leave `response` out"
    )
