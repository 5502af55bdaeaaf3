"""Tensors as files of the safetensors format, in pieces, and policies that need few numbers.

A policy [B, T, S, A] of a large game has one and the same action in most states at all stages, as
where a state leaves no choice. Such a file has `probs` [B, T, D, A] of the other states only, which
of all are these (`deciding` [D]), and the action of every state that does not decide (`only` [S]).
Nothing is rounded.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict

import torch
from torch import Tensor

from mfdsl.runtime.policy import Axis, TabularPolicy

TYPES = {
    **{torch.float64: "F64", torch.float32: "F32", torch.int64: "I64", torch.int32: "I32"},
    **{torch.uint8: "U8", torch.bool: "BOOL"},
}
BLOCK = 1 << 21  # numbers of a piece
LARGE = 1 << 22  # numbers of a table from which on it is worth a look which states decide
PROBS, DECIDING, ONLY = "probs", "deciding", "only"


def header_of(
    kinds: Mapping[str, tuple[torch.dtype, list[int]]], names: Mapping[str, str]
) -> bytes:
    """The beginning of a file: type and shape of each tensor, in the order in which they follow."""
    header: dict[str, object] = {"__metadata__": dict(names)}
    end = 0
    for name, (kind, shape) in kinds.items():
        first, end = end, end + torch.Size(shape).numel() * kind.itemsize
        header[name] = {"dtype": TYPES[kind], "shape": shape, "data_offsets": [first, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def pieces(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> Iterator[bytes]:
    """The content of a file, a few megabytes at a time: tables are not copied as a whole.

    Those with the longest numbers come first, so that each begins at a multiple of its size.
    """
    order = dict(sorted(tensors.items(), key=lambda item: -item[1].element_size()))
    yield header_of(
        {name: (value.dtype, list(value.shape)) for name, value in order.items()}, names
    )
    for value in order.values():
        for block in _blocks(value):
            yield block.cpu().contiguous().numpy().tobytes()


def _blocks(value: Tensor) -> Iterator[Tensor]:
    """The numbers of a table in order."""
    if value.numel() <= BLOCK:
        yield value
        return
    count = max(1, BLOCK // value[0].numel())
    for start in range(0, len(value), count):
        part = value[start : start + count]
        yield from _blocks(part[0]) if count == 1 else (part,)


def policy_pieces(policy: TabularPolicy) -> Iterator[bytes]:
    """The content of a file with a policy and its axes."""
    kinds = (("states", policy.states), ("actions", policy.actions))
    names = {kind: json.dumps([asdict(axis) for axis in axes]) for kind, axes in kinds}
    return pieces(_narrowed(policy.probs), names)


def _narrowed(probs: Tensor) -> dict[str, Tensor]:
    """The tensors of a file with a policy: a large one without the states that leave no choice."""
    if probs.numel() < LARGE or probs.ndim != len("BTSA"):
        return {PROBS: probs}
    only = probs[0, 0].argmax(-1)
    decides = torch.zeros_like(only, dtype=torch.bool)
    for game in probs:
        for stage in game:
            alone = (stage != 0).sum(-1) == 1
            decides |= ~alone | (stage.gather(-1, only[:, None])[:, 0] != 1)
    deciding = decides.nonzero()[:, 0]
    if 2 * len(deciding) > len(only):
        return {PROBS: probs}
    return {PROBS: probs[:, :, deciding], DECIDING: deciding, ONLY: only}


def whole_probs(tensors: Mapping[str, Tensor]) -> Tensor | None:
    """The policy [B, T, S, A] of a file; None where it holds none.

    Raises:
        ValueError: which states decide, or what the others do, cannot be.
    """
    probs = tensors.get(PROBS)
    if probs is None or probs.ndim != len("BTSA"):
        return None
    if DECIDING not in tensors:
        return probs
    deciding, only = tensors[DECIDING], tensors.get(ONLY)
    if only is None or only.ndim != 1 or deciding.shape != probs.shape[2:3]:
        raise ValueError(f"it does not say what {PROBS} leaves out")
    for places, most in ((only, probs.shape[3]), (deciding, len(only))):
        if places.numel() and not 0 <= int(places.min()) <= int(places.max()) < most:
            raise ValueError(f"{DECIDING} or {ONLY} is out of range")
    games, stages, _, actions = probs.shape
    found = torch.nn.functional.one_hot(only, actions).to(probs)
    found = found.expand(games, stages, -1, -1).contiguous()
    found[:, :, deciding] = probs
    return found


def axes_of(text: str) -> tuple[Axis, ...]:
    """The axes that `policy_pieces` wrote."""
    return tuple(Axis(**{**axis, "labels": tuple(axis["labels"])}) for axis in json.loads(text))
