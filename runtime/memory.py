"""How much a machine and its devices hold: what is larger is refused before it is allocated.

A CPU allocator promises more than there is, and the process is killed when it writes there. Whoever
asks about the machine alone need not load torch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def memory_of(device: torch.device) -> int:
    """The memory of a device in bytes, used or not."""
    if device.type != "cuda":
        return machine_memory()
    from torch.cuda import get_device_properties

    return int(get_device_properties(device).total_memory)


def machine_memory() -> int:
    """The memory of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gibibytes(count: float) -> str:
    """A number of bytes for messages."""
    return f"{count / 2**30:.1f} GiB"
