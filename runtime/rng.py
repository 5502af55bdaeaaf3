"""One stream of random numbers for each (seed, step, variable): adding one changes no other."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

import torch
from torch import Tensor

ONE_AT_A_TIME = RLock()  # torch draws weights from one generator, which threads share


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """What torch draws by itself on a CPU, as weights of networks, is drawn from a seed in single
    precision, whatever its default is; the numbers that it would have drawn elsewhere stay.
    """
    with ONE_AT_A_TIME, torch.random.fork_rng(devices=[]):
        default = torch.get_default_dtype()
        torch.manual_seed(seed)
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(default)


def stream(
    seed: int, step: int, variable: str, device: torch.device | str | None = None
) -> torch.Generator:
    """A generator seeded by a hash of the three names; equal names give equal numbers on a CPU."""
    digest = hashlib.blake2b(f"{seed}/{step}/{variable}".encode(), digest_size=8).digest()
    generator = torch.Generator(device=device or "cpu")
    return generator.manual_seed(int.from_bytes(digest, "little") >> 1)


def uniforms(
    shape: tuple[int, ...],
    seed: int,
    step: int,
    variable: str,
    *,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """Uniform numbers in [0, 1) from the stream of this variable at this step."""
    generator = stream(seed, step, variable, device)
    return torch.rand(shape, generator=generator, dtype=dtype, device=device)
