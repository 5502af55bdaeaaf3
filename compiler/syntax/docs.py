"""Doc comments: which `##` lines belong to which declaration or member."""

from collections.abc import Iterable, Sequence

from mfdsl.compiler.syntax.tokens import Token


class Docs:
    """The doc comments of one file, found by the tokens they stand above or behind."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        self.above: dict[int, list[str]] = {}
        self.behind: dict[int, list[str]] = {}
        block: list[str] = []
        last: Token | None = None
        for token in tokens:
            if token.kind == "doc" and token.newlines == 0 and last is not None:
                self.behind.setdefault(last.start, []).append(_text(token))
                continue
            if token.newlines > 1:
                block = []
            if token.kind == "doc":
                block.append(_text(token))
            elif token.kind == "comment":
                block = block if token.newlines == 0 else []
            else:
                if block:
                    self.above[token.start] = block
                block, last = [], token

    def of(self, tokens: Sequence[Token]) -> str:
        """Lines above the first of `tokens`, then those at the ends of their lines."""
        lines = list(self.above.get(tokens[0].start, ())) if tokens else []
        for token in tokens:
            lines += self.behind.get(token.start, ())
        return "\n".join(lines)


def _text(token: Token) -> str:
    body = token.text[2:].rstrip()
    return body[1:] if body.startswith(" ") else body
