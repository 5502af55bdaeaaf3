"""Writers of the functions of a module of agents."""

from collections.abc import Mapping, Sequence

from mfdsl.compiler.backend.names import unique
from mfdsl.compiler.backend.particles.axes import (
    OWN,
    entry_axes,
    index_axis,
    ordered,
    widened,
)
from mfdsl.compiler.backend.particles.factors import factored
from mfdsl.compiler.backend.particles.module import Module, drawn_at_start
from mfdsl.compiler.backend.particles.pairs import frontier, pair_text
from mfdsl.compiler.backend.particles.rolling import rolled
from mfdsl.compiler.backend.particles.roots import (
    final,
    masks,
    observed,
    rewarded,
    running,
    starts,
    stored,
)
from mfdsl.compiler.backend.particles.scope import Scope, used_lines
from mfdsl.compiler.backend.torch_text import ATOM, Text, lift, quoted, signature, words
from mfdsl.compiler.ir.model import Player
from mfdsl.compiler.ir.types import REAL, Type

ARGUMENTS = {
    "p": "p: Params",
    "t": "t: Tensor",
    "s": "s: State",
    "a": "a: Action",
    "z": "z: Noise",
}
DTYPES = {"real": "p.unit.dtype", "bool": "torch.bool"}


class Writer:
    """One function of the contract: a scope, and results with all axes."""

    def __init__(self, module: Module, letters: str) -> None:
        self.module = module
        self.letters = letters
        self.agents = _agents(module, letters)
        self.scope = Scope(module, self.agents, pair_text, frontier)

    def emit(self, roots: Sequence[int]) -> None:
        """The statements that the roots need; their texts are known afterwards."""
        arena = self.module.rewriter.arena
        made = [factored(arena, rolled(arena, root)) for root in roots]
        texts = self.scope.emit(made)
        self.scope.known.update(zip(roots, texts, strict=True))

    def full(self, player: Player, root: int, type: Type) -> str:
        """The text of a result [B, N, ...] of a population or [B, ...] of another player."""
        text = self.scope.known[root]
        axes = entry_axes(len(type.dims))
        axes = (OWN, *axes) if player.kind == "population" else axes
        dims = [str(d) for d in type.dims]
        if player.kind == "population":
            dims = [f"{self.agents[player.name]}.shape[1]", *dims]
        if text.literal is not None:
            return self._constant(text, type, dims)
        if text.axes == axes and text.batch:
            return text.code
        code = widened(text, axes)
        if not dims:
            return code
        atom = code if lift(text, axes).level == ATOM else f"({code})"
        return f"{atom}.expand(-1, {', '.join(dims)})"

    def _constant(self, text: Text, type: Type, dims: Sequence[str]) -> str:
        shape = f"({', '.join(['1', *dims])}{'' if dims else ','})"
        dtype = DTYPES.get(type.kind, "torch.int64")
        return f"torch.full({shape}, {text.code}, dtype={dtype}, device=p.unit.device)"

    def function(self, name: str, result: str, doc: str, end: Sequence[str]) -> str:
        """The text of the function, with batch axes for parameters and time where they are read."""
        lines = used_lines([*self.scope.lines, *end])
        read = words(lines)
        given = []
        if "p" in read:
            given.append("p = _batched(p)")
        if "t" in read:
            given.append("t = t.reshape(-1)")
        letters = self.letters
        arguments = [ARGUMENTS[letter] for letter in letters if letter != "i"]
        if "i" in letters:
            arguments = ["p: Params", "z: Initial"]
        body = [f'"""{doc}"""', *given, *lines]
        return "\n    ".join([signature(name, arguments, result), *body]) + "\n"


def _agents(module: Module, letters: str) -> dict[str, str]:
    """The text of a tensor [B, N] of each population, out of what a function gets."""
    found = {}
    for player in module.model.populations:
        groups: list[tuple[str, Sequence[tuple[str, tuple[int, ...]]]]] = []
        types = module.model.types
        for letter, group in (("s", stored(player)), ("a", player.actions), ("z", player.noises)):
            if letter in letters:
                groups.append((letter, [(v.name, types[v.type].dims) for v in group]))
        if "i" in letters:
            names = [
                (name, () if draw is None else types[draw.type].dims)
                for name, _, draw in drawn_at_start(player)
            ]
            groups.append(("i", names))
        for letter, names_ in groups:
            if names_ and player.name not in found:
                name, dims = names_[0]
                code = module.field_of(letter, player.name, name)
                entry = "".join(", 0" for _ in dims)
                found[player.name] = f"{code}[...{entry}]" if dims else code
    return found


def play(module: Module) -> str:
    """`_play`: next states and named rewards of all players."""
    writer = Writer(module, "ptsaz")
    nexts, terms = running(module.rewriter)
    writer.emit([root for _, _, root in nexts] + [root for _, _, root in terms])
    end = []
    after: dict[str, dict[str, str]] = {player.name: {} for player in module.model.players}
    for player, variable, root in nexts:
        code = writer.full(player, root, module.model.types[variable.type])
        local = unique(f"{variable.name}_next", writer.scope.taken)
        end.append(f"{local} = {code}{module.comment(root)}")
        after[player.name][variable.name] = local
    rewards: dict[str, dict[str, str]] = {}
    for player, name, root in terms:
        local = unique(name, writer.scope.taken)
        end.append(f"{local} = {writer.full(player, root, REAL)}{module.comment(root)}")
        rewards.setdefault(player.name, {})[name] = local
    end += _kept(module, after)
    end.append(f"return after, {_named(module, rewards)}")
    result = "tuple[State, dict[str, dict[str, Tensor]]]"
    return writer.function("_play", result, "Next states and named rewards of one stage.", end)


def _kept(module: Module, after: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The next state, traits as they were."""
    rows = ["after = State("]
    for player in module.model.players:
        names = [after[player.name].get(v.name) for v in stored(player)]
        fields = [
            name or module.field_of("s", player.name, v.name)
            for name, v in zip(names, stored(player), strict=True)
        ]
        class_ = module.classes["s", player.name]
        rows.append(f"    {module.players[player.name]}={class_}({', '.join(fields)}),")
    return ["\n    ".join([*rows, ")"])]


def _named(module: Module, values: Mapping[str, Mapping[str, str]]) -> str:
    """A dictionary of dictionaries: players by field, values by the name in the spec."""
    rows = []
    for player, items in values.items():
        inner = ", ".join(f"{quoted(name)}: {code}" for name, code in items.items())
        rows.append(f"{quoted(module.players[player])}: {{{inner}}}")
    return f"{{{', '.join(rows)}}}"


def step(module: Module) -> list[str]:
    """`step` and `reward_terms`."""
    fields = []
    for player in rewarded(module.rewriter):
        field = module.players[player.name]
        if any(not term.final for term in player.rewards):
            named = [term.name for term in player.rewards if not term.final]
            codes = [f"terms[{quoted(field)}][{quoted(name)}]" for name in named]
            fields.append(f"{field}={' + '.join(codes)}")
        else:
            fields.append(f"{field}={_zeros(player, _agents(module, 'saz'))}")
    arguments = [ARGUMENTS[letter] for letter in "ptsaz"]
    first = [
        signature("step", arguments, "tuple[State, Rewards]"),
        '"""Next states and rewards, [B, N] for populations and [B] for others."""',
        "after, terms = _play(p, t, s, a, z)",
        f"return after, Rewards({', '.join(fields)})",
    ]
    second = [
        signature("reward_terms", arguments, "dict[str, dict[str, Tensor]]"),
        '"""Each named reward before adding up."""',
        "return _play(p, t, s, a, z)[1]",
    ]
    return ["\n    ".join(first) + "\n", "\n    ".join(second) + "\n"]


def _zeros(player: Player, agents: Mapping[str, str]) -> str:
    if player.kind != "population":
        return "p.unit.new_zeros(1)"
    return f"p.unit.new_zeros({agents[player.name]}.shape)"


def final_rewards(module: Module) -> str:
    """`final_rewards`: sums of the final terms, or zeros."""
    writer = Writer(module, "pts")
    terms = final(module.rewriter)
    writer.emit([root for _, _, root in terms])
    fields = []
    for player in rewarded(module.rewriter):
        field = module.players[player.name]
        roots = [root for owner, _, root in terms if owner is player]
        codes = [_termed(writer.full(player, root, REAL)) for root in roots]
        fields.append(f"{field}={' + '.join(codes) or _zeros(player, writer.agents)}")
    doc = "Rewards paid at the end."
    return writer.function(
        "final_rewards", "Rewards", doc, [f"return Rewards({', '.join(fields)})"]
    )


def _termed(code: str) -> str:
    return code if code.replace("_", "").replace(".", "").isalnum() else f"({code})"


def init(module: Module) -> str:
    """`init`: states at t = 0, players in the order in which they are drawn."""
    writer = Writer(module, "i")
    model = module.model
    roots = {(player.name, v.name): root for player, v, root in starts(module.rewriter)}
    writer.emit(list(roots.values()))
    end = []
    locals_: dict[str, dict[str, str]] = {player.name: {} for player in model.players}
    for player in model.players:
        for variable in stored(player):
            code = writer.full(
                player, roots[player.name, variable.name], model.types[variable.type]
            )
            local = code
            if code not in writer.scope.taken:
                local = unique(variable.name, writer.scope.taken)
                end.append(f"{local} = {code}")
            locals_[player.name][variable.name] = local
    rows = [
        f"    {module.players[p.name]}={module.classes['s', p.name]}"
        f"({', '.join(locals_[p.name][v.name] for v in stored(p))}),"
        for p in model.players
    ]
    end.append("\n    ".join(["return State(", *rows, ")"]))
    return writer.function("init", "State", "States and traits at t = 0.", end)


def legal(module: Module) -> str:
    """`legal`: masks of the players that have one."""
    writer = Writer(module, "pts")
    found = masks(module.rewriter)
    writer.emit([root for _, _, root in found])
    rows = [
        f"    {quoted(module.players[player.name])}: {_mask(writer, player, indices, root)},"
        for player, indices, root in found
    ]
    end = ["\n    ".join(["return {", *rows, "}"]) if rows else "return {}"]
    doc = "Which actions are legal, bool [B, N, A] or [B, A], for players that have a mask."
    return writer.function("legal", "dict[str, Tensor]", doc, end)


def _mask(writer: Writer, player: Player, indices: Sequence[int], root: int) -> str:
    """A mask with all axes, those of the actions flat."""
    arena = writer.module.rewriter.arena
    text = writer.scope.known[root]
    depths = [arena.node(i).attr for i in indices]
    axes = tuple(index_axis(d) for d in depths if isinstance(d, int))
    sizes = [str(arena.type_of(i).size) for i in indices]
    own = player.kind == "population"
    rows = [f"{writer.agents[player.name]}.shape[1]"] if own else []
    shape = ", ".join([*rows, *sizes])
    if text.literal is not None:
        code = f"torch.full((1, {shape}), {text.code}, device=p.unit.device)"
    else:
        axes = (OWN, *axes) if own else axes
        last = ordered(text, axes)
        code = widened(last, axes)
        code = code if last.level == ATOM or code != last.code else f"({code})"
        code = f"{code}.expand(-1, {shape})"
        if last is not text:  # a mask is read along its actions
            code = f"{code}.contiguous()"
    return f"{code}.flatten({1 + own})" if len(sizes) > 1 else code


def observe(module: Module) -> str:
    """`observe`: what the policy of each player with actions may read."""
    writer = Writer(module, "pts")
    seen = observed(module.rewriter)
    writer.emit([root for _, _, root in seen])
    arena = module.rewriter.arena
    values: dict[str, dict[str, str]] = {}
    end = []
    for player, name, root in seen:
        code = writer.full(player, root, arena.type_of(root))
        local = unique(name, writer.scope.taken)
        end.append(f"{local} = {code}")
        values.setdefault(player.name, {})[name] = local
    end.append(f"return {_named(module, values)}")
    doc = "What policies may read, by the names of the spec."
    return writer.function("observe", "dict[str, dict[str, Tensor]]", doc, end)
