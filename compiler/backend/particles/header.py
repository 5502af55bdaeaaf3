"""The top of a module of agents: constants, named tuples, parameters."""

from collections.abc import Mapping, Sequence

from mfdsl.compiler.backend.particles.module import Module, drawn_at_start, names_of
from mfdsl.compiler.backend.particles.roots import stored
from mfdsl.compiler.backend.torch_header import plain, tuple_class, what_values
from mfdsl.compiler.backend.torch_text import quoted, wrapped
from mfdsl.compiler.ir.model import NoiseVariable, Player

MOST_LITERALS = 4096  # Python takes seconds for a million literals, a text of them takes none


def constants(module: Module, cuts: Sequence[str]) -> str:
    """The constants of the contract."""
    model, names = module.model, module.players
    masked = any(term.final for player in model.players for term in player.rewards)
    rows = [
        ("ABI", repr(model.abi)),
        ("VIEW", quoted("particles")),
        ("NAME", quoted(model.name)),
        ("OBJECTIVE", quoted(model.objective)),
        ("HORIZON", repr(model.horizon.steps)),
        ("HORIZON_KIND", quoted(model.horizon.kind)),
        ("DISCOUNT", repr(float(model.discount))),
        ("PLAYERS", _table({names[p.name]: quoted(p.kind) for p in model.players})),
        ("NAMES", _table({names[p.name]: quoted(p.name) for p in model.players})),
        ("AGENTS", _table({names[p.name]: repr(p.agents) for p in model.populations})),
        ("FIXED", _fixed(module)),
        ("NOISES", _table(_laws(module, "z"))),
        ("INITIALS", _table(_laws(module, "i"))),
        ("ACTIONS", _table(_actions(module))),
        ("HAS_FINAL", repr(masked)),
    ]
    lines = [f"{name} = {value}" for name, value in rows]
    if not cuts:
        return "\n".join([*lines, "CUTS: tuple[str, ...] = ()"]) + "\n"
    return "\n".join([*lines, "CUTS = (", *(f"    {quoted(cut)}," for cut in cuts), ")"]) + "\n"


def _fixed(module: Module) -> str:
    """The populations whose agents are given by files, so that their number is fixed."""
    fixed = [quoted(module.players[p.name]) for p in module.model.populations if p.fixed]
    return f"({', '.join(fixed)}{',' if len(fixed) == 1 else ''})"


def _table(rows: Mapping[str, str]) -> str:
    """A dictionary, over several lines where it is long."""
    items = [f"{quoted(name)}: {value}" for name, value in rows.items()]
    flat = f"{{{', '.join(items)}}}"
    if len(flat) <= 80:
        return flat
    return "\n".join(["{", *(f"    {item}," for item in items), "}"])


def _laws(module: Module, letter: str) -> dict[str, str]:
    """Law and shape of each field of `Noise` or `Initial`."""
    found = {}
    for player in module.model.players:
        rows = {
            module.variables[letter, player.name, name]: repr((law, shape))
            for name, law, shape in standard_draws(module, player, letter)
        }
        if rows:
            inner = ", ".join(f"{quoted(name)}: {value}" for name, value in rows.items())
            found[module.players[player.name]] = f"{{{inner}}}"
    return found


def standard_draws(
    module: Module, player: Player, letter: str
) -> list[tuple[str, tuple[str | float, ...], tuple[int, ...]]]:
    """(name, law, shape) of the draws of a step (letter z) or of t = 0 (letter i)."""
    if letter == "i":
        drawn = [(name, draw) for name, _, draw in drawn_at_start(player)]
    else:
        drawn = [(v.name, v if v.density is None else None) for v in player.noises]
    return [(name, *_law(module, draw)) for name, draw in drawn]


def _law(
    module: Module, draw: NoiseVariable | None
) -> tuple[tuple[str | float, ...], tuple[int, ...]]:
    if draw is None:
        return ("uniform",), ()
    assert draw.law is not None
    return draw.law, module.model.types[draw.type].dims


def _actions(module: Module) -> dict[str, str]:
    """Kind, shape and bounds of each action."""
    found = {}
    for player in module.model.players:
        rows = []
        for action in player.actions:
            type = module.model.types[action.type]
            ends = [
                float(e) if type.kind == "real" and e is not None else e for e in (type.lo, type.hi)
            ]
            field = module.variables["a", player.name, action.name]
            rows.append(
                f"{quoted(field)}: ({quoted(type.kind)}, {type.dims!r}, {ends[0]}, {ends[1]})"
            )
        if rows:
            found[module.players[player.name]] = f"{{{', '.join(rows)}}}"
    return found


def classes(module: Module) -> list[str]:
    """Named tuples: of the parameters, of each player, and of all players together."""
    model = module.model
    made = [_params(module)]
    groups = {
        "s": ("State", "States and traits of all players.", "states and traits"),
        "a": ("Action", "Actions of the players that have some.", "actions"),
        "z": ("Noise", "Standard draws of one step.", "draws of one step"),
        "i": ("Initial", "Standard draws of t = 0.", "draws of t = 0"),
    }
    for letter, (whole, doc, word) in groups.items():
        fields = []
        for player in model.players:
            if letter != "s" and not names_of(player, letter):
                continue
            name = module.classes[letter, player.name]
            shape = "[B, N, ...]" if player.kind == "population" else "[B, ...]"
            text = f"{plain(player.name)}: {word}, {shape}."
            made.append(tuple_class(name, text, _fields(module, player, letter)))
            fields.append((module.players[player.name], name))
        made.append(_nested(whole, doc, fields))
    rewards = [(module.players[p.name], "") for p in model.players if p.rewards]
    made.append(tuple_class("Rewards", "Rewards, [B, N] or [B].", rewards))
    return made


def _fields(module: Module, player: Player, letter: str) -> list[tuple[str, str]]:
    model = module.model
    if letter in "zi":
        return [
            (module.variables[letter, player.name, name], _standard(law, shape))
            for name, law, shape in standard_draws(module, player, letter)
        ]
    group = stored(player) if letter == "s" else player.actions
    return [(module.variables[letter, player.name, v.name], what_values(model, v)) for v in group]


def _standard(law: tuple[str | float, ...], shape: tuple[int, ...]) -> str:
    words = " ".join(str(part) for part in law)
    return f"{words}, {list(shape)}" if shape else words


def _nested(name: str, doc: str, fields: Sequence[tuple[str, str]]) -> str:
    lines = [f"class {name}(NamedTuple):", f'    """{doc}"""']
    lines += [""] if fields else []
    return "\n".join([*lines, *(f"    {field}: {kind}" for field, kind in fields)]) + "\n"


def _params(module: Module) -> str:
    rows = [("unit", "1 in the dtype of the call")]
    for parameter in module.model.parameters:
        if parameter.structural:
            continue
        dims = module.model.types[parameter.type].dims
        shape = f"[{', '.join(map(str, dims))}]" if dims else ""
        doc = plain(parameter.doc)
        rows.append((module.parameters[parameter.name], ": ".join(x for x in (shape, doc) if x)))
    return tuple_class("Params", "Parameters: scalars or [B]; arrays [...] or [B, ...].", rows)


def batched(module: Module) -> str:
    """`_batched`: parameters with a batch axis in front."""
    rows = ["unit=p.unit"]
    for parameter in module.model.parameters:
        if parameter.structural:
            continue
        name, type = module.parameters[parameter.name], module.model.types[parameter.type]
        cast = {"real": "", "bool": ".bool()"}.get(type.kind, "")
        shape = ", ".join(["-1", *map(str, type.dims)])
        rows.append(f"{name}=p.{name}.reshape({shape}){cast}")
    head = [
        "def _batched(p: Params) -> Params:",
        '    """Parameters with a batch axis in front."""',
    ]
    return (
        "\n".join([*head, "    return Params(", *(f"        {row}," for row in rows), "    )"])
        + "\n"
    )


def arrays(module: Module) -> list[str]:
    """The constant arrays that the module looks up."""
    if not module.arrays:
        return []
    lines = ["_ARRAYS: tuple[tuple[tuple[int, ...], tuple[float, ...]], ...] = ("]
    for number in module.arrays:
        array = module.rewriter.arena.builder.arrays[number]
        numbers = [repr(float(v)) for v in array.values]
        if len(numbers) > MOST_LITERALS:
            text = wrapped(numbers, "").replace(",", "")
            held = f'tuple(map(float, """\n{text}\n""".split()))'
        else:
            values = wrapped(numbers, "            ")
            held = f"(\n{values}\n        )"
        lines.append(f"    (\n        {array.dims!r},\n        {held},\n    ),")
    return ["\n".join([*lines, ")"])]
