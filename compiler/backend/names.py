"""Identifiers of emitted code: plain ASCII, unique, never a word that Python or the module uses."""

import builtins
import keyword
import unicodedata
from collections.abc import Iterable

_CONTRACT = """
    torch Tensor NamedTuple Any Generator Params State Action Noise Initial Field FinalField
    ABI NAME POPULATION HORIZON HORIZON_KIND DISCOUNT STATES ACTIONS NOISES SUCCESSORS_READ
    WEIGHTS_READ REWARDS_READ LEGAL_READ MASKED HAS_FINAL default_params initial_law draw_initial
    init draw_noise field empirical field_of_agents legal successors weights rewards final_rewards
    reward_terms kernel push step observe unit p t f s a e z
""".split()
_TAKEN = frozenset([*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *_CONTRACT])
_FIELD_TAKEN = frozenset(
    [*keyword.kwlist, "count", "index", "unit", "open", "eval", "exec", "compile", "input", "vars"]
)


def identifier(name: str) -> str:
    """`name` in ASCII: Greek letters spelled out, anything else that is not a letter as `_`."""
    letters = []
    for letter in unicodedata.normalize("NFKC", name):
        if letter.isascii():
            letters.append(letter if letter.isalnum() or letter == "_" else "_")
        else:
            words = unicodedata.name(letter, "").split()
            letters.append(words[-1].lower() if words[:1] == ["GREEK"] else "_")
    plain = "".join(letters).lstrip("_")
    return plain if plain and not plain[0].isdigit() else f"v{plain}"


def field_names(names: Iterable[str]) -> dict[str, str]:
    """Names of fields of one named tuple."""
    taken = reserved_fields()
    return {name: unique(name, taken) for name in names}


def reserved_fields() -> set[str]:
    """Names that no field of a named tuple may have."""
    return set(_FIELD_TAKEN)


def unique(name: str, taken: set[str]) -> str:
    """A free identifier for `name`, which is then taken."""
    plain = candidate = identifier(name)
    if plain in taken and plain in _TAKEN:
        candidate = f"{plain}_"
    number = 2
    while candidate in taken:
        candidate = f"{plain}_{number}"
        number += 1
    taken.add(candidate)
    return candidate


def local_names() -> set[str]:
    """Names that no local variable of emitted code may have."""
    return set(_TAKEN)
