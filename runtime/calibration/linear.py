"""Linear systems (1 - J) x = right and their transposes, J the Jacobian of a function at a point.

By elimination where the matrix is small, else by GMRES with products of the Jacobian (Knoll and
Keyes 2004, doi 10.1016/j.jcp.2003.08.010).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import LinearOperator, gmres
from torch import Tensor

DENSE = 1200  # numbers up to which the matrix is written out
KRYLOV = 60
RESIDUAL = 1e-10  # relative
LARGEST = 1e12  # solutions, in right sides: beyond it rounding is most of what is left

Function = Callable[[Tensor], Tensor]


class Linear(Protocol):
    """A system at one point; right sides and solutions have its shape."""

    def solve(self, right: Tensor) -> Tensor | None:
        """The solution of (1 - J) x = right; None where there is none."""

    def solve_transposed(self, right: Tensor) -> Tensor | None:
        """That of (1 - J)^T x = right."""


class Inverse(Protocol):
    """An inverse of a system that is near, which spares GMRES most of its steps."""

    def solve(self, right: Tensor) -> Tensor:
        """The solution of the system near by."""

    def solve_transposed(self, right: Tensor) -> Tensor:
        """That of its transpose."""


def linear(function: Function, point: Tensor) -> Linear:
    """The system of a function whose values have the shape of its argument, at a point."""
    if point.numel() <= DENSE:
        return Eliminated.of(function, point)
    return ByProducts(function, point)


@dataclass(frozen=True, eq=False)
class Eliminated:
    """The matrix in its factors; those of `singular` ones, to rounding, are of no use."""

    factors: Tensor
    pivots: Tensor
    singular: bool

    @classmethod
    def of(cls, function: Function, point: Tensor) -> "Eliminated":
        """The system at a point, its matrix written out."""
        count = point.numel()
        unit = torch.eye(count).to(point)
        with torch.enable_grad():
            here = point.detach().requires_grad_()
            value = function(here) + 0 * here  # a game may not read the law at all
            rows = unit.reshape(count, *value.shape)
            (jacobian,) = torch.autograd.grad(value, here, rows, is_grads_batched=True)
        return cls.factored(jacobian.reshape(count, count))

    @classmethod
    def factored(cls, jacobian: Float[Tensor, "rows rows"]) -> "Eliminated":
        """The system of a Jacobian that is written out."""
        unit = torch.eye(len(jacobian)).to(jacobian)
        factors, pivots, flag = torch.linalg.lu_factor_ex(unit - jacobian)
        sizes = factors.diagonal().abs()
        least = torch.finfo(sizes.dtype).eps * sizes.max()
        return cls(factors, pivots, bool((flag != 0) | (sizes <= least).any()))

    def solve(self, right: Tensor) -> Tensor | None:
        """As `Linear` says."""
        return self._solved(right, transposed=False)

    def solve_transposed(self, right: Tensor) -> Tensor | None:
        """As `Linear` says."""
        return self._solved(right, transposed=True)

    def _solved(self, right: Tensor, *, transposed: bool) -> Tensor | None:
        if self.singular:
            return None
        column = right.reshape(-1, 1)
        found = torch.linalg.lu_solve(self.factors, self.pivots, column, adjoint=transposed)
        return found.reshape(right.shape) if bool(found.isfinite().all()) else None


@dataclass(frozen=True, eq=False)
class ByProducts:
    """The function and the point; each solution takes its products anew. `near` is the inverse of
    most of the system, if there is one.
    """

    function: Function
    point: Tensor
    near: Inverse | None = None

    def solve(self, right: Tensor) -> Tensor | None:
        """As `Linear` says."""
        near = None if self.near is None else self.near.solve
        return _krylov(products(self.function, self.point), right, near)

    def solve_transposed(self, right: Tensor) -> Tensor | None:
        """As `Linear` says."""
        with torch.enable_grad():
            here = self.point.detach().requires_grad_()
            value = self.function(here) + 0 * here

        def pulled(direction: Tensor) -> Tensor:
            (back,) = torch.autograd.grad(value, here, direction, retain_graph=True)
            return back

        near = None if self.near is None else self.near.solve_transposed
        return _krylov(pulled, right, near)


def _krylov(apply: Function, right: Tensor, near: Function | None) -> Tensor | None:
    """The solution of x - apply(x) = right, where GMRES finds one."""
    count = right.numel()

    def of_arrays(function: Function) -> LinearOperator:
        def product(vector: np.ndarray) -> np.ndarray:
            part = torch.from_numpy(np.asarray(vector, np.float64)).to(right).reshape(right.shape)
            return np.asarray(function(part).detach().reshape(-1).cpu().numpy())

        return LinearOperator((count, count), matvec=product, dtype=np.float64)

    operator = of_arrays(lambda part: part - apply(part))
    inverse = None if near is None else of_arrays(near)
    flat = right.detach().reshape(-1).cpu().numpy()
    found, flag = gmres(operator, flat, rtol=RESIDUAL, restart=KRYLOV, maxiter=10, M=inverse)
    size, asked = np.linalg.norm(found), np.linalg.norm(flat)
    if not size <= LARGEST * asked:  # of a singular system, or not finite at all
        return None
    if flag != 0:  # where solutions are far larger than right sides, rounding is as well
        left = np.linalg.norm(flat - operator @ found)
        if left > RESIDUAL * (asked + size):
            return None
    return torch.from_numpy(found).to(right).reshape(right.shape)


def products(function: Function, point: Tensor) -> Function:
    """Products of the Jacobian of a function at a point with vectors.

    The product of its transpose with u is linear in u, so the derivative of that is the product
    wanted; one backward pass for each vector, where forward mode traces all operations anew.
    """
    with torch.enable_grad():
        here = point.detach().requires_grad_()
        value = function(here) + 0 * here.sum()  # which need not depend on the point at all
        weights = torch.zeros_like(value).requires_grad_()
        (pulled,) = torch.autograd.grad(value, here, weights, create_graph=True)

    def apply(direction: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(pulled, weights, direction, retain_graph=True)
        return found

    return apply
