"""A linear-quadratic game as one system: common states and means, and one member of each crowd.

The common vector s = (states of majors and environments, means of populations, 1) and the controls
u = (actions of majors, mean actions of populations) move by s' = moves (s, u) + noise. A member of
a population has its own x and a, and z = (x, s, a, u) says where it goes and what it pays. Costs
are rewards with the other sign: z' cost z. Everything is affine, by the entry 1 of s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mfdsl.runtime.solvers.riccati.forms import Array, Form, Quadratic, Start


@dataclass(frozen=True, eq=False)
class Crowd:
    """A population. `means` are the places of its means in s, `acts` of its mean actions in u.

    `moves` [stages or 1, d, n], `cost` [stages or 1, n, n] and `final` [d + p, d + p] are about
    z = (x, s, a, u) of n entries; `noise` and `shared` are the loadings of own and common noise.
    """

    name: str
    states: tuple[str, ...]
    actions: tuple[str, ...]
    means: slice
    acts: slice
    moves: Array
    cost: Array
    final: Array
    noise: Array
    shared: Array
    start: Start

    @property
    def size(self) -> int:
        """Entries d of a member's state."""
        return len(self.states)


@dataclass(frozen=True, eq=False)
class Single:
    """A major, or an environment that is paid: `acts` are the places of its actions in u.

    `cost` [stages or 1, p + q, p + q] is about (s, u), `final` [p, p] about s.
    """

    name: str
    actions: tuple[str, ...]
    acts: slice
    cost: Array
    final: Array


@dataclass(frozen=True, eq=False)
class Game:
    """All players together: `common` names the entries of s, the last one is 1, `controls` of u.

    `moves` [stages or 1, p, p + q] and the loadings `shared` [stages or 1, p, draws] of common
    noise give s'; means of finitely many members have noise of their own besides. `start` is that
    of s in the limit. Without an end `stages` is None.
    """

    crowds: tuple[Crowd, ...]
    singles: tuple[Single, ...]
    common: tuple[str, ...]
    controls: tuple[str, ...]
    moves: Array
    shared: Array
    start: Start
    stages: int | None
    discount: float
    team: bool

    @property
    def size(self) -> int:
        """Entries p of s."""
        return len(self.common)

    @property
    def paid(self) -> tuple[Crowd | Single, ...]:
        """All who have costs, majors first."""
        return (*self.singles, *self.crowds)


def mean_member(game: Game, crowd: Crowd) -> Array:
    """The matrix that takes (s, u) to z of a member in the middle, who does what is usual."""
    p, q = game.size, len(game.controls)
    whole = np.eye(p + q)
    rows = [whole[crowd.means], whole[:p], whole[p:][crowd.acts], whole[p:]]
    return np.concatenate(rows)


def joined(
    forms: Sequence[Form],
    starts: Mapping[str, Start],
    *,
    stages: int | None,
    discount: float,
    team: bool,
) -> Game:
    """The game of these players; `starts` has the law of each at t = 0."""
    reader = _Reader(forms)
    crowds = tuple(reader.crowd(f, starts[f.player]) for f in reader.crowds)
    singles = tuple(reader.single(f) for f in reader.singles)
    game = Game(
        crowds,
        tuple(s for s in singles if s.actions or s.cost.any() or s.final.any()),
        tuple(reader.common),
        tuple(reader.controls),
        np.zeros((1, reader.p, reader.p + reader.q)),
        np.zeros((1, reader.p, len(reader.draws))),
        reader.start(starts),
        stages,
        discount,
        team,
    )
    moves, shared = reader.moves(game)
    return replace(game, moves=moves, shared=shared)


class _Reader:
    """Where every name of the forms stands in s, u and z."""

    def __init__(self, forms: Sequence[Form]) -> None:
        self.singles = [f for f in forms if f.kind != "population"]
        self.crowds = [f for f in forms if f.kind == "population"]
        every = [*self.singles, *self.crowds]
        self.common = [f"{f.player}.{n}" for f in every for n in f.own] + ["1"]
        self.controls = [f"{f.player}.{n}" for f in every for n in f.actions]
        self.draws = [f"{f.player}.{n}" for f in self.singles for n in f.noises]
        self.laws = {f"{f.player}.{n}": law for f in self.singles for n, law in f.noises.items()}
        self.p, self.q = len(self.common), len(self.controls)

    def crowd(self, form: Form, start: Start) -> Crowd:
        d, b = len(form.own), len(form.actions)
        places = {("state", n): k for k, n in enumerate(form.own)}
        places |= {("trait", n): k for k, n in enumerate(form.own)}
        places |= {("action", n): d + self.p + k for k, n in enumerate(form.actions)}
        into, spread = self._placed(form, places, d, d + self.p + b)
        one, n = d + self.p - 1, d + self.p + b + self.q
        moves, noise, shared = self._moves(form, into, one)
        cost = _cost(form.running, into, spread, one)
        final = _cost(form.final, into, spread, one)[0]
        keep = np.r_[0 : d + self.p]
        assert into.shape[1] == n
        return Crowd(
            form.player,
            form.own,
            form.actions,
            self._slice(self.common, form, form.own),
            self._slice(self.controls, form, form.actions),
            moves,
            cost,
            final[np.ix_(keep, keep)],
            noise,
            shared,
            start,
        )

    def single(self, form: Form) -> Single:
        into, spread = self._placed(form, self._of_single(form), 0, self.p)
        final = _cost(form.final, into, spread, self.p - 1)[0]
        return Single(
            form.player,
            form.actions,
            self._slice(self.controls, form, form.actions),
            _cost(form.running, into, spread, self.p - 1),
            final[: self.p, : self.p],
        )

    def moves(self, game: Game) -> tuple[Array, Array]:
        """The rows of s' and of its common noise, stage by stage where some depend on time."""
        rows, shared = [], []
        for form in self.singles:
            into, _ = self._placed(form, self._of_single(form), 0, self.p)
            moves, _, common = self._moves(form, into, self.p - 1)
            still = self._still(form, self.p + self.q)
            rows.append(_stacked(moves, still))
            shared.append(_stacked(common, np.zeros((1, len(form.traits), len(self.draws)))))
        for crowd in game.crowds:
            rows.append(crowd.moves @ mean_member(game, crowd))
            shared.append(crowd.shared)
        one = np.zeros((1, 1, self.p + self.q))
        one[0, 0, self.p - 1] = 1.0
        return _stacked(*rows, one), _stacked(*shared, np.zeros((1, 1, len(self.draws))))

    def start(self, starts: Mapping[str, Start]) -> Start:
        """The law of s at t = 0, whose draws of majors and environments are common ones."""
        means, shared = [], []
        for form in (*self.singles, *self.crowds):
            means.append(starts[form.player].mean)
            shared.append(starts[form.player].shared)
        width = max((s.shape[1] for s in shared), default=0)
        whole = [*shared, np.zeros((1, width))]
        return Start(
            np.concatenate([*means, np.ones(1)]), np.zeros((self.p, 0)), np.concatenate(whole)
        )

    def _of_single(self, form: Form) -> dict[tuple[str, str], int]:
        own = {n: self.common.index(f"{form.player}.{n}") for n in form.own}
        acts = {n: self.p + self.controls.index(f"{form.player}.{n}") for n in form.actions}
        return (
            {("state", n): k for n, k in own.items()}
            | {("trait", n): k for n, k in own.items()}
            | {("action", n): k for n, k in acts.items()}
        )

    def _placed(
        self, form: Form, own: Mapping[tuple[str, str], int], s: int, u: int
    ) -> tuple[Array, Array]:
        """The matrix that takes z of the game to z of the form, noises at their means, and the
        standard deviations of noises; s and u begin at these places.
        """
        into = np.zeros((len(form.z), u + self.q))
        spread = np.zeros(len(form.z))
        for row, (sort, name) in enumerate(form.z):
            if (sort, name) in own:
                into[row, own[sort, name]] = 1.0
            elif sort == "noise":
                mean, spread[row] = form.noises[name] if name in form.noises else self.laws[name]
                into[row, s + self.p - 1] = mean
            elif name in self.common:
                into[row, s + self.common.index(name)] = 1.0
            else:
                into[row, u + self.controls.index(name)] = 1.0
        return into, spread

    def _moves(self, form: Form, into: Array, one: int) -> tuple[Array, Array, Array]:
        """Next states of a form in z of the game, and the loadings of own and common noise."""
        moves = form.slopes @ into
        moves[:, :, one] += form.offset
        stages = len(moves)
        noise = np.zeros((stages, len(form.states), len(form.noises)))
        shared = np.zeros((stages, len(form.states), len(self.draws)))
        for column, (sort, name) in enumerate(form.z):
            if sort != "noise":
                continue
            if form.kind == "population" and name in form.noises:
                place, target = list(form.noises).index(name), noise
                deviation = form.noises[name][1]
            else:
                place, target, deviation = self.draws.index(name), shared, self.laws[name][1]
            target[:, :, place] += form.slopes[:, :, column] * deviation
        if form.kind == "population":
            moves = _stacked(moves, self._still(form, into.shape[1]))
            rest = np.zeros((1, len(form.traits), 0))
            noise = _stacked(noise, np.zeros((1, rest.shape[1], noise.shape[2])))
            shared = _stacked(shared, np.zeros((1, rest.shape[1], shared.shape[2])))
        return moves, noise, shared

    def _still(self, form: Form, width: int) -> Array:
        """The rows of traits, which stay as they are."""
        rows = np.zeros((1, len(form.traits), width))
        for k, name in enumerate(form.traits):
            own = len(form.states) + k
            place = own if form.kind == "population" else self.common.index(f"{form.player}.{name}")
            rows[0, k, place] = 1.0
        return rows

    def _slice(self, names: Sequence[str], form: Form, entries: Sequence[str]) -> slice:
        if not entries:
            return slice(0, 0)
        first = names.index(f"{form.player}.{entries[0]}")
        return slice(first, first + len(entries))


def _cost(paid: Quadratic, into: Array, spread: Array, one: int) -> Array:
    """A reward as a matrix of costs in z of the game; its noises add their variances."""
    whole = into.T @ paid.matrix @ into
    whole[:, :, one] += paid.linear @ into / 2
    whole[:, one, :] += paid.linear @ into / 2
    noisy = np.einsum("tii,i->t", paid.matrix, spread**2)
    whole[:, one, one] += paid.constant + noisy
    found: Array = -(whole + whole.transpose(0, 2, 1)) / 2
    return found


def _stacked(*parts: Array) -> Array:
    """Rows under each other, for all stages where some depend on the stage."""
    stages = max(len(part) for part in parts)
    whole = [np.broadcast_to(part, (stages, *part.shape[1:])) for part in parts]
    return np.concatenate(whole, axis=1)
