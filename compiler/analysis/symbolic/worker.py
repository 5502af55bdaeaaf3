"""The child process that runs sympy: a loop over jobs, one JSON object for each line.

It is started by its path and imports nothing of the project. A job has `question`, `steps`,
`roots`, `names` (text and LaTeX of each symbol), `calls`, the most that it may make, `seconds`, a
limit on its processor time that only what makes few calls comes to, and `wall`, when it ends itself
if nobody else does. The reply has `answer`, or `error` with the reason why there is none, and the
`calls` and `seconds` that it took.
Nothing that it reads is evaluated as text. Only `expand`, `cancel`, `together`, `factor`, `Poly`
and printing are called: `simplify`, `equals` and `limit` are slow or wrong (sympy 1.14).
"""

import contextlib
import faulthandler
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from math import comb, prod
from typing import Any, TextIO

SLACK = 1.0  # processor seconds beyond its limit after which a loop in C is ended from outside
MAX_TERMS = 100_000
ENDED = ("memory", "calls", "late")  # what is left of the interpreter after these is not trusted


class Late(BaseException):
    """A job has had its processor time; no handler of sympy's may keep it."""


class Spent(BaseException):
    """A job has had its calls."""


class Calls:
    """Counts calls of functions while it is the profile of the interpreter, up to the `most`."""

    def __init__(self, most: int) -> None:
        self.most, self.made = most, 0

    def __call__(self, frame: object, event: str, argument: object) -> None:
        """One event of the interpreter.

        Raises:
            Spent: it is one call too many.
        """
        if event == "call" or event == "c_call":
            self.made += 1
            if self.made > self.most:
                raise Spent


def main(memory: int) -> None:
    """Serve jobs from standard input until it closes."""
    replies, sys.stdout = sys.stdout, sys.stderr
    _limit_memory(memory)
    try:
        import sympy

        for question in _QUESTIONS.values():  # so that no job pays for what is set up once
            question([sympy.Symbol("x") + 1] * (1 + (question is _divides)), {})
    except Exception as error:
        _write(replies, {"error": f"sympy cannot be imported: {error}"})
        return
    _write(replies, {"answer": "ready"})
    with open(os.devnull, "w") as nowhere:
        for line in sys.stdin:
            job = json.loads(line)
            faulthandler.dump_traceback_later(job["wall"], exit=True, file=nowhere)
            began = time.process_time()
            calls = Calls(job["calls"])
            reply = _timed(job, calls)
            faulthandler.cancel_dump_traceback_later()
            _write(replies, reply | {"seconds": time.process_time() - began, "calls": calls.made})
            if reply.get("error") in ENDED:
                return


def _limit_memory(memory: int) -> None:
    """Bound the address space, on systems that can."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


def _write(stream: TextIO, reply: dict[str, Any]) -> None:
    stream.write(json.dumps(reply) + "\n")
    stream.flush()


def _timed(job: dict[str, Any], calls: Calls) -> dict[str, Any]:
    """The reply within the limit, on systems that can count it; elsewhere whoever asks ends it."""
    counts = hasattr(signal, "setitimer") and job["seconds"] > 0
    try:
        if counts:
            signal.signal(signal.SIGPROF, _late)
            signal.setitimer(signal.ITIMER_PROF, job["seconds"])
            signal.setitimer(signal.ITIMER_VIRTUAL, job["seconds"] + SLACK)  # nobody handles this
        reply = _counted(job, calls)
        if counts:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return reply
    except Late:
        return {"error": "late"}


def _counted(job: dict[str, Any], calls: Calls) -> dict[str, Any]:
    """The reply within the limit on calls, whatever was asked before."""
    from sympy.core.cache import clear_cache

    clear_cache()
    sys.setprofile(calls)
    try:
        return _reply(job)
    except Spent:
        return {"error": "calls"}
    finally:
        sys.setprofile(None)


def _late(number: int, frame: object) -> None:
    raise Late


def _reply(job: dict[str, Any]) -> dict[str, Any]:
    try:
        roots, names = _built(job)
        return {"answer": _QUESTIONS[job["question"]](roots, names)}
    except MemoryError:
        return {"error": "memory"}
    except Exception as error:  # whatever goes wrong is no information
        return {"error": type(error).__name__}


def _built(job: dict[str, Any]) -> tuple[list[Any], dict[Any, str]]:
    """The sympy objects of the roots, and the LaTeX of their symbols."""
    import sympy

    texts = job["names"]
    made: list[Any] = []
    latex: dict[Any, str] = {}
    for op, *rest in job["steps"]:
        if op == "symbol":
            made.append(sympy.Symbol(texts[rest[0]][0], real=True))
            latex[made[-1]] = texts[rest[0]][1]
        elif op == "number":
            made.append(sympy.Rational(int(rest[0], 16), int(rest[1], 16)))
        else:
            made.append(_OPERATORS[op](*(made[i] for i in rest)))
    return [made[i] for i in job["roots"]], latex


def _function(name: str) -> Callable[[Any], Any]:
    def apply(a: Any) -> Any:
        import sympy

        return getattr(sympy, name)(a)

    return apply


def _sum(*terms: Any) -> Any:
    import sympy

    return sympy.Add(*terms)


def _product(*factors: Any) -> Any:
    import sympy

    return sympy.Mul(*factors)


def _softplus(a: Any) -> Any:
    import sympy

    return sympy.log(1 + sympy.exp(a))


_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": _sum,
    "mul": _product,
    "neg": lambda a: -a,
    "div": lambda a, b: a / b,
    "pow": lambda a, b: a**b,
    "softplus": _softplus,
    **{name: _function(name) for name in ("exp", "log", "sqrt", "sin", "cos", "tanh")},
}


def _is_zero(roots: list[Any], names: dict[Any, str]) -> bool | None:
    """True when the one root is 0 wherever it is defined; never False."""
    (expression,) = map(_rational_in_exp, roots)
    return any(form == 0 for form in _normal_forms(expression)) or None


def _normal_forms(expression: Any) -> Any:
    import sympy

    yield expression
    yield _multiplied_out(expression)
    numerator, _ = sympy.fraction(sympy.together(expression))
    yield _multiplied_out(numerator)
    yield sympy.cancel(expression)


def _multiplied_out(expression: Any) -> Any:
    """`expand`, which takes long with few calls, up to MAX_TERMS terms.

    Raises:
        Spent: there would be more.
    """
    import sympy

    if _terms(expression, {}) > MAX_TERMS:
        raise Spent
    return sympy.expand(expression)


def _terms(expression: Any, known: dict[Any, int]) -> int:
    """How many terms there are at most after multiplying out; those of parts are in `known`."""
    if expression not in known:
        parts = [_terms(a, known) for a in expression.args]
        found = max(parts, default=1)
        if expression.is_Add:
            found = sum(parts)
        elif expression.is_Mul:
            found = prod(parts)
        elif expression.is_Pow and expression.exp.is_Integer and expression.exp > 0:
            power = int(expression.exp)
            found = comb(parts[0] + power - 1, min(power, parts[0] - 1))
        known[expression] = min(found, MAX_TERMS + 1)
    return known[expression]


def _rational_in_exp(expression: Any) -> Any:
    """The same with tanh as a quotient of exponentials: identities between them are algebra."""
    import sympy

    return expression.replace(sympy.tanh, lambda a: (sympy.exp(2 * a) - 1) / (sympy.exp(2 * a) + 1))


def _divides(roots: list[Any], names: dict[Any, str]) -> bool | None:
    """True when the first root divides the numerator of the second in lowest terms."""
    import sympy

    divisor, expression = map(_rational_in_exp, roots)
    numerator, _ = sympy.fraction(sympy.cancel(sympy.together(expression)))
    factor, _ = sympy.fraction(sympy.cancel(sympy.together(divisor)))
    if numerator == 0:
        return True
    quotient, rest = sympy.Poly(numerator, field=True).div(sympy.Poly(factor, field=True))
    if rest.as_expr() != 0:
        return None
    return sympy.expand(numerator - factor * quotient.as_expr()) == 0 or None


def _shown(roots: list[Any], names: dict[Any, str]) -> dict[str, str]:
    """Text and LaTeX of the one root in the shortest of its forms."""
    import sympy
    from sympy.printing.latex import LatexPrinter
    from sympy.printing.str import StrPrinter

    (expression,) = roots
    forms = [expression, sympy.factor(expression), sympy.cancel(expression)]
    shortest = min(forms, key=sympy.count_ops)

    class Text(StrPrinter):  # type: ignore[misc]
        def _print_Rational(self, number: Any) -> str:
            return _decimal(number) or str(super()._print_Rational(number))

        def _print_Pow(self, power: Any, rational: bool = False) -> str:
            return str(super()._print_Pow(power, rational)).replace("**", "^")

    class Latex(LatexPrinter):  # type: ignore[misc]
        def _print_Rational(self, number: Any) -> str:
            return _decimal(number) or str(super()._print_Rational(number))

    latex = Latex({"symbol_names": names, "ln_notation": False}).doprint(shortest)
    return {"text": Text().doprint(shortest), "latex": latex}


def _decimal(number: Any) -> str | None:
    """A fraction as the short decimal that it is, if it is one."""
    if number.q == 1:
        return None
    for places in range(1, 7):
        scaled = number * 10**places
        if scaled.q == 1:
            digits = str(abs(scaled.p)).rjust(places + 1, "0")
            return f"{'-' if number < 0 else ''}{digits[:-places]}.{digits[-places:]}"
    return None


_QUESTIONS: dict[str, Callable[[list[Any], dict[Any, str]], Any]] = {
    "zero": _is_zero,
    "divides": _divides,
    "show": _shown,
}

if __name__ == "__main__":
    main(int(sys.argv[1]))
