"""One stream of random numbers for each (seed, step, variable): adding one changes no other."""

import hashlib

import torch
from torch import Tensor


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
