"""Products below a mean taken apart: what varies with the member, and what comes out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mfdsl.compiler.ir.build import Builder


@dataclass
class Factors:
    """A product where conditions hold, 0 elsewhere: `varying` factors and `conditions` stay inside,
    `outside` factors and `divisors` do not vary with the member.
    """

    varying: list[int] = field(default_factory=list)
    conditions: list[int] = field(default_factory=list)
    outside: list[int] = field(default_factory=list)
    divisors: list[int] = field(default_factory=list)


def factors_of(
    builder: Builder,
    factors: Sequence[int],
    conditions: Sequence[int],
    varies: Callable[[int], bool],
    real: Callable[[int], int],
) -> Factors:
    """Take a product apart, in the order in which it is written.

    `varies` tells whether a node varies with the member, `real` makes the real number of an
    integer. Indicators and branches with 0 in the place of `else` become conditions, `and` two.
    """
    found = Factors()
    queue, wanted = list(reversed(factors)), list(reversed(conditions))
    while queue:
        factor = queue.pop()
        node = builder.nodes[factor]
        inner = builder.nodes[node.args[0]] if node.op == "real" else node
        if not varies(factor):
            found.outside.append(factor)
        elif node.op == "mul":
            queue += reversed(node.args)
        elif node.op == "real" and inner.op == "mul":
            queue += [real(i) for i in reversed(inner.args)]
        elif node.op == "div" and not varies(node.args[1]):
            queue.append(node.args[0])
            found.divisors.append(node.args[1])
        elif node.op == "real" and inner.op == "ind":
            wanted.append(inner.args[0])
        elif node.op == "if" and builder.exact(node.args[2]) == 0:
            wanted.append(node.args[0])
            queue.append(node.args[1])
        else:
            found.varying.append(factor)
    while wanted:
        condition = wanted.pop()
        node = builder.nodes[condition]
        if node.op == "and":
            wanted += reversed(node.args)
        else:
            found.conditions.append(condition)
    return found
