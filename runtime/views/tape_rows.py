"""What each tensor function does to a tape: the rows of a table, by the name of the function."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mfdsl.runtime.views.tape import NotTaped, Places, Recorder

Arguments = tuple[Any, ...]
Options = Mapping[str, Any]
Row = Callable[[Recorder, Arguments, Options, Tensor], Places]

MOVES = frozenset(
    "__getitem__ reshape view flatten unflatten expand permute transpose movedim unsqueeze squeeze "
    "select narrow contiguous clone detach flip unbind split repeat_interleave repeat tile t "
    "broadcast_to index_select take_along_dim gather".split()
)
JOINS = frozenset("stack cat broadcast_tensors".split())
LIKENESSES = frozenset("expand_as view_as reshape_as".split())
# Their results have no number of their arguments.
SHAPES = frozenset(
    "__len__ dim size numel stride new_zeros new_ones new_full zeros_like ones_like "
    "full_like".split()
)


def written(tape: Recorder, func: Any, args: Arguments, options: Options, value: Any) -> Any:
    """Places of the value of a function, in its structure; None where it depends on no input.

    Raises:
        NotTaped: there is no row for the function, or not for such arguments.
    """
    name = func.__name__
    if name in SHAPES or (name == "__get__" and not isinstance(value, Tensor)):
        return None
    if name in LIKENESSES:
        return tape.places_of(args[0]).expand(value.shape) if tape.knows(args[0]) else None
    if name == "__getitem__" and tape.knows(args[1:]):
        return _fetched(tape, args, value)
    if name in MOVES:
        if tape.knows(args[1:]) or tape.knows(tuple(options.values())):
            raise NotTaped("places that depend on the inputs")
        return func(tape.places_of(args[0]), *args[1:], **options)
    if name in JOINS:
        listed = isinstance(args[0], list | tuple)
        parts = [tape.places_of(part) for part in (args[0] if listed else args)]
        return func(parts, *args[1:], **options) if listed else func(*parts, **options)
    if name not in ROWS:
        raise NotTaped(name)
    found = ROWS[name](tape, args, options, value).view(value.shape)
    if name.endswith("_") and not name.endswith("__"):
        tape.written_over(args[0], found)
    return found


def _on(tape: Recorder, operation: str, like: Tensor, *given: Places) -> Places:
    """An operation on places that are spread over `like`."""
    wide = [places.expand(like.shape) for places in given]
    return tape.calculated(operation, *wide).view(like.shape)


def _each(operation: str, *, swapped: bool = False) -> Row:
    """Number by number; the last argument is taken `alpha` times where this is given."""

    def row(tape: Recorder, args: Arguments, options: Options, value: Tensor) -> Places:
        if set(options) - {"alpha"}:
            raise NotTaped(f"{operation} with {sorted(options)}")
        places = [tape.places_of(part) for part in args]
        if "alpha" in options:
            places[-1] = _on(tape, "mul", args[-1], places[-1], tape.places_of(options["alpha"]))
        return _on(tape, operation, value, *(reversed(places) if swapped else places))

    return row


def _reduced(operation: str) -> Row:
    """Over some axes; `dim` is the second argument or an option."""

    def row(tape: Recorder, args: Arguments, options: Options, value: Tensor) -> Places:
        if set(options) - {"dim", "keepdim"}:
            raise NotTaped(f"{operation} with {sorted(options)}")
        chosen = options.get("dim", args[1] if len(args) > 1 else ())
        table = _ahead(tape.places_of(args[0]), (chosen,) if isinstance(chosen, int) else chosen)
        return tape.calculated(operation, table, terms=table.shape[1])

    return row


def _ahead(places: Places, axes: tuple[int, ...]) -> Places:
    """Places [results, terms], the terms along these axes; without any along all."""
    count = places.ndim
    over = [axis % count for axis in axes] or list(range(count))
    kept = [axis for axis in range(count) if axis not in over]
    terms = math.prod(places.shape[axis] for axis in over)
    return places.permute(*kept, *over).reshape(-1, terms)


def _power(tape: Recorder, args: Arguments, options: Options, value: Tensor) -> Places:
    if len(args) == 2 and isinstance(args[1], int | float) and args[1] == 2:
        return _on(tape, "mul", value, *[tape.places_of(args[0])] * 2)
    return _each("pow")(tape, args, options, value)


def _log_sigmoid(tape: Recorder, args: Arguments, options: Options, value: Tensor) -> Places:
    """min(x, 0) - softplus(-abs(x)), as what is below 0 is far from where softplus is cut off."""
    x = tape.places_of(args[0])
    small = _on(tape, "softplus", value, _on(tape, "neg", value, _on(tape, "abs", value, x)))
    return _on(tape, "sub", value, _on(tape, "minimum", value, x, tape.places_of(0.0)), small)


def _clamped(tape: Recorder, args: Arguments, options: Options, value: Tensor) -> Places:
    bounds = dict(zip(("min", "max"), args[1:], strict=False)) | dict(options)
    places = tape.places_of(args[0])
    for end, operation in (("min", "maximum"), ("max", "minimum")):
        if bounds.get(end) is not None:
            places = _on(tape, operation, value, places, tape.places_of(bounds[end]))
    return places


def _kind(tape: Recorder, args: Arguments, options: Options, value: Tensor) -> Places:
    """Another type of number; integers drop what is behind the point."""
    places, before = tape.places_of(args[0]), args[0].dtype
    if value.dtype == torch.bool and before != torch.bool:
        return _on(tape, "ne", value, places, tape.places_of(0.0))
    whole = value.dtype == torch.int64 and before == torch.float64
    return _on(tape, "trunc", value, places) if whole else places


def _denied(tape: Recorder, args: Arguments, options: Options, value: Tensor) -> Places:
    if value.dtype != torch.bool:
        raise NotTaped("the complement of a number")
    return _on(tape, "eq", value, tape.places_of(args[0]), tape.places_of(0.0))


def _both(operation: str) -> Row:
    """Conjunction and disjunction of truth values, which are 0 and 1."""

    def row(tape: Recorder, args: Arguments, options: Options, value: Tensor) -> Places:
        if value.dtype != torch.bool:
            raise NotTaped("the bits of a number")
        return _each(operation)(tape, args, options, value)

    return row


def _fetched(tape: Recorder, args: Arguments, value: Tensor) -> Places:
    """Entries of a table whose positions are worked out: all axes have one, none below 0."""
    table, positions = args[0], args[1] if isinstance(args[1], tuple) else (args[1],)
    whole = all(isinstance(k, int) or _is_position(k) for k in positions)
    if len(positions) != table.ndim or not whole:
        raise NotTaped("a slice at positions that depend on the inputs")
    room = tape.fresh(tape.places_of(table))
    tape.instruct("copy", int(room.view(-1)[0]), room.numel(), 1, *_rows(tape.places_of(table)))
    address = tape.places_of(int(room.view(-1)[0]))
    for position, stride in zip(positions, room.stride(), strict=True):
        step = _on(tape, "mul", value, tape.places_of(position), tape.places_of(stride))
        address = _on(tape, "add", value, address, step)
    return tape.calculated("fetch", address).view(value.shape)


def _is_position(part: object) -> bool:
    return isinstance(part, Tensor) and part.dtype == torch.int64


def _product(tape: Recorder, args: Arguments, options: Options, value: Tensor) -> Places:
    """`einsum` of one table or two."""
    formula, tables = args[0].replace(" ", ""), args[1:]
    ins, out = formula.split("->")
    letters = ins.split(",")
    if len(letters) > 2 or any(len(set(axes)) < len(axes) for axes in letters) or "." in formula:
        raise NotTaped(formula)
    order = out + "".join(sorted(set("".join(letters)) - set(out)))
    sizes = {
        letter: size
        for axes, table in zip(letters, tables, strict=True)
        for letter, size in zip(axes, table.shape, strict=True)
    }
    wide = []
    for axes, table in zip(letters, tables, strict=True):
        turned = tape.places_of(table).permute(*(axes.index(k) for k in order if k in axes))
        spread = turned.reshape([sizes[k] if k in axes else 1 for k in order])
        wide.append(spread.expand([sizes[k] for k in order]))
    terms = math.prod(sizes[k] for k in order[len(out) :])
    return tape.calculated("sum" if len(wide) == 1 else "dot", *wide, terms=terms)


def _scattered(tape: Recorder, args: Arguments, options: Options, value: Tensor) -> Places:
    """`scatter_add`: numbers go to places that are known."""
    table, axis, index, source = args
    if tape.knows(index):
        raise NotTaped("places that depend on the inputs")
    room = tape.fresh(tape.places_of(table))
    tape.instruct("copy", int(room.view(-1)[0]), room.numel(), 1, *_rows(tape.places_of(table)))
    part = tape.places_of(source)[tuple(slice(size) for size in index.shape)]
    to = room.gather(axis, index)
    tape.instruct("scatter", int(room.view(-1)[0]), to.numel(), 1, *_rows(part), *_rows(to))
    return room


def _rows(places: Places) -> tuple[Any, ...]:
    return (places.reshape(-1).contiguous().numpy(),)


def _chosen(tape: Recorder, args: Arguments, options: Options, value: Tensor) -> Places:
    """`where`; what is known to be chosen is only moved."""
    if options or len(args) != 3 or tape.knows(args[0]):
        return _each("where")(tape, args, options, value)
    one, other = (tape.places_of(part).expand(value.shape) for part in args[1:])
    return torch.where(args[0], one, other)


NUMBER_BY_NUMBER = {
    **{name: name for name in "minimum maximum remainder atan2".split()},
    **{
        name: name for name in "neg abs exp log sqrt sin cos tanh softplus floor ceil round".split()
    },
    **{"add": "add", "__add__": "add", "__radd__": "add", "sub": "sub", "__sub__": "sub"},
    **{"mul": "mul", "__mul__": "mul", "__rmul__": "mul", "div": "div", "__truediv__": "div"},
    **{"eq": "eq", "__eq__": "eq", "ne": "ne", "__ne__": "ne", "lt": "lt", "__lt__": "lt"},
    **{"le": "le", "__le__": "le", "__neg__": "neg", "trunc": "trunc"},
}
OTHER_WAY_ROUND = {
    **{"__rsub__": "sub", "rsub": "sub", "__rdiv__": "div", "__rtruediv__": "div"},
    **{"gt": "lt", "__gt__": "lt", "ge": "le", "__ge__": "le"},
}
ROWS: dict[str, Row] = {
    **{name: _each(operation) for name, operation in NUMBER_BY_NUMBER.items()},
    **{name: _each(operation, swapped=True) for name, operation in OTHER_WAY_ROUND.items()},
    **{name: _reduced(name) for name in ("sum", "amax", "amin")},
    **{"pow": _power, "__pow__": _power},
    **{"clamp": _clamped, "clamp_": _clamped},
    **{name: _kind for name in ("to", "long", "double", "bool")},
    **{name: _denied for name in ("__invert__", "logical_not")},
    **{name: _both("minimum") for name in ("__and__", "logical_and")},
    **{name: _both("maximum") for name in ("__or__", "logical_or")},
    **{"where": _chosen, "log_sigmoid": _log_sigmoid},
    **{"any": _reduced("amax"), "all": _reduced("amin")},
    **{"einsum": _product, "scatter_add": _scattered},
}
