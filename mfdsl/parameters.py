"""Parameter values from the command line: `--set`, `--params` and `--sweep` as plain data.

Whether a name exists and a value fits is for the compiler to say; here only the form is read.
"""

import glob
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from mfdsl.compiler.driver import ParameterValue
from mfdsl.compiler.ir.fold import read_float, told_apart
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.ir.rows import Rows, array_of
from mfdsl.compiler.ir.types import Type
from mfdsl.entries import swept_parameter, whole_columns
from mfdsl.errors import UsageError
from mfdsl.files import read_text

MAX_SWEEP = 100_000

Sweep = Mapping[str, tuple[float, ...]]


def gather(settings: Iterable[str], file: Path | None) -> dict[str, ParameterValue]:
    """Values of a parameter file and of `name=value` settings, which win.

    Raises:
        UsageError: as `read_parameter_file` and `read_settings` do.
    """
    return (read_parameter_file(file) if file is not None else {}) | read_settings(settings)


def given_values(params: Mapping[str, Any]) -> dict[str, ParameterValue]:
    """Values that a program gives: arrays and lists of lists row by row, truth values by name.

    Raises:
        UsageError: a value is no number, name, truth value or array of numbers.
    """
    return {name: _given(name, value) for name, value in params.items()}


def _given(name: str, value: Any) -> ParameterValue:
    plain = value.tolist() if hasattr(value, "tolist") else value
    match plain:
        case bool():
            return "true" if plain else "false"
        case int() | float() | str() | Rows():
            return plain
        case list() | tuple():
            return _array(f"params `{name}`", _numbers("params", name, list(plain)))
    raise UsageError(
        f"the value of `{name}` is {value!r}", "give a number, a name, or an array of numbers"
    )


def swept_values(sweep: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """The values of each axis that a program gives, as numbers.

    Raises:
        UsageError: an axis is no sequence, is empty, or holds something that is no finite number.
    """
    found = {}
    for name, values in sweep.items():
        plain = values.tolist() if hasattr(values, "tolist") else values
        if not isinstance(plain, list | tuple) or not plain:
            raise UsageError(
                f"`{name}` is swept over {values!r}", "give its values: (0.5, 0.7, 0.9)"
            )
        found[name] = _array(f"sweep `{name}`", _numbers("sweep", name, list(plain)))
    return found


def read_settings(
    settings: Iterable[str], flag: str = "--set", *, texts: bool = False
) -> dict[str, ParameterValue]:
    """Values of the `name=value` settings of a flag; a later setting of the same name wins.

    With `texts` a value that is no number may be any text, as in `hide=x leader.y`.

    Raises:
        UsageError: a setting has no `=`, no name or no readable value.
    """
    values: dict[str, ParameterValue] = {}
    for setting in settings:
        name, text = _split(flag, setting, f"{flag} beta=0.4")
        values[name] = text if texts and _wordy(text) else _read_value(f"{flag} {setting}", text)
    return values


def read_parameter_file(path: Path) -> dict[str, ParameterValue]:
    """Values of a TOML file of `name = value` lines; tables are not allowed.

    Raises:
        UsageError: the file cannot be read, is not TOML, or holds something that is no value.
    """
    try:
        entries = tomllib.loads(read_text(path), parse_float=read_float)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"`{path}` is not TOML: {error}", "one `name = value` on a line") from None
    return {name: _from_toml(path, name, value) for name, value in entries.items()}


def expanded_paths(patterns: Iterable[str]) -> list[Path]:
    """Parameter files by their names or by patterns such as `sets/*.toml`, in this order.

    Raises:
        UsageError: a pattern matches nothing, or a file is there twice.
    """
    found: list[Path] = []
    for pattern in patterns:
        if not glob.has_magic(pattern):
            found.append(Path(pattern))
            continue
        matches = sorted(glob.glob(pattern, recursive=True))
        if not matches:
            raise UsageError(f"`--params {pattern}` matches no file")
        found += [Path(match) for match in matches]
    for path in found:
        if found.count(path) > 1:
            raise UsageError(f"`--params {path}` is there twice", "give each file once")
    return found


def read_sweeps(
    sweeps: Iterable[str], settings: Iterable[str] = ()
) -> dict[str, tuple[float, ...]]:
    """Values of `name=a:b:n` (n points from a to b, both included) and `name=v1,v2,v3`.

    A name is that of a parameter, or `opt.` and an option of the solver.

    Raises:
        UsageError: a sweep is malformed, or names what another one or one of the settings names.
    """
    values: dict[str, tuple[float, ...]] = {}
    fixed = read_settings(settings)
    for sweep in sweeps:
        name, text = _split("--sweep", sweep, "--sweep beta=0.1:0.9:5")
        if name in values:
            raise UsageError(f"`{name}` is swept twice", "give all its values in one --sweep")
        if name in fixed:
            raise UsageError(f"`{name}` is set and swept", f"leave out `--set {name}=...`")
        values[name] = _points(sweep, text)
    return values


def combinations(sweep: Sweep) -> list[dict[str, float]]:
    """Every combination of the swept values, the last name varying fastest.

    Raises:
        UsageError: there are more than 100,000 of them.
    """
    count = math.prod(len(values) for values in sweep.values())
    if count > MAX_SWEEP:
        raise UsageError(
            f"the sweep has {count:,} combinations, the limit is {MAX_SWEEP:,}",
            "sweep fewer values at once",
        )
    return [dict(zip(sweep, point, strict=True)) for point in product(*sweep.values())]


def check_sweep(model: Model, sweep: Sweep) -> None:
    """Refuse a sweep over something that is no run-time parameter of `model`, or out of range.

    Raises:
        UsageError: names the parameter and what it may be.
    """
    whole_columns(model, {name: values[:1] for name, values in sweep.items()})
    for name, values in sweep.items():
        parameter, place = swept_parameter(model, name)
        if parameter.structural:
            raise UsageError(
                f"`{name}` fixes sizes, bounds, the horizon or the discount, so it cannot be swept "
                "in one run",
                f"run once for each value with --set {name}=...",
            )
        kind = model.types[parameter.type]
        if kind.dims and place is None:
            first = f"{name}[{', '.join('0' for _ in kind.dims)}]"
            raise UsageError(
                f"`{name}` is an array; only single numbers can be swept",
                f"sweep entries: `--sweep {first}=...`, and so on",
            )
        _check_range(name, kind, values)


def _check_range(name: str, kind: Type, values: tuple[float, ...]) -> None:
    low = -math.inf if kind.lo is None else kind.lo
    high = math.inf if kind.hi is None else kind.hi
    for value in values:
        if not low <= value <= high:
            text, low_text, high_text = told_apart(value, low, high)
            raise UsageError(f"`{name} = {text}` is outside its range [{low_text}, {high_text}]")
        if kind.kind != "real" and value != int(value):
            raise UsageError(f"`{name} = {value:g}` is not an integer")


def _split(flag: str, setting: str, example: str) -> tuple[str, str]:
    name, equals, text = setting.partition("=")
    if not equals or not name.strip() or not text.strip():
        raise UsageError(f"`{flag} {setting}` is not of the form name=value", f"write {example}")
    return name.strip(), text.strip()


def _read_value(where: str, text: str) -> ParameterValue:
    """An integer, a number, a name, or a bracketed list of numbers, or of such lists."""
    if text.startswith("["):
        return _array(where, _listed(where, text))
    if text.isidentifier() and text.lower() not in ("inf", "infinity", "nan"):
        return text
    return _number(where, text)


def _listed(where: str, text: str) -> list[Any]:
    """The lists that brackets make; commas and blanks divide."""
    whole: list[Any] = []
    around = [whole]
    for word in re.findall(r"[\[\]]|[^\[\],\s]+", text):
        if word == "[":
            around[-1].append([])
            around.append(around[-1][-1])
        elif word != "]":
            around[-1].append(_number(where, word))
        elif len(around) > 1:
            around.pop()
        else:
            break
    if len(around) != 1 or len(whole) != 1 or text.count("[") != text.count("]"):
        raise UsageError(f"`{where}`: its brackets do not close", "write [0.1, 0.2]")
    found: list[Any] = whole[0]
    return found


def _wordy(text: str) -> bool:
    """Whether a value is neither a number nor a list of numbers."""
    try:
        float(text)
    except ValueError:
        return not text.startswith("[")
    return False


def _number(where: str, text: str) -> int | float:
    if "_" in text or not text.isascii():  # Python would read 1_0 as 10
        raise UsageError(f"`{where}`: `{text}` is not a number")
    try:
        return int(text)
    except ValueError:
        pass
    try:
        value = read_float(text)
    except ValueError:
        raise UsageError(f"`{where}`: `{text}` is not a number") from None
    if not math.isfinite(value):
        raise UsageError(f"`{where}`: `{text}` is not a finite number")
    return value


def _points(sweep: str, text: str) -> tuple[float, ...]:
    where = f"--sweep {sweep}"
    parts = text.split(":")
    if len(parts) == 1:
        return tuple(_number(where, item.strip()) for item in text.split(","))
    if len(parts) != 3:
        raise UsageError(f"`{where}` is not a range", "write name=first:last:count or name=v1,v2")
    first, last = (_number(where, part.strip()) for part in parts[:2])
    count = _number(where, parts[2].strip())
    if not isinstance(count, int) or not 1 <= count <= MAX_SWEEP:
        raise UsageError(f"`{where}`: the count is a whole number from 1 to {MAX_SWEEP:,}")
    if count == 1:
        return (first,)
    inner = (first + (last - first) * i / (count - 1) for i in range(count - 1))
    return (*inner, last)  # computed like the others, the last one may lie beyond its range


def _from_toml(path: Path, name: str, value: Any) -> ParameterValue:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | str():
            return value
        case float() if math.isfinite(value):
            return value
        case list():
            return _array(f"{path}` holds `{name}", _numbers(path, name, value))
    raise UsageError(f"`{path}`: `{name}` is not a finite number, a name or a list of numbers")


def _numbers(path: Path | str, name: str, values: list[Any]) -> list[Any]:
    """The lists of a value with Python's own finite numbers in them."""
    found: list[Any] = []
    for value in values:
        value = value.item() if hasattr(value, "item") else value
        if isinstance(value, list | tuple):
            found.append(_numbers(path, name, list(value)))
        elif isinstance(value, int | float) and math.isfinite(value):
            found.append(value)
        else:
            raise UsageError(f"`{path}`: `{name}` holds `{value}`, which is not a finite number")
    return found


def _array(where: str, values: list[Any]) -> tuple[float, ...]:
    try:
        return array_of(values)
    except ValueError as error:
        raise UsageError(f"`{where}`: {error}", "write [[1, 2, 3], [4, 5, 6]]") from None
