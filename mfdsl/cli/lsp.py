"""`mfdsl lsp`: the language server for editors, on standard input and output."""

from mfdsl.cli.failure import FINE
from mfdsl.errors import UsageError


def lsp() -> int:
    """Speak the Language Server Protocol to an editor that starts this."""
    try:
        from mfdsl.lsp.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("pygls", "lsprotocol"):
            raise
        raise UsageError(
            f"the language server needs `{error.name}`, which is not installed",
            "install the extra `lsp`: `pip install 'mfdsl[lsp]'`",
        ) from None
    serve()
    return FINE
