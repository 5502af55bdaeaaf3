"""Modules of compiled games that go through pickle, as texts: to other processes, or to a file."""

import types
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

KEPT_MODULES = 64

Recipe = tuple[str, str, tuple[str, ...]]


class EmittedModule(types.ModuleType):
    """A module whose text was run. It, and the named tuples that it declares, are pickled as that
    text, which is checked against the allow-list again where it is read.
    """

    __slots__ = ("_recipe",)

    def __init__(self, text: str, name: str, required: Sequence[str]) -> None:
        super().__init__(f"mfdsl_program_{name}")
        self._recipe: Recipe = (text, name, tuple(required))

    def __reduce__(self) -> tuple[Any, ...]:
        """The text, and what it has to have."""
        return _loaded_again, self._recipe

    def let_tuples_be_pickled(self) -> None:
        """States, actions and parameters are pickled with the module, once for all of them."""

        def reduce(values: Any) -> tuple[Any, ...]:
            return _tuple_of, (self, type(values).__name__, tuple(values))

        for kind in vars(self).values():
            if isinstance(kind, type) and issubclass(kind, tuple):
                kind.__reduce__ = reduce  # type: ignore[method-assign, assignment]


@lru_cache(maxsize=KEPT_MODULES)
def _loaded_again(text: str, name: str, required: tuple[str, ...]) -> types.ModuleType:
    """One module for each text, so that tuples have the classes of their module."""
    from mfdsl.runtime.program import checked_module

    return checked_module(text, name, required)


def _tuple_of(module: Any, kind: str, values: tuple[Any, ...]) -> Any:
    return getattr(module, kind)(*values)
