"""The processes of one solve, and the few ways in which they speak with each other.

Processes are started by torchrun, or by whatever sets the same variables. Everything they say goes
through a `Group`, so that a process that is gone is found out in one place: a call that fails
asks the store of the rendezvous who is still there.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

TIMEOUT = 300.0  # seconds after which a process that does not answer is taken for lost
ROLL_CALL = 3.0  # seconds in which those who are left must say so
CHUNK = 1 << 24  # numbers in one message of a table

T = TypeVar("T")


class LostRank(RuntimeError):
    """A process of the group is gone; `ranks` are those that did not answer."""

    def __init__(self, group: "Group", ranks: Sequence[int]) -> None:
        self.ranks, self.speaker = tuple(ranks), group.speaks_without(ranks)
        names = ", ".join(str(rank) for rank in ranks)
        many = len(ranks) > 1
        super().__init__(
            f"process{'es' if many else ''} {names} of {group.size} "
            f"{'are' if many else 'is'} gone (ranks count from 0)"
        )


@dataclass(frozen=True, eq=False)
class Group:
    """This process is `rank` of `size`; tensors that are exchanged lie on `device`."""

    rank: int
    size: int
    device: torch.device

    @classmethod
    def join(cls, device: torch.device, timeout: float = TIMEOUT) -> "Group":
        """Meet the other processes that the environment names: gloo on CPUs, NCCL on GPUs.

        On GPUs each process takes the one of its local rank.
        """
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
        return cls(dist.get_rank(), dist.get_world_size(), device)

    @property
    def first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0

    def leave(self) -> None:
        """Part when all is done."""
        dist.destroy_process_group()

    def speaks_without(self, lost: Sequence[int]) -> bool:
        """Whether this process is the first of those who are left."""
        return self.rank == min(set(range(self.size)) - set(lost), default=self.rank)

    def swap(self, pieces: Tensor, sent: Sequence[int], received: Sequence[int]) -> Tensor:
        """Send `sent[r]` rows of the pieces to each rank r, and get `received[r]` rows from it."""
        out = pieces.new_empty(sum(received), *pieces.shape[1:])
        self._spoken(
            lambda: dist.all_to_all_single(out, pieces.contiguous(), list(received), list(sent))
        )
        return out

    def from_all(self, row: Tensor) -> list[Tensor]:
        """A tensor of one shape from each process, by rank."""
        rows = [torch.empty_like(row) for _ in range(self.size)]
        self._spoken(lambda: dist.all_gather(rows, row.contiguous()))
        return rows

    def total(self, part: Tensor) -> Tensor:
        """The sum over all processes, in the order of their ranks: the same to the bit on each."""
        whole = self.from_all(part)
        return sum(whole[1:], whole[0])

    def objects(self, entry: T) -> list[T]:
        """A small object from each process, by rank."""
        found: list[Any] = [None] * self.size
        self._spoken(lambda: dist.all_gather_object(found, entry))
        return cast(list[T], found)

    def of_first(self, entry: T) -> T:
        """The object of the first process."""
        found: list[Any] = [entry]
        self._spoken(lambda: dist.broadcast_object_list(found, src=0, device=self.device))
        return cast(T, found[0])

    def send_to_first(self, piece: Tensor) -> None:
        """Give a tensor to the first process, which knows its shape."""
        self._spoken(lambda: dist.send(piece.contiguous(), 0))

    def received_from(self, rank: int, like: Tensor) -> Tensor:
        """A tensor of this shape that a process sends to this one."""
        out = torch.empty_like(like)
        self._spoken(lambda: dist.recv(out, rank))
        return out

    def _spoken(self, call: Callable[[], object]) -> None:
        try:
            call()
        except RuntimeError as error:
            lost = () if "allocate" in str(error) else self._roll_call()
            if not lost:
                raise
            raise LostRank(self, lost) from error

    def _roll_call(self) -> tuple[int, ...]:
        """The ranks that do not say that they are still there."""
        others = [rank for rank in range(self.size) if rank != self.rank]
        try:
            store = dist.distributed_c10d._get_default_store()
            store.set(f"left/{self.rank}", "here")
            end = time.monotonic() + ROLL_CALL
            while time.monotonic() < end:
                silent = [rank for rank in others if not store.check([f"left/{rank}"])]
                if not silent:
                    return ()
                time.sleep(0.05)
        except RuntimeError:  # the store was with the first process
            return (0,)
        return tuple(silent)
