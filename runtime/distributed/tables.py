"""Tables of a part of the states of one game; the law of all is gathered where they read it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast, overload

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mfdsl.runtime.distributed.group import Group
from mfdsl.runtime.distributed.halo import Halo, build_halo
from mfdsl.runtime.distributed.moves import FixedMoves, StageMoves, fixed_moves
from mfdsl.runtime.distributed.parts import PartError, part_program, parts_of, reads_actions
from mfdsl.runtime.program import Params, Program
from mfdsl.runtime.views.kernels import Kernel
from mfdsl.runtime.views.stage_kernels import KEPT_WEIGHTS
from mfdsl.runtime.views.tables import CHUNK_ENTRIES

Moves = FixedMoves | StageMoves


@dataclass(frozen=True, eq=False)
class PartTables:
    """The states `places[rank]` of the game `whole`; `program` has their tables.

    `inside` has for a state of all where it is among the own ones and the halo. `targets` are
    where moves lead, inside, None where that changes with time or the law: then the halo is all
    other states. `moves` is None when chances change, too. `crowd` says whether statistics read the
    actions of others.
    """

    group: Group
    whole: Program
    program: Program
    params: Params = field(repr=False)
    stages: int
    places: tuple[Int[Tensor, " part"], ...] = field(repr=False)
    initial: Float[Tensor, "own 1"] = field(repr=False)
    legal: Bool[Tensor, "stages actions own 1"] | None = field(repr=False)
    halo: Halo = field(repr=False)
    inside: Int[Tensor, " states"] = field(repr=False)
    targets: Int[Tensor, "noises actions own"] | None = field(repr=False)
    moves: FixedMoves | None = field(repr=False)
    crowd: bool

    @property
    def own(self) -> int:
        """How many states the part has."""
        return len(self.initial)

    def together(self, parts: Float[Tensor, "rows own"]) -> Float[Tensor, "rows states"]:
        """The rows of all states, from those of each part."""
        widest = max(len(place) for place in self.places)
        padded = parts.new_zeros(len(parts), widest)
        padded[:, : self.own] = parts
        out = parts.new_empty(len(parts), self.whole.state_count)
        rows = self.group.from_all(padded)
        for place, row in zip(self.places, rows, strict=True):
            out[:, place.to(out.device)] = row[:, : len(place)]
        return out

    def law_of(
        self, laws: Float[Tensor, "stages own 1"], probs: Float[Tensor, "stages actions own 1"]
    ) -> Tensor:
        """Joint laws of all, [T, *S, *A] as the modules take them.

        Where nobody reads actions, all have the first one: the law of the states is what counts.
        """
        stages, actions, own = probs.shape[:3]
        states = self.whole.state_count
        sizes = (*self.whole.states.values(), *self.whole.actions.values())
        if self.crowd:
            joint = (laws[:, None] * probs).view(stages * actions, own)
            found = self.together(joint).view(stages, actions, states).transpose(1, 2)
            return found.reshape(stages, *sizes)
        found = laws.new_zeros(stages, states, actions)
        found[..., 0] = self.together(laws.view(stages, own))
        return found.view(stages, *sizes)

    def rewards(
        self,
        laws: Float[Tensor, "stages own 1"],
        probs: Float[Tensor, "stages actions own 1"],
        first: int = 0,
    ) -> Float[Tensor, "stages actions own 1"]:
        """Rewards of the own states at the stages `first`, ..., 0 at illegal actions."""
        module, out = self.program.module, torch.empty_like(probs)
        stages, actions, own = probs.shape[:3]
        block = max(1, CHUNK_ENTRIES // (self.whole.state_count * actions))
        for start in range(0, stages, block):
            part = slice(start, min(start + block, stages))
            count = part.stop - start
            times = torch.arange(first + start, first + part.stop, device=out.device)
            law = self._read(module.REWARDS_READ, laws[part], probs[part])
            found = cast(Tensor, module.rewards(self.params, times, law))
            out[part] = found.expand(count, own, actions).permute(0, 2, 1)[..., None]
        if self.legal is not None:
            legal = self.legal if len(self.legal) == 1 else self.legal[first:][:stages]
            out.masked_fill_(~legal, 0)
        return out

    def final(self, law: Float[Tensor, "own 1"]) -> Float[Tensor, "own 1"] | None:
        """Reward of the own states at the end, None when the game has none."""
        module = self.program.module
        if not module.HAS_FINAL:
            return None
        whole = self.together(law.t()).view(1, *self.whole.states.values())
        time = torch.tensor(self.stages, device=law.device)
        found = cast(Tensor, module.final_rewards(self.params, time, whole))
        return found.reshape(-1, self.own).t().contiguous()

    def moves_at(
        self, t: int, law: Float[Tensor, "own 1"], share: Float[Tensor, "actions own 1"]
    ) -> Moves:
        """The moves at a stage, under a law and the probabilities of actions there."""
        if self.moves is not None:
            return self.moves
        module = self.program.module
        time = torch.tensor([t], device=law.device)
        reads = module.WEIGHTS_READ | module.SUCCESSORS_READ
        joint = self._read(reads, law[None], share[None])
        field = module.field(self.params, time, joint)
        chances = cast(Tensor, module.weights(self.params, time, field))[0].permute(2, 1, 0)
        targets = self.targets
        if targets is None:
            lands = cast(Tensor, module.successors(self.params, time, field))[0].permute(2, 1, 0)
            targets = self.inside[lands]
        return StageMoves(self.halo, targets, chances)

    def _read(self, reads: frozenset[str], laws: Tensor, probs: Tensor) -> Tensor:
        """The joint law of all where it is read, else one that nobody looks at."""
        if "law" in reads:
            return self.law_of(laws, probs)
        sizes = (len(laws), *self.whole.states.values(), *self.whole.actions.values())
        return (self.params.unit / (self.whole.state_count * probs.shape[1])).expand(sizes)


def build_part(group: Group, whole: Program, params: Params, stages: int) -> PartTables:
    """The tables of this process.

    Raises:
        PartError: the states of the game cannot be shared.
    """
    reason = why_not(whole)
    if reason is not None:
        raise PartError(reason)
    parts = parts_of(whole, group.size)
    program = part_program(whole, parts[group.rank])
    device = params.unit.device
    places = tuple(part.places().to(device) for part in parts)
    module = program.module
    time = torch.tensor([0], device=device)
    sizes = (1, *whole.states.values(), *whole.actions.values())
    even = (params.unit / (whole.state_count * whole.action_count)).expand(sizes)
    field = module.field(params, time, even)
    targets = moves = None
    if module.SUCCESSORS_READ & {"time", "law"}:
        halo, inside = build_halo(group, places, torch.arange(whole.state_count, device=device))
    else:
        lands = cast(Tensor, module.successors(params, time, field))[0].permute(2, 1, 0)
        halo, inside = build_halo(group, places, lands)
        targets = inside[lands]
    if targets is not None and not module.WEIGHTS_READ & {"time", "law"}:
        chances = cast(Tensor, module.weights(params, time, field))[0].permute(2, 1, 0)
        moves = fixed_moves(halo, targets, chances.contiguous())
    initial = cast(Tensor, module.initial_law(params)).reshape(1, -1).t().contiguous()
    legal = _legal(program, params, stages) if module.MASKED else None
    return PartTables(
        group=group,
        whole=whole,
        program=program,
        params=params,
        stages=stages,
        places=places,
        initial=initial,
        legal=legal,
        halo=halo,
        inside=inside,
        targets=targets,
        moves=moves,
        crowd=reads_actions(whole),
    )


def why_not(whole: Program) -> str | None:
    """Why the states of a game cannot be shared, None when they can."""
    if whole.kind == "stationary":
        return f"{whole.name} has a stationary horizon, whose law is found by many small pushes"
    return None


def _legal(program: Program, params: Params, stages: int) -> Tensor:
    count = stages if "time" in program.module.LEGAL_READ else 1
    rows = []
    for t in range(count):
        time = torch.tensor([t], device=params.unit.device)
        rows.append(cast(Tensor, program.module.legal(params, time))[0].t())
    return torch.stack(rows)[..., None].contiguous()


class StageKernels(Sequence[Kernel]):
    """The transitions along a flow; they are kept while memory allows."""

    def __init__(self, tables: PartTables, laws: Tensor, probs: Tensor) -> None:
        self._tables, self._laws, self._probs = tables, laws, probs
        self._kept: dict[int, Moves] = {}
        self._room = KEPT_WEIGHTS // max(1, tables.program.noise_count * probs[0].numel())

    def __len__(self) -> int:
        return len(self._probs)

    @overload
    def __getitem__(self, t: int) -> Moves: ...

    @overload
    def __getitem__(self, t: slice) -> Sequence[Moves]: ...

    def __getitem__(self, t: int | slice) -> Moves | Sequence[Moves]:
        if isinstance(t, slice):
            return [self[stage] for stage in range(len(self))[t]]
        found = self._kept.get(t)
        if found is None:
            found = self._tables.moves_at(t, self._laws[t], self._probs[t])
            if len(self._kept) < self._room:
                self._kept[t] = found
        return found
