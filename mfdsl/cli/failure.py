"""Every way a verb can fail, as an exit code and a message: the one place that catches.

0 fine; 1 the spec, a `require` or the validation failed; 2 usage, a missing file, or an internal
error; 3 a proved bound was exceeded (`validate`); 130 stopped by the user.
"""

import functools
import hashlib
import json
import os
import platform
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

import mfdsl
from mfdsl.cli.console import complain
from mfdsl.compiler.codes import CODES
from mfdsl.compiler.diagnostics import CompileError, Diagnostic
from mfdsl.compiler.exchange import render_json
from mfdsl.errors import UsageError, did_you_mean
from mfdsl.runtime.interruption import is_interruption

FINE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

# The error classes of the command-line library, reached through its public name.
_CommandError: Any = typer.BadParameter.__mro__[2]


class Stopped(Exception):
    """Ctrl-C inside of a verb; typer would make a silent exit code of a KeyboardInterrupt."""


class EndOfFile(Exception):
    """A file that ends too early; typer would take an EOFError for Ctrl-D, by which people stop."""


def interruptible(verb: Callable[..., int | None]) -> Callable[..., int | None]:
    """The verb with Ctrl-C as an exception of ours."""

    @functools.wraps(verb)
    def wrapped(*args: Any, **flags: Any) -> int | None:
        try:
            return verb(*args, **flags)
        except (KeyboardInterrupt, SystemError) as error:
            if not is_interruption(error):
                raise
            raise Stopped from None
        except EOFError as error:
            raise EndOfFile(str(error)) from error

    return wrapped


def guarded(action: Callable[[], int | None], arguments: Sequence[str]) -> int:
    """Run `action`; whatever it raises becomes a message and an exit code."""
    try:
        code = action() or FINE
        sys.stdout.flush()
        return code
    except CompileError as error:
        print(error, file=sys.stderr)
        diagnostics = render_json(error.diagnostics, error.sources)
        return _failed(arguments, exit_code(error.diagnostics), {"diagnostics": diagnostics})
    except UsageError as error:
        return _usage(arguments, error.message, error.hint)
    except _CommandError as error:
        return _usage(arguments, *_command_message(error))
    except BrokenPipeError:
        return _close_pipe()
    except OSError as error:
        return _usage(arguments, _file_message(error))
    except (KeyboardInterrupt, Stopped, typer.Abort):
        complain("stopped")
        return INTERRUPTED
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else USAGE
    except Exception as error:
        return _internal(error, arguments)


def exit_code(diagnostics: Sequence[Diagnostic]) -> int:
    """1 when the spec is wrong, 2 when only the request is: an unreadable file, a wrong name."""
    errors = [d for d in diagnostics if d.severity == "error"]
    if not errors:
        return FINE
    if all(d.code == "MFG013" or CODES[d.code].stage == "use" for d in errors):
        return USAGE
    return FAILED


def _failed(arguments: Sequence[str], code: int, entries: dict[str, Any]) -> int:
    if "--json" in arguments:
        print(json.dumps({"schema": 1, "ok": False, **entries}))
    return code


def _usage(arguments: Sequence[str], message: str, hint: str | None = None) -> int:
    complain(message, hint)
    return _failed(arguments, USAGE, {"error": message})


def _command_message(error: Any) -> tuple[str, str]:
    """Message and hint of an error that the command-line library found in the arguments."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "mfdsl"
    hint = f"`{command} --help` lists what it takes"
    message = error.format_message().rstrip(".")
    option = str(getattr(error, "option_name", ""))
    wrong_verb = re.match(r"No such command '(.*?)'", message)
    if wrong_verb is not None and context is not None:
        verb = wrong_verb.group(1)
        known = context.command.list_commands(context)
        return f"`{command}` has no verb `{verb}`", did_you_mean(verb, known) or hint
    if message.lower().startswith("no such option") and context is not None:
        known = [name for parameter in context.command.params for name in parameter.opts]
        return f"`{command}` has no option `{option}`", did_you_mean(option, known) or hint
    return _plain(message), hint


def _plain(message: str) -> str:
    """The message in the tone of the others: lower case, on one line, about the value."""
    message = message.replace("\n", " ").replace("Value error, ", "")
    return message[:1].lower() + message[1:].replace(": Input ", ": it ")


def _file_message(error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    return f"`{error.filename}`: {reason}" if error.filename else reason


def _close_pipe() -> int:
    """The reader went away: say nothing, also not when the interpreter closes its files."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return FINE


def _internal(error: Exception, arguments: Sequence[str]) -> int:
    """A bug in mfdsl: one line, and a file with what is needed to find it."""
    report = "\n".join(
        [
            f"mfdsl {mfdsl.__version__}, Python {platform.python_version()}, {sys.platform}",
            f"arguments: {list(arguments)!r}",
            "",
            "".join(traceback.format_exception(error)),
            *_spec_texts(arguments),
        ]
    )
    where = _write_reproduction(report)
    message = f"internal error, a bug in mfdsl: {type(error).__name__}: {error}".split("\n")[0]
    complain(f"{message} (reproduction in {where})" if where else message)
    return _failed(arguments, USAGE, {"error": message})


def _spec_texts(arguments: Sequence[str]) -> list[str]:
    texts = []
    for argument in arguments:
        path = Path(argument)
        if path.suffix == ".mfg" and path.is_file():
            texts += [f"--- {path.name} ---", path.read_text(errors="replace")]
    return texts


def _write_reproduction(report: str) -> Path | None:
    name = f"mfdsl-bug-{hashlib.sha256(report.encode()).hexdigest()[:8]}.txt"
    for folder in (Path.cwd(), Path(tempfile.gettempdir())):
        try:
            (folder / name).write_text(report)
        except OSError:
            continue
        return folder / name
    return None
