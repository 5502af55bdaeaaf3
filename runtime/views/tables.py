"""Tables of a finite game: what one agent meets against a flow, built once and reused.

Everything here is in the inner order [T, A, S, B]. What reads neither time nor the law is
computed at build time; what reads the law is computed stage by stage along a flow.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views.folding import Folding
from mfdsl.runtime.views.kernels import (
    Kernel,
    ScatteredKernel,
    SizedKernel,
    WeightedKernel,
    incidence,
    matrix_kernel,
)

CHUNK_ENTRIES = 1 << 20


@dataclass(frozen=True, eq=False)
class Problem:
    """The decision problem of one agent against a flow.

    `rewards` is 0 at illegal actions; `legal` is None when every action is legal; `final` is the
    reward of the last states, None for zero.
    """

    rewards: Float[Tensor, "stages actions states batch"] = field(repr=False)
    kernels: Sequence[Kernel] = field(repr=False)
    legal: Bool[Tensor, "stages actions states batch"] | None = field(repr=False)
    final: Float[Tensor, "states batch"] | None = field(repr=False)


@dataclass(frozen=True, eq=False)
class Tables:
    """A program at given parameters, with all that does not depend on the law worked out.

    `kernel` is None when transitions read time or the law; `rewards` [T or 1, A, S, B or 1] is
    None when rewards read the law. `games` is the batch length B of the parameters.
    """

    program: Program
    params: Params = field(repr=False)
    stages: int
    games: int
    initial: Float[Tensor, "states batch"] = field(repr=False)
    legal: Bool[Tensor, "stages actions states batch"] | None = field(repr=False)
    successors: tuple[Tensor, Tensor] | None = field(repr=False)
    kernel: Kernel | None = field(repr=False)
    rewards: Float[Tensor, "stages actions states batch"] | None = field(repr=False)

    @property
    def unit(self) -> Tensor:
        """The number 1 on the device and in the dtype of the tables."""
        return self.params.unit

    @cached_property
    def chances(self) -> Folding:
        """Weights [K, A or 1, S or 1, B or 1] at a stage and at a law as the modules take it."""

        def weights(t: Tensor, joint: Tensor) -> Tensor:
            return _weights(self, t, self.program.module.field(self.params, t, joint))

        return Folding(weights)

    def public_joint(self, joint: Float[Tensor, "stages actions states batch"]) -> Tensor:
        """Joint laws as the modules take them, a view [T, B, *S, *A]."""
        shape = (*self.program.states.values(), *self.program.actions.values())
        return joint.permute(0, 3, 2, 1).view(len(joint), joint.shape[-1], *shape)

    def times(self, count: int) -> tuple[Tensor, ...]:
        """The stages 0, 1, ... as the modules take them."""
        return torch.arange(count, device=self.unit.device).unbind()


def build_tables(program: Program, params: Params, stages: int) -> Tables:
    """Work out successor tables, rewards and masks that do not depend on the law."""
    games = program.batch_of(params)
    initial = program.module.initial_law(params).reshape(-1, program.state_count).t()
    tables = Tables(
        program=program,
        params=params,
        stages=stages,
        games=games,
        initial=initial.expand(-1, games).contiguous(),
        legal=None,
        successors=None,
        kernel=None,
        rewards=None,
    )
    module = program.module
    legal = _legal_table(tables) if module.MASKED else None
    tables = replace(tables, legal=legal)
    if not module.SUCCESSORS_READ & {"time", "law"} and not _batched(tables, "SUCCESSORS_READ"):
        flat = _successors(tables, *_uniform_field(tables))[..., 0]
        arrivals = incidence(flat.reshape(-1), program.state_count, params.unit.dtype)
        tables = replace(tables, successors=(flat, arrivals))
    return replace(tables, kernel=_shared_kernel(tables), rewards=_shared_rewards(tables))


def doubled(tables: Tables) -> Tables:
    """The game in double precision, with the decimals that its parameters are the nearest to.

    A step function that reads 0.05 would otherwise jump elsewhere than it was written to.
    """
    if tables.unit.dtype != torch.float32:
        return tables
    given = tables.params._asdict()
    changed = {name: _decimals(x) for name, x in given.items() if x.is_floating_point()}
    return build_tables(tables.program, tables.params._replace(**changed), tables.stages)


def _decimals(numbers: Tensor) -> Tensor:
    """For each number in single precision the shortest decimal that is rounded to it."""
    found = [float(str(number)) for number in numbers.cpu().numpy().reshape(-1)]
    return torch.tensor(found, dtype=torch.float64, device=numbers.device).view(numbers.shape)


def _shared_kernel(tables: Tables) -> Kernel | None:
    module = tables.program.module
    if (module.SUCCESSORS_READ | module.WEIGHTS_READ) & {"time", "law"}:
        return None
    if tables.successors is None or _batched(tables, "WEIGHTS_READ"):
        joint = tables.public_joint(_uniform_joint(tables))
        return stage_kernel(tables, tables.times(1)[0], joint[0])
    flat, _ = tables.successors
    weights = _weights(tables, *_uniform_field(tables))[..., 0]
    return matrix_kernel(flat, weights, games=tables.games)


def stage_kernel(tables: Tables, t: Int[Tensor, ""], joint: Tensor) -> SizedKernel:
    """The transitions at stage t when the joint law, as the modules take it, is [B, *S, *A]."""
    if tables.successors is not None:
        entries, arrivals = tables.successors
        weights = tables.chances(t, joint)
        return WeightedKernel(entries.reshape(-1), arrivals, weights, _shape(entries))
    field = tables.program.module.field(tables.params, t, joint)
    weights = _weights(tables, t, field)
    places = _successors(tables, t, field)
    games = len(joint)
    if games > 1:
        places = (places * games + torch.arange(games, device=places.device)).contiguous()
    return ScatteredKernel(places, weights)


@dataclass(frozen=True, eq=False)
class StageTable:
    """The transitions of one stage that are the same for all games and laws."""

    successors: Int[Tensor, "noises actions states"] = field(repr=False)
    weights: Float[Tensor, "noises actions states"] = field(repr=False)

    def same_as(self, other: "StageTable") -> bool:
        """Whether all numbers are equal."""
        return torch.equal(self.successors, other.successors) and torch.equal(
            self.weights, other.weights
        )


def stage_table(tables: Tables, t: Int[Tensor, ""]) -> StageTable | None:
    """The transitions at stage t, None where games differ or moves read the law."""
    module = tables.program.module
    batched = _batched(tables, "SUCCESSORS_READ") or _batched(tables, "WEIGHTS_READ")
    if batched or "law" in module.SUCCESSORS_READ | module.WEIGHTS_READ:
        return None
    given = module.field(tables.params, t, tables.public_joint(_uniform_joint(tables))[0])
    places = _successors(tables, t, given)[..., 0]
    return StageTable(places, _weights(tables, t, given)[..., 0])


def flow_rewards(
    tables: Tables, joint: Float[Tensor, "stages actions states batch"], first: int = 0
) -> Float[Tensor, "stages actions states batch"]:
    """Rewards at the stages `first`, `first + 1`, ..., 0 at illegal actions.

    Many stages are one call of the module with time in the batch axis, in blocks that bound the
    memory of its intermediate tables.
    """
    stages = len(joint)
    out = torch.empty_like(joint)
    block = max(1, CHUNK_ENTRIES // joint[0].numel())
    for start in range(0, stages, block):
        part = joint[start : start + block]
        rewards = _rewards_of_block(tables, part, first + start)
        out[start : start + block] = rewards
    if tables.legal is not None:
        stage_legal = tables.legal if len(tables.legal) == 1 else tables.legal[first:][:stages]
        out.masked_fill_(~stage_legal, 0)
    return out


def final_rewards(
    tables: Tables, law: Float[Tensor, "states batch"]
) -> Float[Tensor, "states batch"] | None:
    """Reward of the states at the end, None when the game has none."""
    module = tables.program.module
    if not module.HAS_FINAL:
        return None
    public = law.t().reshape(-1, *tables.program.states.values())
    reward = module.final_rewards(
        tables.params, torch.tensor(tables.stages, device=law.device), public
    )
    return cast(Tensor, reward).reshape(-1, law.shape[0]).t().expand_as(law).contiguous()


def _rewards_of_block(tables: Tables, joint: Tensor, first: int) -> Tensor:
    stages, actions, states, games = joint.shape
    public = tables.public_joint(joint).flatten(0, 1)
    times = torch.arange(first, first + stages, device=joint.device)
    if games > 1:
        times = times.repeat_interleave(games)
    rewards = tables.program.module.rewards(_repeated(tables, stages), times, public)
    table = cast(Tensor, rewards).reshape(-1, states, actions)
    table = table.expand(stages * games, states, actions).view(stages, games, states, actions)
    return table.permute(0, 3, 2, 1)


def _repeated(tables: Tables, stages: int) -> Params:
    """Parameters with the batch repeated for each stage of a block."""
    if stages == 1 or tables.games == 1:
        return tables.params
    changes = {}
    for name in tables.program.batched(tables.params):
        value = getattr(tables.params, name)
        changes[name] = value.repeat(stages, *(1 for _ in value.shape[1:]))
    return tables.params._replace(**changes)


def _shared_rewards(tables: Tables) -> Tensor | None:
    module = tables.program.module
    if "law" in module.REWARDS_READ:
        return None
    stages = tables.stages if "time" in module.REWARDS_READ else 1
    joint = _uniform_joint(tables)
    if module.MASKED and tables.legal is not None:
        stages = max(stages, len(tables.legal))
    return flow_rewards(tables, joint.expand(stages, *joint.shape[1:]))


def _legal_table(tables: Tables) -> Tensor:
    program = tables.program
    stages = tables.stages if "time" in program.module.LEGAL_READ else 1
    times = torch.arange(stages, device=tables.unit.device).repeat_interleave(tables.games)
    legal = program.module.legal(_repeated(tables, stages), times)
    legal = legal.expand(stages * tables.games, -1, -1)
    legal = legal.view(stages, tables.games, program.state_count, program.action_count)
    return cast(Tensor, legal).permute(0, 3, 2, 1).contiguous()


def _uniform_joint(tables: Tables) -> Tensor:
    """The uniform joint law [1, A, S, B] of one stage, for tables that do not read it."""
    states, actions = tables.program.state_count, tables.program.action_count
    return (tables.unit / (states * actions)).expand(1, actions, states, tables.games).contiguous()


def _uniform_field(tables: Tables) -> tuple[Tensor, object]:
    """Stage 0 and the field of the uniform law there."""
    start = tables.times(1)[0]
    joint = tables.public_joint(_uniform_joint(tables))[0]
    return start, tables.program.module.field(tables.params, start, joint)


def _successors(tables: Tables, t: Tensor, field: object) -> Tensor:
    """Successors [K, A, S, B or 1] at stage t."""
    table = tables.program.module.successors(tables.params, t, field)
    return cast(Tensor, table).permute(3, 2, 1, 0).contiguous()


def _weights(tables: Tables, t: Tensor, field: object) -> Tensor:
    """Weights [K, A or 1, S or 1, B or 1] at stage t."""
    table = tables.program.module.weights(tables.params, t, field)
    return cast(Tensor, table).permute(3, 2, 1, 0).contiguous()


def _batched(tables: Tables, reads: str) -> bool:
    """Whether the table may differ over the games because it reads batched parameters."""
    return "params" in getattr(tables.program.module, reads) and tables.games > 1


def _shape(table: Tensor) -> tuple[int, int, int]:
    """The sizes (K, A, S) of a successor table."""
    return cast(tuple[int, int, int], tuple(table.shape))
