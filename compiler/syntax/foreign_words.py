"""Words that papers and other tools start declarations with, and what stands there in a spec."""

from types import MappingProxyType

from mfdsl.compiler.diagnostics import Edit, Help
from mfdsl.compiler.source import Span

_MEMBERS = {
    "action": "control decision strategy",
    "reward": "payoff utility profit gain",
    "cost": "loss penalty disutility",
    "final": "terminal",
    "noise": "shock random",
    "trait": "type attribute",
    "observe": "observation observations sees",
    "state": "variable",
}
_DECLARATIONS = {
    "population": "agent player players group crowd",
    "major": "leader principal",
    "param": "parameter constant const",
    "import": "include use",
    "discount": "gamma",
}
WORDS_BETWEEN = {
    "mod": ("remainders are", "rem(a, b)"),
    "div": ("integer division is", "floor(a / b)"),
    "xor": ("exclusive or of conditions is", "a != b"),
}
START_WORDS = frozenset("initial init initially start".split())
CASE_WORDS = frozenset("case switch cases when".split())
_FUNCTIONS = frozenset("def function func".split())
_START = "what it is at t = 0 stands behind the state: `state x : T = value` or `state x : T ~ law`"
_NEXT = "the next value of a state `x` is set by `x' = value` or `x' ~ law`"
_FUNCTION = "a function is written `fn f(x) = value`, at the top level"
_TIME = "the number of decisions is written `horizon 50`"
_IN_BLOCK = {
    **dict.fromkeys(START_WORDS, _START),
    **dict.fromkeys("transition transitions dynamics next update evolution".split(), _NEXT),
    **dict.fromkeys(_FUNCTIONS, f"a value is written `let y = value`; {_FUNCTION}"),
}
_AT_TOP = {
    **dict.fromkeys(_FUNCTIONS, _FUNCTION),
    **dict.fromkeys("time steps stages rounds periods".split(), _TIME),
}


def _keywords(table: dict[str, str]) -> MappingProxyType[str, str]:
    return MappingProxyType({word: ours for ours, words in table.items() for word in words.split()})


MEMBER_WORDS = _keywords(_MEMBERS)
DECLARATION_WORDS = _keywords(_DECLARATIONS)


def foreign_word(word: str, where: Span, in_block: bool) -> list[Help | str]:
    """The keyword for a word of another language, or how what it stands for is written."""
    ours = (MEMBER_WORDS if in_block else DECLARATION_WORDS).get(word.lower())
    if ours is not None:
        return [Help(f"it is called `{ours}` here", (Edit(where, ours),), applicable=True)]
    hint = (_IN_BLOCK if in_block else _AT_TOP).get(word.lower())
    return [hint] if hint is not None else []
