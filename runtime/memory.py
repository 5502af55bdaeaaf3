"""How much a device holds: what is larger is refused before anything is allocated.

A CPU allocator promises more than there is, and the process is killed when it writes there.
"""

import os

import torch


def memory_of(device: torch.device) -> int:
    """The memory of a device in bytes, used or not."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gibibytes(count: float) -> str:
    """A number of bytes for messages."""
    return f"{count / 2**30:.1f} GiB"
