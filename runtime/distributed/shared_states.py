"""The states of one game shared by processes: tables go to disk without being whole anywhere.

A file holds a table stage by stage, each with all its states, so the first process takes one block
of stages from everybody, writes it, and forgets it.
"""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace

import numpy
import torch
from torch import Tensor

from mfdsl.runtime.distributed.tables import PartTables
from mfdsl.runtime.flow import Flow
from mfdsl.runtime.policy import TabularPolicy
from mfdsl.runtime.runs import RunFolder, document_of, lines_of
from mfdsl.runtime.solution import Record, Solution
from mfdsl.runtime.solvers.base import SolverError
from mfdsl.runtime.tensor_files import header_of

BLOCK = 1 << 22  # numbers of a table that are whole at once
KEPT_WHOLE = 1 << 24  # numbers of a table up to which the first process has it whole in the end
TABLE_AXES = 4
Tensors = Mapping[str, Tensor]


def own_states(tensors: Tensors, tables: PartTables) -> dict[str, Tensor]:
    """The part of a saved state that belongs to the own states.

    Raises:
        SolverError: its tables are of another game.
    """
    place = tables.places[tables.group.rank]
    states = tables.whole.state_count
    found = {}
    for name, value in tensors.items():
        if value.ndim == TABLE_AXES and value.shape[2] != states:
            raise SolverError(
                f"the saved state has tables of {value.shape[2]} states, this game has {states}: "
                "continue with the spec and parameters that wrote it"
            )
        mine = value.ndim == TABLE_AXES
        found[name] = value.index_select(2, place.to(value.device)) if mine else value
    return found


def blocks_of(tables: PartTables, table: Tensor) -> Iterator[Tensor]:
    """A table [1, T, own, A] as blocks [n, S, A] of stages at the first process, none elsewhere."""
    group, places = tables.group, tables.places
    stages, _, actions = table.shape[1:]
    count = max(1, BLOCK // (tables.whole.state_count * actions))
    for start in range(0, stages, count):
        own = table[0, start : start + count].contiguous()
        if not group.first:
            group.send_to_first(own)
            continue
        block = own.new_empty(len(own), tables.whole.state_count, actions)
        block[:, places[0]] = own
        for rank in range(1, group.size):
            like = own.new_empty(len(own), len(places[rank]), actions)
            block[:, places[rank]] = group.received_from(rank, like)
        yield block


def whole_table(tables: PartTables, table: Tensor) -> Tensor | None:
    """A table [1, T, S, A] of all states, at the first process."""
    blocks = list(blocks_of(tables, table))
    return torch.cat(blocks)[None] if blocks else None


def streamed_file(
    tables: PartTables, tensors: Tensors, metadata: Mapping[str, str]
) -> Iterator[bytes]:
    """A safetensors file in pieces, at the first process; the others give their parts to it."""
    kinds = {}
    for name, value in tensors.items():
        shape = list(value.shape)
        if value.ndim == TABLE_AXES:
            shape[2] = tables.whole.state_count
        kinds[name] = value.dtype, shape
    if tables.group.first:
        yield header_of(kinds, metadata)
    for value in tensors.values():
        if value.ndim == TABLE_AXES:
            yield from (_bytes(block) for block in blocks_of(tables, value))
        elif tables.group.first:
            yield _bytes(value)


def _bytes(value: Tensor) -> bytes:
    return value.cpu().contiguous().numpy().tobytes()


def keep_state(
    tables: PartTables, folder: RunFolder, state: Tensors, solver: str, history: tuple[Record, ...]
) -> None:
    """Write what a run needs to be continued; every process calls it."""
    if tables.group.first:  # a history ahead of its state is fine, one behind it would have a hole
        folder.write({"metrics.jsonl": lines_of(history)})
    pieces = streamed_file(tables, _largest_first(state), {"solver": solver})
    _write(tables, folder, "state.safetensors", pieces)


def save_parts(tables: PartTables, folder: RunFolder, solution: Solution) -> None:
    """Write a solution of which each process has its own states; every process calls it."""
    axes = (
        ("states", tables.whole.state_axes()),
        ("actions", tables.whole.action_axes()),
    )
    names = {kind: json.dumps([asdict(axis) for axis in some]) for kind, some in axes}
    probs = streamed_file(tables, {"probs": solution.policy.probs}, names)
    _write(tables, folder, "policy.safetensors", probs)
    keep_state(tables, folder, solution.state, solution.solver, solution.history)
    laws = whole_laws(tables, solution.flow.laws)
    if laws is None:
        return
    flow = io.BytesIO()
    numpy.savez_compressed(flow, laws=laws.cpu().numpy())
    folder.write({"flow.npz": flow.getvalue(), "summary.json": document_of(solution.to_json())})


def _write(tables: PartTables, folder: RunFolder, name: str, pieces: Iterator[bytes]) -> None:
    if tables.group.first:
        folder.write({name: pieces})
    else:
        for _ in pieces:
            pass


def _largest_first(tensors: Tensors) -> dict[str, Tensor]:
    """In an order in which each begins at a multiple of its size, as the format asks for."""
    return dict(sorted(tensors.items(), key=lambda item: -item[1].element_size()))


def whole_laws(tables: PartTables, laws: Tensor) -> Tensor | None:
    """Laws [1, T + 1, S] of all states, at the first process."""
    found = whole_table(tables, laws[..., None])
    return None if found is None else found[..., 0]


def whole_solution(tables: PartTables, solution: Solution) -> Solution | None:
    """The solution of all states, at the first process."""
    probs = whole_table(tables, solution.policy.probs)
    laws = whole_laws(tables, solution.flow.laws)
    state = {
        name: whole_table(tables, value) if value.ndim == TABLE_AXES else value
        for name, value in solution.state.items()
    }
    if probs is None or laws is None:
        return None
    policy = TabularPolicy(probs, tables.whole.state_axes(), tables.whole.action_axes())
    kept = {name: value for name, value in state.items() if value is not None}
    return replace(solution, policy=policy, flow=Flow(laws, policy), state=kept)
