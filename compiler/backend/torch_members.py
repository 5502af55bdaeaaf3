"""Emitted functions of one member: next state, rewards, chances, mask, observations.

One text serves agents ([B, N] values) and tables (every value along its own axis) by broadcasting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mfdsl.compiler.backend.names import local_names, unique
from mfdsl.compiler.backend.plan import Stage
from mfdsl.compiler.backend.torch_axes import axis_order
from mfdsl.compiler.backend.torch_scope import Scope, Shared
from mfdsl.compiler.backend.torch_text import ATOM, MUL, Text, quoted, signature, words
from mfdsl.compiler.ir.walk import given

TYPES = {
    "p": "Params",
    "t": "Tensor",
    "f": "Field",
    "s": "State",
    "a": "Action",
    "e": "Noise",
}


@dataclass(frozen=True)
class Function:
    """An emitted function: the inputs it reads, then own variables that it takes one by one."""

    name: str
    inputs: tuple[str, ...]
    variables: tuple[str, ...]
    text: str

    def call(self, values: Mapping[str, str] | None = None, **replaced: str) -> str:
        """A call with inputs from local variables of the same names, or from `replaced` texts.

        `values` gives the texts of the variables that are taken one by one.
        """
        given = [replaced.get(i, i) for i in self.inputs]
        given += [(values or {})[v] for v in self.variables]
        return f"{self.name}({', '.join(given)})"


def own_leaves(shared: Shared, locals_: Mapping[str, str] | None = None) -> dict[int, Text]:
    """Texts of own variables: fields of s, a, e, or the local variables given by name."""
    letters = {"state": "s", "action": "a", "noise": "e"}
    found = {}
    for i, node in enumerate(shared.plan.nodes):
        if node.op in letters:
            name = str(node.attr)
            code = f"{letters[node.op]}.{shared.variables[name]}"
            if locals_ and name in locals_:
                code = locals_[name]
            if shared.plan.type_of(i).kind == "bool":
                code += ".bool()"
            found[i] = Text(code)
    return found


def member_scope(
    shared: Shared,
    stage: Stage,
    fields: Mapping[int | str, str],
    roots: Sequence[int],
    locals_: dict[str, str] | None = None,
) -> Scope:
    """A scope in which the population is read through `f`."""
    known = own_leaves(shared, locals_)
    known |= {s.node: Text(f"f.{fields[s.node]}") for s in stage.scalars if s.node in fields}
    first = next(iter(shared.variables.values()))
    rank = f"s.{first}.dim()"
    if locals_:
        rank = f"{next(reversed(locals_.values()))}.dim()"  # the one that is always an argument
    scope = Scope(
        shared,
        rank,
        known,
        lambda number: f"f.{fields[f'table {number}']}",
        [i for i in axis_order(shared.plan, roots) if i not in known],
    )
    scope.taken |= set((locals_ or {}).values())
    return scope


def function(
    name: str,
    scope: Scope,
    result: str,
    doc: str,
    returned: str,
    extra: Mapping[str, str] | None = None,
) -> Function:
    """Wrap the statements of a scope; only inputs that occur are arguments."""
    body = [*scope.lines, returned]
    read = words(body)
    inputs = [i for i in TYPES if i in read]
    arguments = [f"{i}: {TYPES[i]}" for i in inputs] + [
        f"{i}: Tensor" for i in (extra or {}).values()
    ]
    lines = [f'"""{doc}"""', *body]
    text = "\n    ".join([signature(name, arguments, result), *"\n".join(lines).split("\n")])
    return Function(name, tuple(inputs), tuple(extra or {}), text + "\n")


def real_root(text: Text) -> str:
    """A real result that has all leading axes."""
    if text.literal is not None:
        return f"{text.code} * p.unit"
    return text.code if text.batch else f"p.unit * {text.at(MUL)}"


def whole_root(text: Text, kind: str, like: str) -> str:
    """An integer result that has all leading axes."""
    if text.literal is not None:
        return f"torch.full_like({like}, {int(text.literal)})"
    code = f"{text.at(ATOM)}.long()" if kind == "bool" else text.code
    if text.batch:
        return code
    return f"torch.zeros_like({like}) + {Text(code, text.level).at(MUL)}"


def next_function(shared: Shared, fields: Mapping[int | str, str]) -> Function:
    """`_next`: the values of all states after one step."""
    plan = shared.plan
    states = plan.model.population.states
    roots = [plan.at[given(s.next)] for s in states]
    scope = member_scope(shared, plan.running, fields, roots)
    texts = scope.emit(roots)
    like = f"s.{shared.variables[states[0].name]}"
    results = []
    for state, root, text in zip(states, roots, texts, strict=True):
        code = whole_root(text, plan.type_of(root).kind, like)
        local = unique(state.name, scope.taken)
        scope.lines.append(f"{local} = {code}{shared.comment(root)}")
        results.append(local)
    doc = "Next state of a member."
    return function("_next", scope, "State", doc, f"return State({', '.join(results)})")


def terms_function(
    shared: Shared, stage: Stage, fields: Mapping[int | str, str], *, final: bool
) -> Function:
    """`_terms` or `_final_terms`: the named rewards."""
    plan = shared.plan
    terms = [term for term in plan.model.population.rewards if term.final == final]
    roots = [plan.at[term.node] for term in terms]
    scope = member_scope(shared, stage, fields, roots)
    texts = scope.emit(roots)
    lines = [
        f"    {quoted(term.name)}: {real_root(text)},{shared.comment(root)}"
        for term, root, text in zip(terms, roots, texts, strict=True)
    ]
    name = "_final_terms" if final else "_terms"
    doc = "Final rewards of a member." if final else "Rewards of a member, by name."
    made = function(name, scope, "dict[str, Tensor]", doc, "\n".join(["return {", *lines, "}"]))
    if not final:
        return made
    return replace(made, text=made.text.replace("f: Field", "f: FinalField"))


def chance_function(shared: Shared, fields: Mapping[int | str, str], number: int) -> Function:
    """`_chance_e`: probability of the value of one noise, given those before it."""
    plan = shared.plan
    noises = plan.model.population.noises[: number + 1]
    taken = local_names()
    locals_ = {n.name: unique(n.name, taken) for n in noises}
    root = plan.at[given(noises[-1].density)]
    read = plan.leaves[root].names("noise") | {noises[-1].name}
    scope = member_scope(shared, plan.running, fields, [root], locals_)
    (text,) = scope.emit([root])
    name = noises[-1].name
    extra = {noise: local for noise, local in locals_.items() if noise in read}
    doc = f"Probability of noise {name}."
    returned = f"return {real_root(text)}{shared.comment(root)}"
    return function(f"_chance_{shared.variables[name]}", scope, "Tensor", doc, returned, extra)


def initial_function(shared: Shared, number: int) -> Function:
    """`_initial_x`: probability of the value of one state at t = 0, given those before it."""
    plan = shared.plan
    states = plan.model.population.states[: number + 1]
    taken = local_names()
    locals_ = {s.name: unique(s.name, taken) for s in states}
    root = plan.at[given(states[-1].initial)]
    read = plan.leaves[root].names("state") | {states[-1].name}
    scope = member_scope(shared, plan.running, {}, [root], locals_)
    (text,) = scope.emit([root])
    name = states[-1].name
    extra = {state: local for state, local in locals_.items() if state in read}
    doc = f"Probability of {name} at t = 0."
    returned = f"return {real_root(text)}{shared.comment(root)}"
    return function(f"_initial_{shared.variables[name]}", scope, "Tensor", doc, returned, extra)


def legal_function(shared: Shared) -> Function | None:
    """`_legal`: the mask of one member, or None when all is legal."""
    plan = shared.plan
    legal = plan.model.population.legal
    if legal is None:
        return None
    root = plan.at[legal]
    scope = member_scope(shared, plan.running, {}, [root])
    (text,) = scope.emit([root])
    like = f"s.{next(iter(shared.variables.values()))}"
    code = text.code
    if text.literal is not None:
        code = f"torch.full_like({like}, {text.code}, dtype=torch.bool)"
    elif not text.batch:
        code = f"torch.zeros_like({like}, dtype=torch.bool) | {text.at(ATOM)}"
    doc = "Whether an action is legal for a member."
    return function("_legal", scope, "Tensor", doc, f"return {code}{shared.comment(root)}")


def observe_function(shared: Shared, fields: Mapping[int | str, str]) -> Function:
    """`_observe`: what a policy may read."""
    plan = shared.plan
    named = plan.model.population.observe
    roots = [plan.at[n.node] for n in named]
    scope = member_scope(shared, plan.running, fields, roots)
    texts = scope.emit(roots)
    like = f"s.{next(iter(shared.variables.values()))}"
    lines = []
    for item, root, text in zip(named, roots, texts, strict=True):
        kind = plan.type_of(root).kind
        code = real_root(text) if kind == "real" else whole_root(text, kind, like)
        lines.append(f"    {quoted(item.name)}: {code},{shared.comment(root)}")
    doc = "What the policy of a member may read."
    returned = "\n".join(["return {", *lines, "}"])
    return function("_observe", scope, "dict[str, Tensor]", doc, returned)
