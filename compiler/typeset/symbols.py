"""Names in LaTeX: Greek by name, subscripts by underscore, time where a variable moves."""

import re

from mfdsl.compiler.typeset.escape import escape_latex

GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau"
    " upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega".split()
)
SHORT = {"eps": r"\varepsilon", "inf": r"\infty"}


def symbol(name: str) -> str:
    """A name as a mathematical symbol: `sigma_0` is a sigma with index 0, `beta1` likewise."""
    stem, *rest = name.split("_")
    digits = re.fullmatch(r"([^\W\d_]+)(\d+)", stem)
    if digits:
        stem, rest = digits[1], [digits[2], *rest]
    head = _word(stem)
    if not [part for part in rest if part]:
        return head
    index = ", ".join(_word(part) for part in rest if part)
    return f"{head}_{{{index}}}"


def moving(name: str, *, after: bool = False) -> str:
    """A variable that moves, with its time as the last index."""
    base, time = symbol(name), "t+1" if after else "t"
    found = re.fullmatch(r"(.*)_\{(.*)\}", base)
    if found:
        return f"{found[1]}_{{{found[2]}, {time}}}"
    return f"{base}_{{{time}}}"


def value(name: str) -> str:
    """A value of an enum or a region: upright."""
    return rf"\mathrm{{{escape_latex(name)}}}"


def _word(word: str) -> str:
    if word in GREEK:
        return f"\\{word}"
    if word in SHORT:
        return SHORT[word]
    if len(word) == 1 or word.isdigit():
        return word
    return rf"\mathit{{{escape_latex(word)}}}"
