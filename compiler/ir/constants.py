"""Numbers that functions make of numbers, as `exp(-r * dt)` of the values of parameters."""

import math

from mfdsl.compiler.ir.build import Builder
from mfdsl.compiler.ir.fold import carried
from mfdsl.compiler.ir.interpret import ELEMENTARY, Number


def constant(builder: Builder, root: int) -> float | None:
    """The double that the node `root` stands for; None where it has none, as `log(0)`, or where it
    reads something that is not known before the run.
    """
    known: dict[int, Number] = {}
    stack = [root]
    while stack:
        index = stack[-1]
        node, exact = builder.nodes[index], builder.exact(index)
        if exact is not None:
            known[index] = carried(exact)
        elif node.op not in ELEMENTARY or builder.type_of(index).dims:
            return None
        elif missing := [i for i in node.args if i not in known]:
            stack += missing
            continue
        else:
            try:
                known[index] = ELEMENTARY[node.op](*(known[i] for i in node.args))
            except (ValueError, ArithmeticError):
                return None
            if isinstance(known[index], complex):  # a real power of a negative number
                return None
        stack.pop()
    value = float(known[root])
    return value if math.isfinite(value) else None
