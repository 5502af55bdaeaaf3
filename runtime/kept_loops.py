"""Compiled loops that numba keeps between processes, read without what only compiling needs.

Before numba reads a loop it registers all that it could compile, which takes half a second and is
not used: what is kept is machine code. Here the loop is read alone, with the part of numba that
hands out memory. A loop that is not kept, or is out of date, is compiled as ever; the compiler
registers for itself. Numba calls a kept loop out of date when its own file has changed; the loops
that it calls and the numbers that it reads, which its machine code contains, may come from other
files, so these count here as well. Kept files that are damaged are no bar: they are written anew.
"""

import logging
import pickle
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, cached_property
from hashlib import sha256
from types import CodeType, ModuleType
from typing import Any, cast

import numba
import numpy as np
from numba.core.caching import FunctionCache
from numba.core.dispatcher import Dispatcher
from numba.core.runtime.nrt import rtsys

Function = Callable[..., Any]
# What this relies on is numba's own business; a numba without it keeps and reads loops its way.
_INSIDE = ("_load_overload", "_guard_against_spurious_io_errors", "_index_key", "flush")
READS_ALONE = all(hasattr(FunctionCache, name) for name in _INSIDE)
# What reading files raises that were cut short or written over.
_CUT_SHORT = (EOFError, pickle.UnpicklingError, AttributeError, ImportError, MemoryError)
DAMAGED = (*_CUT_SHORT, LookupError, TypeError, ValueError)
LOG = logging.getLogger("mfdsl.loops")
WAIT = "compiling loops, once for each installation: some ten seconds"
# For loops that loops alone call: what Python would need of them takes longest to compile.
INNER = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
PLAIN = (bool, int, float, str, bytes, tuple, type(None), np.generic, np.ndarray)


@cache
def _say_wait() -> None:
    """Say once in a process what it waits for."""
    LOG.info(WAIT)


class _KeptLoop(FunctionCache):
    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The loop for one signature, None where it is not kept; numba's own, less `refresh`."""
        numbas: Any = self
        rtsys.initialize(target_context)
        found = None
        with numbas._guard_against_spurious_io_errors():
            try:
                found = numbas._load_overload(sig, target_context)
            except DAMAGED:
                with suppress(OSError):
                    numbas.flush()
        if found is None:
            _say_wait()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the loop for one signature; a disk that cannot be written costs time only."""
        numbas: Any = super()
        with suppress(OSError):
            numbas.save_overload(sig, data)

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        numbas: Any = super()
        return (*numbas._index_key(sig, codegen), self._contents)

    @cached_property
    def _contents(self) -> str:
        numbas: Any = self
        return sha256("\n".join(contents(numbas._py_func)).encode()).hexdigest()


def contents(function: Function, seen: tuple[Function, ...] = ()) -> Iterator[str]:
    """What goes into the machine code of a loop: its code, numbers it reads, loops it calls."""
    names = set()
    for code in _codes(function.__code__):
        names |= set(code.co_names)
        yield code.co_code.hex()
        yield from (_plain(c) for c in code.co_consts if not isinstance(c, CodeType))
    spaces = [function.__globals__]
    for name in sorted(names & function.__globals__.keys()):
        value = function.__globals__[name]
        if isinstance(value, ModuleType) and value.__name__.startswith("mfdsl"):
            spaces.append(vars(value))
    for space in spaces:
        for name in sorted(names & space.keys()):
            value = space[name]
            if isinstance(value, PLAIN):
                yield f"{name} {_plain(value)}"
            elif isinstance(value, Dispatcher) and value.py_func not in (*seen, function):
                yield f"{name} {_plain(value.targetoptions)}"
                yield from contents(value.py_func, (*seen, function))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _codes(inner)


def _plain(value: Any) -> str:
    """The same text in every process; sets have no order of their own."""
    if isinstance(value, dict):
        return str([(name, _plain(one)) for name, one in sorted(value.items())])
    if isinstance(value, tuple):
        return str([_plain(one) for one in value])
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.tolist()}"
    return str(sorted(value)) if isinstance(value, set | frozenset) else repr(value)


def njit(*, cache: bool, **options: Any) -> Callable[[Function], Function]:
    """`numba.njit`, whose kept loops are read alone."""
    if not READS_ALONE:
        return cast(Callable[[Function], Function], numba.njit(cache=cache, **options))
    keeping: Any = _KeptLoop

    def compiled(function: Function) -> Function:
        # nobody calls these from C
        loop: Any = numba.njit(**{"no_cfunc_wrapper": True, **options})(function)
        disabled = not isinstance(loop, Dispatcher)  # by NUMBA_DISABLE_JIT
        if cache and not disabled:
            loop._cache = keeping(function)
        return cast(Function, loop)

    return compiled
