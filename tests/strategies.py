"""Random specs: texts with every shape of expression, and small models that mostly compile."""

import re
from dataclasses import dataclass

from hypothesis import strategies as st

NAMES = st.sampled_from(["x", "y", "wealth", "β", "c_1", "Home"])
NUMBERS = st.sampled_from(["0", "1", "2.5", "1e-6", "40"])
COMPARISONS = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])


def _infix(operators: str, inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(operators.split())
    return st.tuples(inner, operator, inner).map(lambda p: f"({p[0]} {p[1]} {p[2]})")


def _form(pattern: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda p: pattern.format(*p))


def _shapes(e: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Every construct of expressions around the smaller expressions `e`."""
    return st.one_of(
        _infix("+ - * / ^ and or == < >=", e),
        _form("{} + {} - {}", e, e, e),
        _form("({} < {} <= {})", e, e, e),
        _form("(-{})", e),
        _form("(not {})", e),
        _form("({} in {}..{})", e, NUMBERS, NUMBERS),
        _form("({} in {{{}, {}}})", e, e, e),
        _form("(if {} then {} else {})", e, e, e),
        _form("match {} {{ {} -> {}, else -> {} }}", e, NAMES, e, e),
        _form("match {{ {} -> {}, else -> {} }}", e, e, e),
        _form("mix {{ {} -> {}, else -> {} }}", e, e, e),
        _form("max({}, {})", e, e),
        _form("mean({} for q in people if {})", e, e),
        _form("sum({} for k in {}..{})", e, NUMBERS, NUMBERS),
        _form("choose({} in {}, weight = {})", NAMES, NAMES, e),
        _form("mu[{}]", e),
        _form("mu[{} = {}]", NAMES, e),
        _form("q.{}", NAMES),
        _form("[{}, {}]", e, e),
        _form("[{} for k in {}..{}]", e, NUMBERS, NUMBERS),
    )


EXPRESSIONS = st.recursive(st.one_of(NAMES, NUMBERS, st.just("true")), _shapes, max_leaves=8)
BREAKS = st.sampled_from([" ", "   ", "\n    ", "\n\n", "  # why\n  "])


@st.composite
def sources(draw: st.DrawFn) -> str:
    """The text of a spec that parses, laid out badly."""
    lines = ["## A spec.", "model odd", f"let a{draw(BREAKS)}={draw(BREAKS)}{draw(EXPRESSIONS)}"]
    lines.append(f"fn f(u, v) = {draw(EXPRESSIONS)}")
    lines.append(f"param k : int in 0..{draw(NUMBERS)} =   {draw(NUMBERS)} ## a count")
    lines.append("enum Plan {  out,home }")
    lines.append(f"population people as mu {{{draw(BREAKS)}")
    lines.append(f"state s : int mod {draw(NUMBERS)} ~ {draw(EXPRESSIONS)}")
    lines.append(f"action go:Plan where {draw(EXPRESSIONS)}")
    lines.append(f"s' {draw(st.sampled_from('=~'))} {draw(EXPRESSIONS)}")
    lines.append(
        f"{draw(st.sampled_from(['reward', 'cost', 'final cost']))} r = {draw(EXPRESSIONS)}"
    )
    lines.append(f"require {draw(EXPRESSIONS)}")
    lines.append("}")
    return draw(st.sampled_from(["\n", "\n\n\n"])).join(lines) + "\n"


@dataclass(frozen=True)
class Scope:
    """What an expression may read: numbers and truth values of oneself, the law, its depth."""

    numbers: tuple[str, ...]
    truths: tuple[str, ...]
    law: bool = True


def _of_member(texts: tuple[str, ...]) -> tuple[str, ...]:
    """The same of the member `q`."""
    return tuple(re.sub(r"\b(s|a|flag|mood)\b", r"q.\1", text) for text in texts)


@st.composite
def numbers(draw: st.DrawFn, scope: Scope, depth: int) -> str:
    """An expression that is a number."""
    leaves = [*scope.numbers, "0.5", "2", "c", "rate"]
    if depth == 0:
        return draw(st.sampled_from(leaves))
    part = numbers(scope, depth - 1)
    shape = draw(st.integers(0, 13 if scope.law else 10))
    if shape <= 2:
        return draw(_infix("+ - *", part))
    if shape == 3:
        return f"{draw(part)} / max({draw(part)}, 0.25)"
    if shape == 4:
        return f"(if {draw(truths(scope, depth - 1))} then {draw(part)} else {draw(part)})"
    if shape == 5:
        return f"{draw(st.sampled_from(['min', 'max']))}({draw(part)}, {draw(part)})"
    if shape == 6:
        return f"{draw(st.sampled_from(['abs', 'tanh', 'sin', 'floor']))}({draw(part)} + 0.5)"
    if shape == 7:
        return f"exp(clip({draw(part)}, -2, 1))"
    if shape == 8:
        return f"log(abs({draw(part)} + 0.5) + 0.1)"
    if shape == 9:
        return f"ind({draw(truths(scope, depth - 1))})"
    if shape == 10:
        return f"(sum(k * {draw(part)} for k in 0..{draw(st.integers(1, 6))}))"
    inner = Scope((*scope.numbers, *_of_member(scope.numbers)), _of_member(scope.truths), law=False)
    if shape == 11:
        return f"mean({draw(numbers(inner, depth - 1))} for q in people)"
    if shape == 12:
        return f"prob({draw(truths(inner, depth - 1))} for q in people)"
    return f"mu[s = {draw(st.sampled_from(['s', '0', '1']))}]"


@st.composite
def truths(draw: st.DrawFn, scope: Scope, depth: int) -> str:
    """An expression that is true or false."""
    simple = [*scope.truths, "true"]
    shape = draw(st.integers(0, 4))
    if depth == 0 or shape == 0:
        return draw(st.sampled_from(simple))
    if shape == 1:
        return f"(not {draw(truths(scope, depth - 1))})"
    if shape == 2:
        return draw(_infix("and or", truths(scope, depth - 1)))
    part = numbers(scope, depth - 1)
    return f"({draw(part)} {draw(COMPARISONS)} {draw(part)})"


@st.composite
def models(draw: st.DrawFn) -> str:
    """The text of a small game; almost all of them compile."""
    size, ring = draw(st.integers(2, 4)), draw(st.booleans())
    domain = f"int mod {size}" if ring else f"int in 0..{size - 1}"
    own = Scope(("s", "a"), ("flag", "(mood == calm)"))
    free = Scope(own.numbers, own.truths, law=False)
    lines = ["model game", "enum Mood { calm, angry }", "param c : real in [-2, 2] = 1.5"]
    lines += ["param rate : real in [0, 1] = 0.25", "objective nash"]
    lines += [f"horizon {draw(st.integers(1, 4))}", "population people as mu {"]
    lines += [f"state s : {domain} ~ uniform", "state flag : bool ~ bernoulli(rate)"]
    lines += ["state mood : Mood = calm", "action a : int in -1..1"]
    lines.append("noise e : int in 0..1 ~ mix { rate -> 1, else -> 0 }")
    lines.append(f"let level = {draw(numbers(own, 2))}")
    lines.append("s' = clip(s + a - e)" if not ring else "s' = s + a + 2 * e")
    chance = f"min(1, max(0, {draw(numbers(own, 1))}))"
    lines.append(f"flag' ~ bernoulli({chance})" if draw(st.booleans()) else "flag' = not flag")
    lines.append(f"mood' ~ mix {{ {chance} -> angry, else -> mood }}")
    lines.append(f"reward first = {draw(numbers(Scope((*own.numbers, 'level'), own.truths), 3))}")
    lines.append(f"cost second = {draw(numbers(own, 2))}")
    lines.append(f"final reward end = {draw(numbers(Scope(('s',), free.truths), 2))}")
    return "\n".join([*lines, "}"]) + "\n"
