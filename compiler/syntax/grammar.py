"""The parser's tables: built from `grammar.lark` once, then read from the folder of compiled code.

Building takes a quarter of a second, reading a hundredth. As Python does with its own compiled
files, the tables lie in `__pycache__`, nothing is written where Python writes nothing
(`PYTHONDONTWRITEBYTECODE`), and a folder that cannot be written costs time only.
"""

import os
import pickle
import sys
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import lark
from lark import Lark
from lark.lexer import Lexer

from mfdsl.compiler.syntax.build import BUILDERS

SOURCE = Path(__file__).with_name("grammar.lark")
# What reading tables raises that were cut short or written over.
CUT_SHORT = (EOFError, pickle.UnpicklingError, AttributeError, ImportError)
DAMAGED = (*CUT_SHORT, LookupError, TypeError, ValueError)
STARTS = ("header", "decl", "player_head", "member")


class _NoLexer(Lexer):
    """Stands in for lark's own lexer: the parser is fed from `tokens`."""

    def __init__(self, _: object) -> None:
        pass

    def lex(self, *_: object) -> Any:
        """No tokens."""
        return iter(())


class _Builders:
    """The builders as attributes, which is how lark looks for them; kept tables name it only."""

    def __getattr__(self, rule: str) -> Any:
        try:
            return BUILDERS[rule]
        except KeyError:
            raise AttributeError(rule) from None


@cache
def grammar() -> Lark:
    """The parser, made once in a process."""
    text = SOURCE.read_text(encoding="utf-8")
    path = tables_path(text)
    try:
        with path.open("rb") as file:
            return Lark.load(file)
    except (OSError, *DAMAGED):
        parser = _built(text)
    if not sys.dont_write_bytecode:
        _keep(parser, path)
    return parser


def tables_path(text: str) -> Path:
    """Where the tables of a grammar lie; a name of their own for each text and version of lark."""
    key = sha256(f"{lark.__version__}\n{text}".encode()).hexdigest()[:16]
    return Path(cache_from_source(str(SOURCE))).with_suffix(f".{key}.tables")


def _keep(parser: Lark, path: Path) -> None:
    """Whole or not at all, as several processes may start at once; a folder of others is left."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with fresh.open("wb") as file:
                parser.save(file)
            os.replace(fresh, path)
        finally:
            fresh.unlink(missing_ok=True)


def _built(text: str) -> Lark:
    return Lark(
        text,
        parser="lalr",
        lexer=_NoLexer,
        start=list(STARTS),
        keep_all_tokens=True,
        maybe_placeholders=False,
        transformer=_Builders(),
    )
