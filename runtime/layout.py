"""Two orders of the same tables: batch first for people, batch last for the arithmetic.

Inside, a table over states and actions is [T, A, S, B]: a random access to a state then reads a
contiguous row of the batch, and reductions over the few actions run over the outer axis. Views
convert both ways without copying, so solvers may work on public tensors.
"""

from jaxtyping import Float
from torch import Tensor


def inner(
    table: Float[Tensor, "batch stages states actions"],
) -> Float[Tensor, "stages actions states batch"]:
    """The table in the order of the arithmetic, contiguous."""
    return table.permute(1, 3, 2, 0).contiguous()


def outer(
    table: Float[Tensor, "stages actions states batch"],
) -> Float[Tensor, "batch stages states actions"]:
    """The table in public order, a view."""
    return table.permute(3, 0, 2, 1)


def outer_laws(laws: Float[Tensor, "stages states batch"]) -> Float[Tensor, "batch stages states"]:
    """Laws or values in public order, a view."""
    return laws.permute(2, 0, 1)
