"""Standard draws from one stream for each (seed, step, variable).

A seed fixes everything, adding a variable changes no other, and game b of a batch gets the same
numbers whatever the size of the batch is. On a CPU a stream is numpy's counter-based Philox with a
key hashed from the three names (about 3 ns for a uniform number, 7 for a normal one; torch's own
generator 2 and 3, but its normals depend on how many are drawn); a thread makes one generator and
moves it to the start of each stream, which takes a fifth of the time of a new one. On other devices
each number is a hash of its place in the stream (splitmix64), so that nothing crosses the bus; so
are, on all devices, the draws of actions of solvers that play, which a compiled loop works out one
by one.
"""

import hashlib
import math
import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mfdsl.runtime.views.native import available

Law = Sequence[str | float]
MAX_ROUNDS = 64


def draw(
    law: Law,
    shape: tuple[int, ...],
    key: tuple[int, int, str],
    *,
    dtype: torch.dtype = torch.float64,
    device: torch.device | str | None = None,
) -> Tensor:
    """Independent draws of a standard law, [B, ...]; `key` is (seed, step, variable).

    Laws: ("uniform",) on [0, 1), ("normal",), ("exponential",), ("gamma", k), ("beta", a, b), and
    ("disc", spacing, lo, hi) for points [B, ..., n, d] that keep their distance.

    Raises:
        ValueError: the law is unknown, or the points of a disc do not fit.
    """
    name, place = str(law[0]), torch.device(device or "cpu")
    if name == "disc":
        return torch.from_numpy(_disc(law, shape, key)).to(dtype=dtype, device=place)
    if place.type != "cpu" and name in ON_DEVICE:
        drawn = ON_DEVICE[name](hashed(shape, key, place)).to(dtype)
    elif name in ON_CPU:
        drawn = torch.from_numpy(ON_CPU[name](generator(key), shape, law))
        if dtype != torch.float64 or place.type != "cpu":
            drawn = drawn.to(dtype=dtype, device=place)
    else:
        raise ValueError(f"there is no law {name!r}; known: {', '.join([*ON_CPU, 'disc'])}")
    if name == "uniform" and dtype != torch.float64:  # rounding must not reach 1
        drawn = drawn.clamp(max=1 - torch.finfo(dtype).eps / 2)
    return drawn


class _Streams(threading.local):
    """The generator of a thread, on its way along one stream."""

    def __init__(self) -> None:
        self.philox = np.random.Philox(0)
        self.generator = np.random.Generator(self.philox)


_STREAMS = _Streams()
_NOTHING = np.zeros(4, dtype=np.uint64)


def generator(key: tuple[int, int, str]) -> np.random.Generator:
    """The stream of a key from its start, until this thread asks for another.

    The numbers are those of `numpy.random.Philox(key=k)` with k the hash of the names.
    """
    digest = hashlib.blake2b(f"{key[0]}/{key[1]}/{key[2]}".encode(), digest_size=16).digest()
    _STREAMS.philox.state = {
        "bit_generator": "Philox",
        "state": {"counter": _NOTHING, "key": np.frombuffer(digest, dtype="<u8")},
        "buffer": _NOTHING,
        "buffer_pos": 4,  # nothing left of it
        "has_uint32": 0,
        "uinteger": 0,
    }
    return _STREAMS.generator


Sampler = Callable[[np.random.Generator, tuple[int, ...], Law], NDArray[np.float64]]

ON_CPU: dict[str, Sampler] = {
    "uniform": lambda stream, shape, law: stream.random(shape),
    "normal": lambda stream, shape, law: stream.standard_normal(shape),
    "exponential": lambda stream, shape, law: stream.standard_exponential(shape),
    "gamma": lambda stream, shape, law: stream.standard_gamma(float(law[1]), shape),
    "beta": lambda stream, shape, law: stream.beta(float(law[1]), float(law[2]), shape),
}

ON_DEVICE: dict[str, Callable[[Tensor], Tensor]] = {
    "uniform": lambda u: u,
    "normal": lambda u: torch.special.ndtri((u + 2.0**-54).clamp(max=1 - 2.0**-53)),
    "exponential": lambda u: -torch.log1p(-u),
}


def hashed(shape: tuple[int, ...], key: tuple[int, int, str], device: torch.device) -> Tensor:
    """Uniform numbers [0, 1) with 53 bits, each the hash of its place; a compiled loop on a CPU."""
    if device.type == "cpu" and available():
        from mfdsl.runtime.streams_native import fill  # needs numba

        found = np.empty(math.prod(shape))
        fill(np.uint64(beginning(key) % (1 << 64)), found)
        return torch.from_numpy(found).view(shape)
    return hashed_by_tensors(shape, key, device)


def hashed_by_tensors(
    shape: tuple[int, ...], key: tuple[int, int, str], device: torch.device
) -> Tensor:
    """The same with one operation after another."""
    count = math.prod(shape)
    places = torch.arange(count, dtype=torch.int64, device=device)
    mixed = places * -7046029254386353131 + beginning(key)
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        mixed = (mixed ^ _shifted(mixed, shift)) * factor
    mixed = mixed ^ _shifted(mixed, 31)
    return (_shifted(mixed, 11).to(torch.float64) * 2.0**-53).reshape(shape)


def beginning(key: tuple[int, int, str]) -> int:
    """Where a stream of hashes begins, 64 bits with a sign."""
    digest = hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)


def _shifted(bits: Tensor, by: int) -> Tensor:
    """A shift to the right that fills with zeros."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _disc(law: Law, shape: tuple[int, ...], key: tuple[int, int, str]) -> NDArray[np.float64]:
    """Points one after another, each redrawn until it keeps its distance from those before.

    Every group of points has a stream of its own, so that one group says nothing about the others.
    """
    spacing, low, high = (float(x) for x in law[1:4])
    groups, (count, axes) = shape[:-2], shape[-2:]
    found = np.empty((math.prod(groups), count, axes))
    for place, points in enumerate(found):
        stream = generator((key[0], key[1], f"{key[2]}/{place}"))
        _scatter(points, stream, spacing, low, high)
    return found.reshape(shape)


def _scatter(
    points: NDArray[np.float64],
    stream: np.random.Generator,
    spacing: float,
    low: float,
    high: float,
) -> None:
    """Fill `points` [n, d] in their order, from blocks of candidates."""
    count, axes = points.shape
    placed = 0
    for _ in range(MAX_ROUNDS):
        for candidate in stream.uniform(low, high, (8 * count, axes)):
            gaps = ((points[:placed] - candidate) ** 2).sum(-1)
            if placed == 0 or gaps.min() >= spacing**2:
                points[placed] = candidate
                placed += 1
                if placed == count:
                    return
    raise ValueError(
        f"{count} points at a distance of {spacing:g} do not fit into [{low:g}, {high:g}]^{axes}: "
        "take fewer points, a smaller spacing or a larger box"
    )
