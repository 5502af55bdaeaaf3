"""The path to a zero of the objective of MF-OMO along which masses times gaps shrink together."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation
from mfdsl.runtime.solvers.base import KeptState, unscored
from mfdsl.runtime.solvers.occupation_classes import classes_of, stayed
from mfdsl.runtime.solvers.occupation_newton import Faults, changes
from mfdsl.runtime.solvers.occupation_slopes import View, reads_states_only, slopes
from mfdsl.runtime.solvers.options import OccupationOptimisationConfig
from mfdsl.runtime.solvers.single_games import games_of
from mfdsl.runtime.solvers.state_rows import joined, taken
from mfdsl.runtime.views.finite import FiniteView, state_values
from mfdsl.runtime.views.stationary import StationaryView

ROUNDED = 32.0  # roundings of the largest value that gaps are above at the end of the path,
LEAST = 16.0  # and that no gap is below on the way there
LONGEST = 8.0
SHORTEST = 1e-4
SHRINKAGE = 1 / 3
GROWTH = ((0.3, 3.0), (1.0, 1.5))  # first corrections below, and how the step grows then
MOST_GROWN = 3.0  # of the logarithm of a mass, in one prediction
FAR = 2.0  # of the logarithm of a mass, in one correction
ALLOWED = 0.5  # ratio of corrections of a step that is taken
NEAR = 0.005  # a correction after which no other is made,
CLOSE = 0.01  # where gaps are as close to what they should be, relative to themselves
BLURRED = 10.0  # times as large at most both may be near rounding,
BLUR = 200.0  # in roundings of the least gap
MOST_CORRECTIONS = 8
STRAIGHT = 0.7  # cosine of the angle by which the path may turn in a step
CORNER = 0.01  # but in one as short as this it may turn by any
NOBODY = 1e-12


@dataclass(frozen=True, eq=False)
class Path(KeptState):
    """A point of the path: logarithms of `masses`, `values` in units of `scale`, and `price`.

    Masses times gaps are exp(price) `weights`, 0 for pairs that nobody reaches. `*_turn` is the
    direction of the path there, `length` the next step along it; `by_state` is 1 where the game
    reads the law of states only, and `ended` where the path went no further.
    """

    masses: Float[Tensor, "batch stages states actions"]
    values: Float[Tensor, "batch stages states"]
    price: Float[Tensor, " batch"]
    weights: Float[Tensor, "batch stages states actions"]
    scale: Float[Tensor, " batch"]
    mass_turn: Float[Tensor, "batch stages states actions"]
    value_turn: Float[Tensor, "batch stages states"]
    price_turn: Float[Tensor, " batch"]
    length: Float[Tensor, " batch"]
    by_state: Float[Tensor, " batch"]
    ended: Float[Tensor, " batch"]


@dataclass(frozen=True, eq=False)
class Point:
    """A point near the path, or a direction there: logarithms of masses, values, and the price."""

    masses: Float[Tensor, "stages states actions"]
    values: Float[Tensor, "stages states"]
    price: float

    def plus(self, step: "Point", share: float = 1.0) -> "Point":
        """This point plus a multiple of another."""
        return Point(
            self.masses + share * step.masses,
            self.values + share * step.values,
            self.price + share * step.price,
        )

    def corrected(self, step: "Point") -> "Point":
        """This point plus a small step in the masses themselves, in which flows are linear."""
        linear = torch.where(step.masses > -0.5, step.masses, 0.0).log1p()
        moved = torch.where(step.masses > -0.5, linear, step.masses)
        return self.plus(Point(moved, step.values, step.price))

    def predicted(self, turn: "Point", length: float) -> "Point":
        """The point so far along the path.

        Values, and masses that stay, are smooth in exp(price); masses that vanish are multiples.
        """
        change = length * turn.price
        curve = math.expm1(change) / change if change else 1.0
        gone = (turn.masses / turn.price > 0.5) if turn.price else torch.zeros_like(turn.masses)
        straight = torch.where(gone.bool(), turn.price, 0.0)
        return Point(
            self.masses + length * (straight + curve * (turn.masses - straight)),
            self.values + length * curve * turn.values,
            self.price + change,
        )


@dataclass(frozen=True)
class PathSteps:
    """Steps along d z = exp(price) weights, with flow and Bellman equations fulfilled.

    The path begins at the flow of the uniform policy, with values above those of the best response
    by `offset` for each stage to come, so that all gaps are at least `offset`. Where the price goes
    to minus infinity, an equilibrium is reached: the objective of MF-OMO (Guo, Hu and Zhang 2022,
    arXiv 2206.09608) is then 0. In logarithms of masses the path becomes straight; it is followed
    by predictions and Newton corrections with exact derivatives, at right angles to it, so that it
    may turn back for a while (Allgower and Georg 1990, doi 10.1007/978-3-642-61257-2). Policies on
    it are the best ones of a game where every action pays a logarithm of its probability, as in the
    logarithmic tracing of Eibelshäuser, Klockmann, Poensgen and von Schenk 2023, INFORMS J. Comput.
    """

    config: OccupationOptimisationConfig

    def init(self, view: View) -> Path:
        """The flow of the uniform policy, and the direction of the path there."""
        assert isinstance(view, FiniteView | StationaryView)
        return joined([_turned(game, self._begun(game)) for game in games_of(view)])

    def _begun(self, view: View) -> Path:
        """The start of one game: in a batch it is that of the game alone, to the last digit."""
        evaluation = Evaluation(view, view.uniform())
        flow, best_q = evaluation.flow, evaluation.best_q
        assert flow.problem is not None
        scale = flow.problem.rewards.abs().amax((0, 1, 2)).clamp(min=NOBODY)
        if flow.problem.final is not None and getattr(view, "truncation", None) is None:
            scale = torch.maximum(scale, flow.problem.final.abs().amax(0))
        best, unit = state_values(best_q), scale[:, None, None]
        gaps = (best[..., None] - best_q).where(best_q > -torch.inf, 0) / unit[..., None]
        offset = self.config.offset
        joint = flow.joint.contiguous()
        joint = stayed(joint) if isinstance(view, StationaryView) else joint
        masses = joint.where(joint > 0, 1.0).log()
        values = best / unit + offset * _stages_to_come(view, joint)[None, :, None]
        nothing, one = torch.zeros_like(scale), torch.ones_like(scale)
        return Path(
            0,
            evaluation.policy.probs,
            *unscored(evaluation.policy.probs),
            masses,
            values,
            nothing,
            joint * (gaps + offset),
            scale,
            masses * 0,
            values * 0,
            -one,
            one,
            nothing,
            nothing,
        )

    def step(self, evaluation: Evaluation, state: Path) -> Path:
        """One step of each game along its path, where it goes on."""
        view = evaluation.view
        assert isinstance(view, FiniteView | StationaryView)
        games = enumerate(games_of(view))
        moved = [_followed(game, taken(state, [b])) for b, game in games]
        uniform = view.uniform().probs
        masses = torch.cat([part.masses for part in moved]).exp()
        masses = torch.where(torch.cat([part.weights for part in moved]) > 0, masses, 0.0)
        sums = masses.sum(-1, keepdim=True)
        probs = (masses / sums.where(sums > 0, 1.0)).where(sums > 0, uniform)
        return replace(joined(moved), iteration=state.iteration + 1, probs=probs.contiguous())


def _stages_to_come(view: View, joint: Tensor) -> Float[Tensor, " stages"]:
    """How much the values of each stage grow when all gaps grow by 1."""
    stages = joint.shape[1]
    if isinstance(view, StationaryView):
        return joint.new_full((1,), 1 / (1 - view.discount))
    powers = view.discount ** torch.arange(stages, dtype=joint.dtype, device=joint.device)
    return powers.cumsum(0).flip(0)


def _followed(view: View, state: Path) -> Path:
    """One step along the path, shorter and shorter until corrections settle and it hardly turns.

    Where it turns sharply another part of the path, run the other way, may be next to it; but where
    rewards have corners, the path has some. Back at the price of the start it is not the path any
    more that leads from there.
    """
    here, turn = _at(state), _turn(state)
    if state.ended.item():
        return state
    if here.price > 0:
        return replace(state, ended=torch.ones_like(state.ended))
    length, last = state.length.item(), _last(here)
    while length >= SHORTEST:
        most = LONGEST if turn.price >= 0 else (last - here.price) / turn.price
        grown = turn.masses.amax().item() * length
        found = None
        if grown < MOST_GROWN:
            found = _corrected(view, state, here.predicted(turn, min(length, most)))
        if found is not None and (length <= CORNER or _cosine(found[0], turn, found[1]) > STRAIGHT):
            return _arrived(state, *found, length)
        length *= SHRINKAGE
    return replace(state, ended=torch.ones_like(state.ended))


def _arrived(state: Path, point: Point, turn: Point, first: float, length: float) -> Path:
    """The state at a new point, with the next step."""
    growth = next((factor for size, factor in GROWTH if first < size), 1.0)
    done = point.price <= _last(point) + NEAR
    like = state.price
    return replace(
        state,
        masses=point.masses[None],
        values=point.values[None],
        price=torch.full_like(like, point.price),
        mass_turn=turn.masses[None],
        value_turn=turn.values[None],
        price_turn=torch.full_like(like, turn.price),
        length=torch.full_like(like, min(LONGEST, length * growth)),
        ended=torch.full_like(like, float(done)),
    )


def _corrected(view: View, state: Path, point: Point) -> tuple[Point, Point, float] | None:
    """The point of the path near one, the direction there, and the size of the first correction.

    None where corrections do not shrink: the point was too far from the path.
    """
    before = _turn(state)
    sizes: list[float] = []
    for _ in range(MOST_CORRECTIONS):
        newton, along, off, blur = _linear(view, state, point)
        aside = _product(point, before, along)
        share = -_product(point, before, newton) / aside if aside else 0.0
        step = newton.plus(along, share)
        size = step.masses.abs().amax().item()
        if not size <= FAR:
            return None
        if sizes and size > max(ALLOWED * sizes[-1], NEAR * blur):
            return None
        point = point.corrected(step)
        sizes.append(size)
        if size <= NEAR * blur and off <= CLOSE * blur:
            return point, _normed(along, math.copysign(1.0, aside)), sizes[0]
    return None


def _linear(view: View, state: Path, point: Point) -> tuple[Point, Point, float, float]:
    """Newton's step at this price, and the change of the point for a change of 1 of the price.

    Third, how far gaps are from those that masses ask for, relative to these; last, how much less
    than elsewhere can be asked of a point here, where the least gaps are near rounding.
    """
    weights, scale = state.weights[0], state.scale
    known = weights > 0
    mass = torch.where(known, point.masses.exp(), 0.0)
    costs = torch.where(known, math.exp(point.price) * weights * (-point.masses).exp(), 1.0)
    # Who has come to be many has the least gaps. Below rounding these would tell masses nothing.
    falling = costs > LEAST * _rounding(point)
    costs = costs.clamp(min=LEAST * _rounding(point))
    blur = BLUR * _rounding(point) / costs.amin().item()
    found = slopes(view, mass, point.values, scale, known, by_state=bool(state.by_state.item()))
    laws = mass.sum(-1)
    above = point.values[..., None].expand_as(mass).flatten(1)
    own = costs.flatten(1)
    fall = own.where(falling.flatten(1), 0.0)
    gain = torch.stack([found.q - above + own, fall], -1).where(known.flatten(1)[..., None], 0.0)
    refill = None
    if isinstance(view, StationaryView):
        classes = classes_of(view)
        refill = classes.refill(state.weights[0, 0].sum(-1))
        short = laws - found.comes + refill @ (laws[0] - classes.law)
    else:
        short = laws - torch.cat([view.tables.initial.t(), found.comes[:-1]])
    faults = Faults(gain, torch.stack([short, torch.zeros_like(short)], -1))
    moved, values = changes(found, mass, costs, faults, view.discount, refill)
    values = values.where(laws[..., None] > 0, 0.0)
    logs = moved.view(*mass.shape, 2) / mass.where(known, 1.0)[..., None]
    logs = logs.where(known[..., None], 0.0)
    return (
        Point(logs[..., 0], values[..., 0], 0.0),
        Point(logs[..., 1], values[..., 1], 1.0),
        (gain[..., 0] / own).where(known.flatten(1), 0.0).abs().amax().item(),
        min(max(blur, 1.0), BLURRED),
    )


def _last(point: Point) -> float:
    """The price at which gaps of actions that are taken are hardly above rounding."""
    return math.log(ROUNDED * _rounding(point))


def _rounding(point: Point) -> float:
    """That of the largest value."""
    size = max(1.0, point.values.abs().amax().item())
    return torch.finfo(point.values.dtype).eps * size


def _product(at: Point, one: Point, other: Point) -> float:
    """How far two directions agree in prices and masses; those of next to nobody hardly count."""
    together = (at.masses.exp() * one.masses * other.masses).sum().item()
    return float(together + one.price * other.price)


def _cosine(at: Point, one: Point, other: Point) -> float:
    sizes = _product(at, one, one) * _product(at, other, other)
    return _product(at, one, other) / math.sqrt(sizes)


def _normed(along: Point, sign: float) -> Point:
    """The direction with a largest change of 1 in the logarithms."""
    size = max(1.0, along.masses.abs().amax().item())
    return Point(along.masses * sign / size, along.values * sign / size, sign / size)


def _turned(view: View, state: Path) -> Path:
    """The state at the start, with the direction of the path there."""
    by_state = float(reads_states_only(view))
    state = replace(state, by_state=torch.full_like(state.by_state, by_state))
    turn = _normed(_linear(view, state, _at(state))[1], -1.0)
    return replace(
        state,
        mass_turn=turn.masses[None],
        value_turn=turn.values[None],
        price_turn=torch.full_like(state.price, turn.price),
    )


def _at(state: Path) -> Point:
    return Point(state.masses[0], state.values[0], state.price.item())


def _turn(state: Path) -> Point:
    return Point(state.mass_turn[0], state.value_turn[0], state.price_turn.item())
