"""A client for tests: starts `mfdsl lsp` and speaks JSON-RPC with it, as an editor does."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds on the wall that an answer may take on a busy machine


class Editor:
    """One server process; what it says unasked is kept until somebody waits for it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mfdsl", "lsp"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.number = 0
        self.told: list[dict[str, Any]] = []
        self._inbox: SimpleQueue[dict[str, Any]] = SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()
        general = {"positionEncodings": ["utf-8", "utf-16"]}
        params = {"processId": None, "rootUri": None, "capabilities": {"general": general}}
        self.abilities = self.ask("initialize", params)["capabilities"]
        self.tell("initialized", {})

    def _listen(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        while header := stream.readline():
            size = int(header.split(b":")[1])
            while stream.readline().strip():
                pass
            self._inbox.put(json.loads(stream.read(size)))

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        stream = self.process.stdin
        assert stream is not None
        stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        stream.flush()

    def tell(self, method: str, params: Any) -> None:
        self._send({"method": method, "params": params})

    def ask(self, method: str, params: Any) -> Any:
        """The result of a request; an error is returned as it is."""
        self.number += 1
        number = self.number
        self._send({"id": number, "method": method, "params": params})
        while True:
            message = self._next()
            if message.get("id") == number:
                return message["result"] if "result" in message else message["error"]
            self.told.append(message)

    def _next(self) -> dict[str, Any]:
        try:
            return self._inbox.get(timeout=PATIENCE)
        except Empty:
            raise TimeoutError("the server does not answer") from None

    def open(self, uri: str, text: str) -> None:
        item = {"uri": uri, "languageId": "mfg", "version": 1, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": item})

    def write(self, uri: str, text: str, version: int) -> None:
        document = {"uri": uri, "version": version}
        params = {"textDocument": document, "contentChanges": [{"text": text}]}
        self.tell("textDocument/didChange", params)

    def faults(self, uri: str, version: int = 1) -> list[dict[str, Any]]:
        """The diagnostics of one version of a text, waited for; older ones are thrown away."""
        while True:
            told = [m for m in self.told if m["method"] == "textDocument/publishDiagnostics"]
            for message in told:
                params = message["params"]
                if params["uri"] == uri and params.get("version") == version:
                    self.told.remove(message)
                    return list(params["diagnostics"])
            self.told.append(self._next())

    def close(self) -> int:
        """Say goodbye; the exit code."""
        self.ask("shutdown", None)
        self.tell("exit", None)
        code = self.process.wait(PATIENCE)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()
        return code
