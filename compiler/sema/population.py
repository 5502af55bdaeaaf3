"""One population: its variables, the order of its draws, its next values and rewards."""

from collections.abc import Sequence

from mfdsl.compiler.ir.model import (
    Named,
    NoiseVariable,
    Player,
    StateVariable,
    Term as RewardTerm,
    Variable,
)
from mfdsl.compiler.ir.types import BOOL, INT, REAL, Type
from mfdsl.compiler.sema import distributions, expressions, outcomes, sets
from mfdsl.compiler.sema.context import Context, LetSymbol, PlayerScope, VariableSymbol
from mfdsl.compiler.sema.dependencies import draw_order, names_in
from mfdsl.compiler.sema.names import RESERVED_NAMES, article
from mfdsl.compiler.sema.observe import lower_observe
from mfdsl.compiler.sema.suggestions import between, did_you_mean
from mfdsl.compiler.sema.values import OWN, Env, Poison, Term
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax import ast
from mfdsl.compiler.syntax.nearest import nearest


def declare_members(ctx: Context, file: str, player: ast.Player) -> None:
    """Make the names of the population's members known, with their types."""
    scope = ctx.players[player.name.name]
    env = Env(file=file, static=True)
    places: dict[str, tuple[str, Span]] = {}
    for member in player.members:
        if not isinstance(member, ast.State | ast.Action | ast.Noise | ast.Let):
            continue
        kind = type(member).__name__.lower()
        name, span = member.name.name, member.name.span
        if not _name_is_free(ctx, player, name, span, places):
            continue
        places[name] = (kind, span)
        if isinstance(scope.members.get(name), Poison):
            continue
        if isinstance(member, ast.Let):
            if not isinstance(scope.members.get(name), Poison):  # it lies on a cycle
                scope.members[name] = LetSymbol(member, file)
            continue
        type_ = _variable_type(ctx, env, kind, member.type)
        if isinstance(type_, Poison):
            scope.members[name] = type_
            continue
        symbol = VariableSymbol(kind, name, type_, span)
        scope.members[name] = symbol
        if kind == "state":
            scope.states[name] = symbol
        if kind == "action":
            scope.actions[name] = symbol


def _name_is_free(
    ctx: Context, player: ast.Player, name: str, span: Span, places: dict[str, tuple[str, Span]]
) -> bool:
    if name in RESERVED_NAMES:
        what = "is the time index" if name == "t" else "is a name of the language"
        ctx.error(
            "MFG104",
            f"`{name}` {what} and cannot be redefined",
            span,
            "reserved",
            helps=["choose another name"],
        )
        return False
    if name in places:
        kind, first = places[name]
        ctx.error(
            "MFG102",
            f"`{name}` is already {article(kind)} of `{player.name.name}`",
            span,
            "declared again",
            also=[(first, "declared here first")],
        )
        return False
    return True


def _variable_type(ctx: Context, env: Env, kind: str, expr: ast.TypeExpr) -> Type | Poison:
    if expr.dims:
        return ctx.error(
            "MFG706",
            f"{article(kind)} that is an array comes with a later release",
            expr.span,
            "an array",
            helps=["declare one variable for each component"],
        )
    type_ = sets.scalar_type(ctx, env, expr)
    if isinstance(type_, Poison):
        return type_
    if type_.kind == "real":
        return ctx.error(
            "MFG706",
            f"continuous {kind}s come with a later release",
            expr.span,
            "infinitely many values",
            helps=["a finite grid of values: `int in 0..n`"],
        )
    if not type_.finite:
        return ctx.error(
            "MFG201",
            f"{article(kind)} needs a finite domain",
            expr.span,
            "every integer is possible",
            helps=["write `int in 0..9` or `int mod 10`"],
        )
    return type_


def lower_population(ctx: Context, file: str, player: ast.Player) -> Player | None:
    """Lower all members; None when an error was reported that leaves no model."""
    scope = ctx.players[player.name.name]
    legal = scope.legal = _legal(ctx, file, player)
    nexts = _next_declarations(ctx, player)
    noises = _noises(ctx, file, player, nexts)
    next_nodes, drawn = _next_values(ctx, file, scope, nexts, _noise_names(scope))
    states = _states(ctx, file, player, next_nodes)
    actions = tuple(
        Variable(
            name=m.name.name,
            type=ctx.builder.type_index(scope.actions[m.name.name].type),
            doc=m.doc,
        )
        for m in player.members
        if isinstance(m, ast.Action) and m.name.name in scope.actions
    )
    rewards = _rewards(ctx, file, player)
    lets = _lets(ctx, file, player)
    observe = lower_observe(ctx, file, player)
    agents = _agents(ctx, file, player)
    if not scope.states or not actions:
        _report_empty(ctx, player)
    if ctx.sink.failed:
        return None
    return Player(
        kind="population",
        name=player.name.name,
        family=None,
        index=None,
        handle=player.handle.name if player.handle else None,
        states=tuple(states),
        traits=(),
        actions=actions,
        noises=(*noises, *drawn),
        draws=(),
        legal=legal,
        rewards=tuple(rewards),
        lets=tuple(lets),
        observe=tuple(observe),
        observes_law=(),
        agents=agents,
        order=0,
        doc=player.doc,
    )


def _report_empty(ctx: Context, player: ast.Player) -> None:
    declared = {type(m) for m in player.members}
    for kind, node in (("state", ast.State), ("action", ast.Action)):
        if node not in declared:
            ctx.error(
                "MFG111",
                f"`{player.name.name}` has no {kind}",
                player.name.span,
                f"every population needs {article(kind)}",
                helps=[f"add `{kind} {kind[0]} : int in 0..1{' ~ uniform' * (kind == 'state')}`"],
            )


def _next_declarations(ctx: Context, player: ast.Player) -> dict[str, ast.Next]:
    scope = ctx.players[player.name.name]
    nexts: dict[str, ast.Next] = {}
    meant: set[str] = set()
    for member in player.members:
        if not isinstance(member, ast.Next):
            continue
        name, span = member.name.name, member.name.span
        if name not in scope.states:
            if not isinstance(scope.members.get(name), Poison):
                meant |= _not_a_state(ctx, player, name, span)
            continue
        if name in nexts:
            ctx.error(
                "MFG110",
                f"state `{name}` is updated twice",
                span,
                "updated again",
                also=[(nexts[name].name.span, "updated here first")],
            )
            continue
        nexts[name] = member
    for name, symbol in scope.states.items():
        if name not in nexts and name not in meant:
            ctx.error(
                "MFG109",
                f"state `{name}` is never updated",
                symbol.span,
                f"no `{name}' = ...`",
                helps=[f"add `{name}' = {name}` if it is constant"],
            )
    return nexts


def _not_a_state(ctx: Context, player: ast.Player, name: str, span: Span) -> set[str]:
    """Report it, and give the states that were meant: they do not count as forgotten."""
    scope = ctx.players[player.name.name]
    symbol = scope.members.get(name)
    guess = nearest(name, scope.states) if symbol is None else None
    helps = did_you_mean(name, scope.states, [span]) if symbol is None else []
    if isinstance(symbol, VariableSymbol):
        label = f"`{name}` is {article(symbol.kind)}"
    elif isinstance(symbol, LetSymbol):
        label = f"`{name}` is a `let`"
    else:
        label = "no such state"
    ctx.error(
        "MFG108",
        f"`{name}'` is updated, but `{name}` is not a state of `{player.name.name}`",
        span,
        label,
        helps=helps,
    )
    return set() if guess is None else {guess}


def _noises(
    ctx: Context, file: str, player: ast.Player, nexts: dict[str, ast.Next]
) -> list[NoiseVariable]:
    scope = ctx.players[player.name.name]
    declared = {
        m.name.name: m
        for m in player.members
        if isinstance(m, ast.Noise) and isinstance(scope.members.get(m.name.name), VariableSymbol)
    }
    order = draw_order({n: names_in(m.law, scope.members) for n, m in declared.items()})
    result: list[NoiseVariable] = []
    known: frozenset[str] = frozenset()
    for name in order:
        member = declared[name]
        symbol = scope.members[name]
        assert isinstance(symbol, VariableSymbol)
        env = Env(
            file=file,
            player=scope.name,
            reader=scope.name,
            view=OWN,
            noises=known,
            purpose=f"the law of `{name}`",
        )
        leaf = ctx.node("noise", (), symbol.type, None, name)
        node = distributions.density(ctx, env, member.law, leaf, symbol.type)
        if not isinstance(node, Poison):
            kind = ctx.builder.type_index(symbol.type)
            result.append(NoiseVariable(name=name, type=kind, doc=member.doc, density=node.node))
        known |= {name}
    return result


def _noise_names(scope: PlayerScope) -> frozenset[str]:
    return frozenset(
        n for n, s in scope.members.items() if isinstance(s, VariableSymbol) and s.kind == "noise"
    )


def _next_values(
    ctx: Context, file: str, scope: PlayerScope, nexts: dict[str, ast.Next], noises: frozenset[str]
) -> tuple[dict[str, int], list[NoiseVariable]]:
    nodes: dict[str, int] = {}
    drawn: list[NoiseVariable] = []
    for name, member in nexts.items():
        target = scope.states[name].type
        env = Env(
            file=file,
            player=scope.name,
            reader=scope.name,
            view=OWN,
            noises=noises,
            target=target,
            purpose=f"the next `{name}`",
        )
        if member.drawn:
            draw = _drawn(ctx, env, name, member, target)
            if draw is not None:
                nodes[name] = draw[0]
                drawn.append(draw[1])
            continue
        if (law := distributions.drawn_from(ctx, env, member.value)) is not None:
            ctx.error(
                "MFG207",
                f"the next `{name}` is drawn, so it is written with `~`",
                law,
                "a distribution",
                helps=[
                    between(member.name.span, member.value.span, "' ~ ", f"write `{name}' ~ ...`")
                ],
            )
            continue
        value = expressions.lower(ctx, env, member.value)
        fitted = distributions.fitted(ctx, env, value, target, member.value.span)
        if not isinstance(fitted, Poison):
            nodes[name] = fitted.node
    return nodes, drawn


def _drawn(
    ctx: Context, env: Env, name: str, member: ast.Next, target: Type
) -> tuple[int, NoiseVariable] | None:
    """The next value of `x' ~ D`: a noise of its own, by value or by outcome."""
    noise = f"{name}_next"
    count = outcomes.by_outcome(target, member.value)
    if count is None:
        leaf = ctx.node("noise", (), target, None, noise)
        node = distributions.density(ctx, env, member.value, leaf, target)
        if isinstance(node, Poison):
            return None
        kind = ctx.builder.type_index(target)
        return leaf.node, NoiseVariable(name=noise, type=kind, doc="", density=node.node)
    listed = outcomes.outcomes(ctx, env, member.value, target)
    if listed is None:
        return None
    positions = Type(kind="int", lo=0, hi=len(listed) - 1)
    leaf = Term(ctx.node("noise", (), positions, None, noise).node, INT)
    weight = outcomes.pick(ctx, leaf, [w for w, _ in listed], member.value.span)
    value = outcomes.pick(ctx, leaf, [v for _, v in listed], member.value.span)
    kind = ctx.builder.type_index(positions)
    return value.node, NoiseVariable(name=noise, type=kind, doc="", density=weight.node)


def _states(
    ctx: Context, file: str, player: ast.Player, next_nodes: dict[str, int]
) -> list[StateVariable]:
    scope = ctx.players[player.name.name]
    declared = {
        m.name.name: m
        for m in player.members
        if isinstance(m, ast.State) and m.name.name in scope.states
    }
    order = draw_order({n: names_in(m.initial, scope.members) for n, m in declared.items()})
    initial: dict[str, int] = {}
    known: frozenset[str] = frozenset()
    for name in order:
        member, target = declared[name], scope.states[name].type
        env = Env(
            file=file,
            player=scope.name,
            reader=scope.name,
            view=OWN,
            states=known,
            actions=False,
            mean_field=False,
            target=target,
            purpose=f"the initial `{name}`",
        )
        leaf = ctx.node("state", (), target, None, name)
        node = distributions.density(ctx, env, member.initial, leaf, target)
        if not member.drawn and distributions.drawn_from(ctx, env, member.initial) is not None:
            ctx.error(
                "MFG207",
                f"the initial value of `{name}` is a distribution",
                member.initial.span,
                "drawn, not given",
                helps=[
                    between(
                        member.type.span,
                        member.initial.span,
                        " ~ ",
                        f"write `state {name} : ... ~ ...`",
                    )
                ],
            )
        if not isinstance(node, Poison):
            initial[name] = node.node
        known |= {name}
    return [
        StateVariable(
            name=name,
            type=ctx.builder.type_index(scope.states[name].type),
            doc=member.doc,
            initial=initial[name],
            next=next_nodes[name],
        )
        for name, member in declared.items()
        if name in initial and name in next_nodes
    ]


def _legal(ctx: Context, file: str, player: ast.Player) -> int | None:
    scope = ctx.players[player.name.name]
    nodes: list[int] = []
    for member in player.members:
        if not isinstance(member, ast.Action) or member.where is None:
            continue
        env = Env(
            file=file,
            player=scope.name,
            reader=scope.name,
            view=OWN,
            mean_field=False,
            purpose=f"the condition on `{member.name.name}`",
        )
        condition = expressions.lower_condition(ctx, env, member.where)
        if isinstance(condition, Term):
            nodes.append(condition.node)
    if not nodes:
        return None
    return ctx.node("and", nodes, BOOL, None).node if len(nodes) > 1 else nodes[0]


def _rewards(ctx: Context, file: str, player: ast.Player) -> list[RewardTerm]:
    scope = ctx.players[player.name.name]
    terms: list[RewardTerm] = []
    for member in player.members:
        if not isinstance(member, ast.Reward):
            continue
        name = _term_name(ctx, player, member, terms)
        env = Env(
            file=file,
            player=scope.name,
            reader=scope.name,
            view=OWN,
            at_end=member.final,
            actions=not member.final,
            noises=frozenset() if member.final else _noise_names(scope),
            purpose=f"the {'final ' * member.final}{member.kind}",
        )
        value = expressions.lower_real(ctx, env, member.value)
        if isinstance(value, Poison):
            continue
        node = value.node
        if member.kind == "cost":
            node = ctx.node("neg", (node,), REAL, member.value.span).node
        terms.append(RewardTerm(name=name, node=node, final=member.final, doc=member.doc))
    if not any(isinstance(m, ast.Reward) for m in player.members):
        ctx.error(
            "MFG111",
            f"`{player.name.name}` has no reward",
            player.name.span,
            "what do its agents want?",
            helps=["add `reward ... = ...` or `cost ... = ...`"],
        )
    return terms


def _term_name(
    ctx: Context, player: ast.Player, member: ast.Reward, terms: Sequence[RewardTerm]
) -> str:
    scope = ctx.players[player.name.name]
    taken = {term.name for term in terms}
    if member.name is None:
        base = f"final_{member.kind}" if member.final else member.kind
        name, count = base, 1
        while name in taken:
            count += 1
            name = f"{base}_{count}"
        return name
    name = member.name.name
    if name in taken or name in scope.members:
        ctx.error(
            "MFG102",
            f"`{name}` is already taken",
            member.name.span,
            "named again",
            also=[(place, "named here first") for place in _places(player, name)[:1]],
        )
    return name


def _places(player: ast.Player, name: str) -> list[Span]:
    """Where the population declares `name`."""
    declared = (
        m.name
        for m in player.members
        if isinstance(m, ast.State | ast.Action | ast.Noise | ast.Let | ast.Reward)
    )
    return [ident.span for ident in declared if ident is not None and ident.name == name]


def _lets(ctx: Context, file: str, player: ast.Player) -> list[Named]:
    """Lets that are plain values of an agent; the others live where they are used."""
    scope = ctx.players[player.name.name]
    result: list[Named] = []
    noises = _noise_names(scope)
    used = set(ctx.used)
    for member in player.members:
        if not isinstance(member, ast.Let):
            continue
        symbol = scope.members.get(member.name.name)
        if not isinstance(symbol, LetSymbol):
            continue
        env = Env(
            file=file,
            player=scope.name,
            reader=scope.name,
            view=OWN,
            noises=noises,
            purpose=f"`{member.name.name}`",
        )
        value = expressions.lower_let(ctx, env, symbol, member.name.name, member.name.span)
        if isinstance(value, Term) and not value.type.dims:
            result.append(Named(name=member.name.name, node=value.node))
    ctx.used = used | (ctx.used - {m.name.name for m in player.members if isinstance(m, ast.Let)})
    return result


def _agents(ctx: Context, file: str, player: ast.Player) -> int | None:
    count = None
    for member in player.members:
        if isinstance(member, ast.Agents):
            env = Env(file=file, static=True)
            count = sets.static_integer(ctx, env, member.count, "the number of agents")
            if count is not None and count < 1:
                ctx.error("MFG213", f"{count} agents", member.count.span, "must be at least 1")
    return count
