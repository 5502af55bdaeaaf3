"""Structural policy gradients along drawn paths of a common noise, other ones in each step."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mfdsl.runtime.solvers.networks.along import (
    Act,
    PathGame,
    Paths,
    Room,
    Walk,
    best,
    legal_at,
    walk,
)
from mfdsl.runtime.solvers.networks.dense import Shape, Weights, adam, deepened, fresh, unpacked
from mfdsl.runtime.solvers.networks.options import StructuralConfig
from mfdsl.runtime.solvers.networks.reading import reading_of
from mfdsl.runtime.streams import draw
from mfdsl.runtime.views.finite import FiniteView

MEASURED = 0  # the number of the paths that policies are measured on; training begins with the next


@dataclass(frozen=True, eq=False)
class PathPolicy:
    """A network that reads the stage, own states and what all see: (seen - centre) / scale."""

    shape: Shape
    weights: Weights
    centre: Float[Tensor, " seen"] = field(repr=False)
    scale: Float[Tensor, " seen"] = field(repr=False)

    def along(self, game: PathGame, paths: Paths) -> Act:
        """What it does on these paths."""
        params = game.params(paths.values)

        def act(t: int, seen: Tensor) -> Tensor:
            scores = self.scores(t, seen).view(len(seen), game.program.state_count, -1)
            if game.program.module.MASKED:
                scores = scores.masked_fill(~legal_at(game, params, t), -torch.inf)
            return torch.softmax(scores, -1)

        return act

    def scores(
        self, t: int, seen: Float[Tensor, "paths seen"], rows: Int[Tensor, " rows"] | None = None
    ) -> Float[Tensor, "rows actions"]:
        """Outputs at rows (path, state) of a stage, all of them without."""
        leaves, own = self._unpacked
        told = self.told(leaves, seen)
        if rows is None:
            units = (own[t] + told[:, None]).flatten(0, 1)
        else:
            states = own.shape[1]
            units = own[t].index_select(0, rows % states) + told.index_select(0, rows // states)
        return deepened(self.shape, leaves, units[None])[0]

    @cached_property
    def _unpacked(self) -> tuple[list[Tensor], Float[Tensor, "stages states hidden"]]:
        """The matrices, and what the first layer makes of all stages and own states."""
        leaves = [leaf.detach() for leaf in unpacked(self.shape, self.weights.values)]
        stages = self.shape.reading.stages
        return leaves, first_layer(self.shape, leaves)[0].view(stages, -1, self.shape.hidden)

    def told(
        self, leaves: list[Tensor], seen: Float[Tensor, "paths seen"]
    ) -> Float[Tensor, "paths hidden"]:
        """What the first layer makes of what all see."""
        if not self.shape.law:
            return self.centre.new_zeros(len(seen), self.shape.hidden)
        read = (seen.float() - self.centre) / self.scale
        return read @ leaves[len(self.shape.reading.parts)][0]


def first_layer(
    shape: Shape, leaves: list[Tensor], stages: slice | None = None
) -> Float[Tensor, "1 rows hidden"]:
    """Sums of the first layer over what is read of own states and the stage, and its bias."""
    parts = shape.reading.parts
    projected = [part.projected(w) for part, w in zip(parts, leaves, strict=False)]
    return shape.reading.summed(projected, None, stages) + leaves[len(shape.first)]


@dataclass(frozen=True)
class PathRecord:
    """A measurement: means over paths that no step was made on, undiscounted by sampling.

    `gain` is what one member gains who knows the whole path of the common noise, so at least what
    any gains who does not; `std_error` is over paths.
    """

    iteration: int
    gain: float
    std_error: float
    value: float


def fresh_policy(game: PathGame, config: StructuralConfig, paths: Paths) -> PathPolicy:
    """The uniform policy: a network whose outputs are zero.

    What is seen is scaled by what is seen of the flow of the uniform policy.
    """
    program, reading = game.program, reading_of(FiniteView.build(game.program))
    shape = Shape(reading, program.action_count, config.hidden, config.layers, len(game.seen))
    weights = fresh(shape, 1, config.seed, torch.device("cpu"))
    blank = torch.zeros_like(weights)
    found = Weights(weights, blank, blank, 0)
    ones = torch.ones(len(game.seen), dtype=torch.float32)
    start = PathPolicy(shape, found, torch.zeros_like(ones), ones)
    params = game.params(paths.values, torch.float32)
    seen = torch.cat(walk(game, params, start.along(game, paths)).seen)
    if not seen.numel():
        return start
    scale = seen.std(0)
    return replace(start, centre=seen.mean(0), scale=scale.where(scale > 0, 1))


def climb(
    game: PathGame,
    config: StructuralConfig,
    *,
    iterations: int,
    paths: int,
    measured: int = 8,
    measure_every: int = 1,
    report: Callable[[PathRecord], None] | None = None,
) -> tuple[PathPolicy, list[PathRecord]]:
    """Steps of Adam along the derivative of the return in the policy, the population held fixed.

    Each step draws other `paths`. Along each of them the derivative is exact, as in
    `policy_gradient.py`: laws times values of one sweep. Values there know the noise to come, the
    policy does not, so that the mean over paths is the derivative of the expected return. With
    `batch` that many pairs (path and state, as many at each stage) are drawn by the laws.

    Wibault et al. 2026, arXiv 2602.20141.
    """
    apart = game.drawn(MEASURED, measured)
    policy = fresh_policy(game, config, apart)
    room, records = Room.of(game, paths, torch.float32), []
    for iteration in range(iterations + 1):
        if iteration % measure_every == 0 or iteration == iterations:
            records.append(measure(game, policy, apart, iteration, room))
            if report is not None:
                report(records[-1])
        if iteration < iterations:
            policy = advanced(game, policy, config, iteration, paths, room)
    return policy, records


def advanced(
    game: PathGame,
    policy: PathPolicy,
    config: StructuralConfig,
    iteration: int,
    paths: int,
    room: Room | None = None,
) -> PathPolicy:
    """The policy after the steps of an iteration, each along other paths."""
    rate = config.learning_rate * (iteration + 1) ** -config.decay
    for step in range(config.updates):
        number = iteration * config.updates + step
        drawn = game.drawn(MEASURED + 1 + number, paths)
        acts = policy.along(game, drawn)
        flow = walk(game, game.params(drawn.values, torch.float32), acts, room)
        slope = return_slope(policy, config, flow, number)
        policy = replace(policy, weights=adam(policy.weights, slope, rate))
    return policy


def return_slope(
    policy: PathPolicy, config: StructuralConfig, flow: Walk, number: int
) -> Float[Tensor, "1 weights"]:
    """The derivative of minus the return in the weights, the mean over the paths.

    The price of entropy is paid beside the rewards. `number` is that of the step, for its draws.
    """
    leaves = unpacked(policy.shape, policy.weights.values)
    total = [torch.zeros_like(leaf) for leaf in leaves]

    def paid_for(t: int, q: Tensor) -> Tensor:
        return q - config.entropy * flow.probs[t].log() if config.entropy > 0 else q

    for t, q, value in flow.sweep(lambda t, q: flow.of_policy(t, paid_for(t, q))):
        gain = paid_for(t, q) - value[..., None]
        gain = gain.where(flow.probs[t] > 0, 0).flatten(0, 1)
        count = flow.laws[t].flatten() * flow.game.program.discount**t / len(value)
        rows = torch.arange(count.numel())
        if config.batch:
            size = max(1, config.batch // flow.game.stages)
            rows = _drawn_rows(count, size, (config.seed, number * flow.game.stages + t))
            count = (count.sum() / size).expand(size)
        with torch.enable_grad():
            scores = _scores(policy, leaves, flow, t, rows)
            paid = (torch.softmax(scores, -1) * gain[rows]).sum(-1)
            slopes = torch.autograd.grad(-(count * paid).sum(), leaves)
        for kept, slope in zip(total, slopes, strict=True):
            kept += slope
    return torch.cat([s.flatten(1) for s in total], 1)


def _scores(
    policy: PathPolicy, leaves: list[Tensor], flow: Walk, t: int, rows: Int[Tensor, " rows"]
) -> Float[Tensor, "rows actions"]:
    """Outputs of the network at rows (path, state) of a stage; -inf where probabilities are 0."""
    states, shape = flow.laws[0].shape[1], policy.shape
    own = first_layer(shape, leaves, stages=slice(t, t + 1))[0]
    told = policy.told(leaves, flow.seen[t])
    units = own.index_select(0, rows % states) + told.index_select(0, rows // states)
    scores = deepened(shape, leaves, units[None])[0]
    closed = flow.probs[t].flatten(0, 1)[rows] == 0
    return scores.masked_fill(closed, -torch.inf) if flow.game.program.module.MASKED else scores


def _drawn_rows(count: Tensor, number: int, key: tuple[int, int]) -> Int[Tensor, " rows"]:
    """Rows at even distances along their weights, from a drawn start."""
    ends = count.double().cumsum(0)
    start = draw(("uniform",), (1,), (*key, "rows along paths"))
    places = (torch.arange(number) + start) / number * ends[-1]
    return torch.searchsorted(ends, places, right=True).clamp(max=len(ends) - 1)


def measure(
    game: PathGame, policy: PathPolicy, paths: Paths, iteration: int, room: Room | None = None
) -> PathRecord:
    """What the policy returns on these paths, and what one gains who knows each of them."""
    fits = room is not None and room.probs.shape[1] == paths.count
    params = game.params(paths.values, torch.float32)
    flow = walk(game, params, policy.along(game, paths), room if fits else None)
    own = flow.first(flow.sweep(flow.of_policy))
    gains = flow.first(flow.sweep(best)) - own
    error = float(gains.std() / len(gains) ** 0.5) if len(gains) > 1 else float("nan")
    return PathRecord(iteration, float(gains.mean()), error, float(own.mean()))
