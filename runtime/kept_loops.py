"""Compiled loops that numba keeps between processes, read without what only compiling needs.

Before numba reads a loop it registers all that it could compile, which takes half a second and is
not used: what is kept is machine code. Here the loop is read alone, with the part of numba that
hands out memory. A loop that is not kept, or is out of date, is compiled as ever; the compiler
registers for itself.
"""

from collections.abc import Callable
from typing import Any, cast

import numba
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher
from numba.core.runtime.nrt import rtsys

Function = Callable[..., Any]
# What this relies on is numba's own business; a numba without it keeps and reads loops its way.
_INSIDE = ("_load_overload", "_guard_against_spurious_io_errors")
READS_ALONE = all(hasattr(FunctionCache, name) for name in _INSIDE)


class _KeptLoop(FunctionCache):
    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The loop for one signature, None where it is not kept; numba's own, less `refresh`."""
        numbas: Any = self
        rtsys.initialize(target_context)
        with numbas._guard_against_spurious_io_errors():
            return numbas._load_overload(sig, target_context)


def njit(*, cache: bool, **options: Any) -> Callable[[Function], Function]:
    """`numba.njit`, whose kept loops are read alone."""
    if not READS_ALONE:
        return cast(Callable[[Function], Function], numba.njit(cache=cache, **options))
    keeping: Any = _KeptLoop

    def compiled(function: Function) -> Function:
        loop: Any = numba.njit(**options)(function)
        disabled = not isinstance(loop, Dispatcher)  # by NUMBA_DISABLE_JIT
        if cache and not disabled:
            loop._cache = keeping(function)
        return cast(Function, loop)

    return compiled
