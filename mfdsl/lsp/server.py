"""The language server that `mfdsl lsp` runs: editors speak to it over standard input and output.

The Language Server Protocol 3.17 (Microsoft, 2022) by pygls 2. Each feature is a function of a
document and an offset in a file of its own; here they get their names in the protocol.
"""

import logging
import os
import sys
from collections.abc import Generator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from lsprotocol import types
from pygls import uris
from pygls.exceptions import JsonRpcInvalidParams
from pygls.lsp.server import LanguageServer
from pygls.protocol import LanguageServerProtocol, lsp_method

import mfdsl
from mfdsl.compiler.diagnostics import CompileError, Edit
from mfdsl.compiler.source import Span
from mfdsl.compiler.syntax.format import FormatError, format_source
from mfdsl.lsp import colouring
from mfdsl.lsp.checking import Checked, Checks
from mfdsl.lsp.completing import completion
from mfdsl.lsp.diagnosing import actions, shown
from mfdsl.lsp.documents import Document, document_of, saved, uses_everywhere
from mfdsl.lsp.hovering import Known, hover
from mfdsl.lsp.outline import outline
from mfdsl.lsp.positions import offset, range_of
from mfdsl.lsp.renaming import CannotRename, renamable, renaming


class Utf16Protocol(LanguageServerProtocol):
    """Columns count UTF-16 units, which every client knows, whatever else a client offers."""

    @lsp_method(types.INITIALIZE)
    def lsp_initialize(
        self, params: types.InitializeParams
    ) -> Generator[Any, Any, types.InitializeResult]:
        """Answer `initialize` as ever, with one encoding to choose from."""
        if params.capabilities.general is not None:
            params.capabilities.general.position_encodings = [types.PositionEncodingKind.Utf16]
        return (yield from super().lsp_initialize(params))


class SpecServer(LanguageServer):
    """A server with the trees of the open texts and what the last checks found."""

    def __init__(self) -> None:
        super().__init__(
            "mfdsl",
            mfdsl.__version__,
            text_document_sync_kind=types.TextDocumentSyncKind.Full,
            protocol_cls=Utf16Protocol,
        )
        self.checks = Checks(self.publish, self.explain_failure)
        self._read: dict[str, Document] = {}

    def document(self, uri: str) -> Document:
        """The text as it is in the editor, read once for each version of it."""
        text = self.workspace.get_text_document(uri).source
        last = self._read.get(uri)
        if last is None or last.text != text:
            path = uris.to_fs_path(uri)
            last = document_of(text, Path(path)) if path else document_of(text, name=uri)
            self._read[uri] = last
        return last

    def again(self, uri: str) -> Document:
        """The text with its imports read from disk once more."""
        self._read.pop(uri, None)
        return self.document(uri)

    def forget(self, uri: str) -> None:
        """Drop what was read of a text that is closed."""
        self._read.pop(uri, None)

    def newest(self, path: Path) -> str | None:
        """The text of a file: that of the editor where it is open."""
        for document in self.workspace.text_documents.values():
            if document.path and Path(document.path) == path:
                return str(document.source)
        return saved(path)

    def address(self, file: str, uri: str) -> str:
        """The address of a file that the compiler names; `uri` is the document that led to it."""
        if file == self.document(uri).name:
            return uri
        for other in self.workspace.text_documents.values():
            if other.path and Path(other.path) == Path(file):
                return str(other.uri)
        return uris.from_fs_path(file) or file

    def check(self, uri: str, delay: float | None = None) -> None:
        """Check a text, at once or some moments after the last key."""
        if delay is None:
            self.checks.begin(uri, lambda: self.document(uri))
        else:
            self.checks.begin(uri, lambda: self.again(uri), delay)

    def publish(self, uri: str, found: Checked) -> None:
        """Show what a check found."""
        listed = [
            shown(d, found.document, found.compilation, lambda file: self.address(file, uri))
            for d in found.diagnostics
        ]
        document = self.workspace.text_documents.get(uri)
        version = document.version if document is not None else None
        self.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, listed, version))

    def explain_failure(self, uri: str, error: Exception) -> None:
        """A bug in mfdsl: told in the log of the editor; the server goes on."""
        text = f"internal error, a bug in mfdsl: {type(error).__name__}: {error} ({uri})"
        self.window_log_message(types.LogMessageParams(types.MessageType.Error, text))

    def known(self, uri: str) -> Known:
        """The model and certificates of the last check of exactly this text."""
        last = self.checks.last.get(uri)
        return last.known if last is not None and self.current(uri, last) else Known()

    def current(self, uri: str, found: Checked) -> bool:
        """Whether a check is about the text that is there now."""
        return found.document.text == self.document(uri).text


def make_server() -> SpecServer:
    """A server with all its features."""
    server = SpecServer()
    _follow_texts(server)
    _tell(server)
    _change(server)
    return server


def _follow_texts(server: SpecServer) -> None:
    @server.feature(types.TEXT_DOCUMENT_DID_OPEN)
    async def opened(params: types.DidOpenTextDocumentParams) -> None:
        server.check(params.text_document.uri, 0.0)

    @server.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    async def changed(params: types.DidChangeTextDocumentParams) -> None:
        server.check(params.text_document.uri)

    @server.feature(types.TEXT_DOCUMENT_DID_SAVE)
    async def written(params: types.DidSaveTextDocumentParams) -> None:
        """What others import may have changed."""
        for uri in list(server.workspace.text_documents):
            if uri != params.text_document.uri:
                server.check(uri, 0.0)

    @server.feature(types.TEXT_DOCUMENT_DID_CLOSE)
    async def closed(params: types.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        server.checks.close(uri)
        server.forget(uri)
        server.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri, []))


def _at(server: SpecServer, params: Any) -> tuple[Document, int]:
    document = server.document(params.text_document.uri)
    return document, offset(document.text, params.position)


def _tell(server: SpecServer) -> None:
    @server.feature(types.TEXT_DOCUMENT_HOVER)
    def hovered(params: types.HoverParams) -> types.Hover | None:
        return hover(*_at(server, params), server.known(params.text_document.uri))

    @server.feature(types.TEXT_DOCUMENT_DEFINITION)
    def defined(params: types.DefinitionParams) -> list[types.Location]:
        document, at = _at(server, params)
        use = document.index.use_at(at)
        return [
            _location(server, document, symbol.span, params.text_document.uri)
            for symbol in (use.symbols if use is not None else ())
        ]

    @server.feature(types.TEXT_DOCUMENT_REFERENCES)
    def referred(params: types.ReferenceParams) -> list[types.Location]:
        document, at = _at(server, params)
        use, uri = document.index.use_at(at), params.text_document.uri
        found = []
        for symbol in use.symbols if use is not None else ():
            for other, uses in uses_everywhere(document, symbol, server.newest):
                found += [
                    types.Location(server.address(other.name, uri), range_of(other.text, u.span))
                    for u in uses
                    if params.context.include_declaration or u.span != symbol.span
                ]
        return found

    @server.feature(types.TEXT_DOCUMENT_DOCUMENT_SYMBOL)
    def outlined(params: types.DocumentSymbolParams) -> list[types.DocumentSymbol]:
        return outline(server.document(params.text_document.uri))

    @server.feature(
        types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions(trigger_characters=["."])
    )
    def completed(params: types.CompletionParams) -> list[types.CompletionItem]:
        return completion(*_at(server, params))

    @server.feature(types.TEXT_DOCUMENT_SEMANTIC_TOKENS_FULL, colouring.LEGEND)
    def coloured(params: types.SemanticTokensParams) -> types.SemanticTokens:
        document = server.document(params.text_document.uri)
        return types.SemanticTokens(colouring.semantic_tokens(document))


def _location(server: SpecServer, document: Document, span: Span, uri: str) -> types.Location:
    source = document.source(span.file)
    text = source.text if source is not None else document.text
    return types.Location(server.address(span.file, uri), range_of(text, span))


def _change(server: SpecServer) -> None:
    @server.feature(types.TEXT_DOCUMENT_PREPARE_RENAME)
    def prepared(params: types.PrepareRenameParams) -> types.Range:
        document, at = _at(server, params)
        try:
            use, _ = renamable(document, at)
        except CannotRename as error:
            raise JsonRpcInvalidParams(str(error)) from None
        return range_of(document.text, use.span)

    @server.feature(types.TEXT_DOCUMENT_RENAME)
    def renamed(params: types.RenameParams) -> types.WorkspaceEdit:
        document, at = _at(server, params)
        try:
            changes = renaming(document, at, params.new_name, server.newest)
        except CannotRename as error:
            raise JsonRpcInvalidParams(str(error)) from None
        uri = params.text_document.uri
        return types.WorkspaceEdit(
            changes={server.address(d.name, uri): _edits(d, edits) for d, edits in changes}
        )

    @server.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatted(params: types.DocumentFormattingParams) -> list[types.TextEdit] | None:
        document = server.document(params.text_document.uri)
        try:
            text = format_source(document.text, document.name)
        except (CompileError, FormatError):
            return None
        whole = Span(document.name, 0, len(document.text))
        return _edits(document, [Edit(whole, text)]) if text != document.text else []

    @server.feature(
        types.TEXT_DOCUMENT_CODE_ACTION,
        types.CodeActionOptions([types.CodeActionKind.QuickFix, types.CodeActionKind.SourceFixAll]),
    )
    def offered(params: types.CodeActionParams) -> list[types.CodeAction]:
        uri = params.text_document.uri
        last = server.checks.last.get(uri)
        if last is None or not server.current(uri, last):
            return []
        text = last.document.text
        low, high = offset(text, params.range.start), offset(text, params.range.end)
        span = Span(last.document.name, low, high)
        return list(actions(last.document, last.diagnostics, span, uri))


def _edits(document: Document, edits: list[Edit]) -> list[types.TextEdit]:
    return [types.TextEdit(range_of(document.text, e.span), e.text) for e in edits]


def _unexpected(record: logging.LogRecord) -> bool:
    """Whether a line of the log tells more than that a request was refused with a reason."""
    return record.exc_info is None or not isinstance(record.exc_info[1], JsonRpcInvalidParams)


def serve() -> None:
    """Speak to one editor until it says `exit` or goes away.

    Standard output belongs to the protocol: what else is printed goes to standard error.
    """
    logging.getLogger("pygls.protocol.json_rpc").addFilter(_unexpected)
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as stream, redirect_stdout(sys.stderr):
        make_server().start_io(stdout=stream)
