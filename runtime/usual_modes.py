"""Solvers compute alike whatever the code around them has set in torch."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch


@contextmanager
def usual_modes() -> Iterator[None]:
    """Gradients are on and new tensors are on the CPU, as within no `torch.no_grad()`,
    `torch.inference_mode()` or `torch.set_default_device(...)`.
    """
    elsewhere = torch.get_default_device().type != "cpu"
    place = torch.device("cpu") if elsewhere else nullcontext()  # watching calls costs time
    with place, torch.inference_mode(False), torch.enable_grad():
        yield
