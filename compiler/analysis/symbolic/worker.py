"""The child process that runs sympy: a loop over jobs, one JSON object for each line.

It is started by its path and imports nothing of the project. A job has `question`, `steps`,
`roots`, `names` (text and LaTeX of each symbol) and `seconds`, a limit on its processor time; the
reply has `answer`, or `error` with the reason why there is none, and the `seconds` that it took.
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
from typing import Any, TextIO

GRACE = 25.0  # seconds on the wall after its limit at which a job ends itself, if nobody ends it
SLACK = 1.0  # processor seconds beyond its limit after which a loop in C is ended from outside
ENDED = ("memory", "late")  # what is left of the interpreter after these is not trusted


class Late(BaseException):
    """A job has had its processor time; no handler of sympy's may keep it."""


def main(memory: int) -> None:
    """Serve jobs from standard input until it closes."""
    replies, sys.stdout = sys.stdout, sys.stderr
    _limit_memory(memory)
    try:
        import sympy  # noqa: F401
    except Exception as error:
        _write(replies, {"error": f"sympy cannot be imported: {error}"})
        return
    _write(replies, {"answer": "ready"})
    with open(os.devnull, "w") as nowhere:
        for line in sys.stdin:
            job = json.loads(line)
            faulthandler.dump_traceback_later(job["seconds"] + GRACE, exit=True, file=nowhere)
            began = time.process_time()
            reply = _timed(job)
            faulthandler.cancel_dump_traceback_later()
            _write(replies, reply | {"seconds": time.process_time() - began})
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


def _timed(job: dict[str, Any]) -> dict[str, Any]:
    """The reply within the limit, on systems that can count it; elsewhere whoever asks ends it."""
    counts = hasattr(signal, "setitimer") and job["seconds"] > 0
    try:
        if counts:
            signal.signal(signal.SIGPROF, _late)
            signal.setitimer(signal.ITIMER_PROF, job["seconds"])
            signal.setitimer(signal.ITIMER_VIRTUAL, job["seconds"] + SLACK)  # nobody handles this
        reply = _reply(job)
        if counts:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return reply
    except Late:
        return {"error": "late"}


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
    yield sympy.expand(expression)
    numerator, _ = sympy.fraction(sympy.together(expression))
    yield sympy.expand(numerator)
    yield sympy.cancel(expression)


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
