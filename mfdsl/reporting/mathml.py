"""The formulas of `mfdsl render` as MathML, which browsers draw without a script.

Only the LaTeX that `compiler/typeset` writes is read; all else is an error, so that no formula is
shown by halves.
"""

import re
from dataclasses import dataclass, field
from html import escape

_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|[{}^_&]|\d+(?:\.\d+)?|\s+|.", re.DOTALL)
_GREEK = (
    "alpha=α beta=β gamma=γ delta=δ epsilon=ϵ varepsilon=ε zeta=ζ eta=η theta=θ iota=ι kappa=κ"
    " lambda=λ mu=μ nu=ν xi=ξ pi=π rho=ρ sigma=σ tau=τ upsilon=υ phi=ϕ chi=χ psi=ψ omega=ω"
    " Gamma=Γ Delta=Δ Theta=Θ Lambda=Λ Xi=Ξ Pi=Π Sigma=Σ Upsilon=Υ Phi=Φ Chi=Χ Psi=Ψ Omega=Ω"
    " infty=∞"
)
_SIGNS = (
    "in=∈ sim=∼ cdot=⋅ times=× le=≤ ge=≥ ne=≠ lnot=¬ land=∧ lor=∨ dots=… sum=∑ prod=∏ bigvee=⋁"
    " bigwedge=⋀ lfloor=⌊ rfloor=⌋ lceil=⌈ rceil=⌉ min=min max=max exp=exp log=log sin=sin cos=cos"
    " tanh=tanh"
)
LETTERS = dict(pair.split("=") for pair in _GREEK.split())
SIGNS = dict(pair.split("=") for pair in _SIGNS.split())
SPACES = {r"\,": "0.17em", r"\quad": "1em"}
ESCAPED = {r"\{": "{", r"\}": "}", r"\_": "_", r"\$": "$", r"\&": "&", r"\#": "#", r"\%": "%"}
ESCAPED |= {r"\|": "‖"}
WORDS = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^"}
SHAPES = {
    "mathbb": dict(zip("REPZN", "ℝ𝔼ℙℤℕ", strict=True)),
    "mathcal": dict(zip("NU", "𝒩𝒰", strict=True)),
    "mathbf": {"1": "𝟏"},
}
MINUS = "\N{MINUS SIGN}"
TALL = ("<mfrac", "<mtable", "<munder", "<mover", "<msqrt")
BELOW = frozenset(("sum", "prod", "bigvee", "bigwedge", "min", "max"))


class FormulaError(ValueError):
    """LaTeX that `compiler/typeset` does not write."""


def aligned(rows: tuple[str, ...]) -> str:
    """Rows of LaTeX, aligned at `&`, as one block of MathML.

    Raises:
        FormulaError: a row is not of the LaTeX that is read here.
    """
    return f'<math display="block">{_table([_Reader.of(row).cells() for row in rows])}</math>'


def inline(latex: str) -> str:
    """A formula within a line.

    Raises:
        FormulaError: it is not of the LaTeX that is read here.
    """
    return f"<math>{''.join(_Reader.of(latex).cells())}</math>"


def _table(rows: list[list[str]]) -> str:
    lines = ("".join(f"<mtd>{cell}</mtd>" for cell in row) for row in rows)
    return f"<mtable>{''.join(f'<mtr>{line}</mtr>' for line in lines)}</mtable>"


@dataclass
class _Reader:
    """The tokens of a formula and how many were read; arguments have readers of their own."""

    tokens: list[str]
    place: int = field(default=0)

    @classmethod
    def of(cls, latex: str) -> "_Reader":
        return cls(_TOKEN.findall(latex))

    def cells(self) -> list[str]:
        """The cells of a row, up to its end."""
        found = [self.row(("&",))]
        while self.place < len(self.tokens):
            self.place += 1
            found.append(self.row(("&",)))
        return found

    def row(self, ends: tuple[str, ...]) -> str:
        """What comes before one of the `ends`, which stays, or the end."""
        parts = []
        while self.place < len(self.tokens) and self.tokens[self.place] not in ends:
            if self.tokens[self.place].isspace():
                self.place += 1
                continue
            parts.append(self._scripted())
        return f"<mrow>{''.join(parts)}</mrow>"

    def _scripted(self) -> str:
        """One thing with what hangs below and above it."""
        head = self.tokens[self.place]
        base = self._thing()
        hung: dict[str, str] = {}
        while self._next() in ("_", "^"):
            mark = self._take()
            hung[mark] = self._thing()
        kind = ("under", "over") if head.removeprefix("\\") in BELOW else ("sub", "sup")
        match hung:
            case {"_": low, "^": high}:
                return f"<m{kind[0]}{kind[1]}>{base}{low}{high}</m{kind[0]}{kind[1]}>"
            case {"_": low}:
                return f"<m{kind[0]}>{base}{low}</m{kind[0]}>"
            case {"^": high}:
                return f"<m{kind[1]}>{base}{high}</m{kind[1]}>"
        return base

    def _thing(self) -> str:
        token = self._take()
        if token == "{":
            self.place -= 1
            return _Reader(self._argument()).row(())
        if token in SPACES:
            return f'<mspace width="{SPACES[token]}"></mspace>'
        if token in ESCAPED:
            return _operator(ESCAPED[token])
        if token.startswith("\\"):
            return self._command(token[1:])
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        return f"<mi>{escape(token)}</mi>" if token.isalpha() else _operator(token)

    def _command(self, name: str) -> str:
        if name in LETTERS:
            return f"<mi>{LETTERS[name]}</mi>"
        if name in SIGNS:
            return _operator(SIGNS[name])
        if name == "frac":
            return f"<mfrac>{self._nested()}{self._nested()}</mfrac>"
        if name == "sqrt":
            return f"<msqrt>{self._nested()}</msqrt>"
        if name == "left":
            return self._fenced()
        if name == "begin":
            return self._cases()
        if name == "operatorname":
            return self._nested()
        if name in ("mathit", "mathrm", "text", *SHAPES):
            return self._words(name)
        raise FormulaError(f"a formula has `\\{name}`, which is not drawn")

    def _words(self, kind: str) -> str:
        """Upright or slanted words, or a letter in another shape."""
        inside = self._argument()
        if kind in SHAPES:
            return f"<mi>{SHAPES[kind].get(''.join(inside), ''.join(inside))}</mi>"
        known = [_plain(token) for token in inside]
        if None in known or (kind == "mathit" and "_" in inside):
            return _Reader(inside).row(())
        text = escape("".join(word for word in known if word is not None))
        if kind == "text":
            return f"<mtext>{text.replace(' ', '&nbsp;')}</mtext>"
        return f'<mi class="{kind}">{text}</mi>'

    def _fenced(self) -> str:
        """What stands between two brackets that grow with it, bars in the middle as well; around
        what is flat they stay small, which fonts without large brackets draw badly.
        """
        brackets, inside = [self._bracket()], list[str]()
        while True:
            inside.append(self.row((r"\right", r"\middle")))
            ended = self._take() == r"\right"
            brackets.append(self._bracket())
            if ended:
                break
        grows = any(tag in part for part in inside for tag in TALL)
        marks = [
            _operator(b) if grows else f'<mo stretchy="false">{escape(b)}</mo>' for b in brackets
        ]
        pairs = zip(marks, [*inside, ""], strict=True)
        return f"<mrow>{''.join(mark + part for mark, part in pairs)}</mrow>"

    def _bracket(self) -> str:
        token = self._take()
        return ESCAPED.get(token) or SIGNS.get(token.removeprefix("\\"), token)

    def _cases(self) -> str:
        """Rows of a value and its condition behind one brace."""
        if "".join(self._argument()) != "cases":
            raise FormulaError("a formula has rows that are not drawn")
        rows = [[self.row(("&", r"\\", r"\end"))]]
        while (token := self._take()) != r"\end":
            cell = self.row(("&", r"\\", r"\end"))
            if token == "&":
                rows[-1].append(cell)
            else:
                rows.append([cell])
        self._argument()
        return f'<mrow class="cases"><mo stretchy="true">{{</mo>{_table(rows)}</mrow>'

    def _nested(self) -> str:
        return _Reader(self._argument()).row(())

    def _argument(self) -> list[str]:
        """The tokens between the braces that come next."""
        if self._take() != "{":
            raise FormulaError("a formula lacks a brace")
        depth, found = 1, list[str]()
        while True:
            token = self._take()
            depth += {"{": 1, "}": -1}.get(token, 0)
            if not depth:
                return found
            found.append(token)

    def _next(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def _take(self) -> str:
        if self.place >= len(self.tokens):
            raise FormulaError("a formula ends too early")
        self.place += 1
        return self.tokens[self.place - 1]


def _plain(token: str) -> str | None:
    """A token as a part of a word, None where it is none."""
    if not token.startswith("\\"):
        return "" if token in ("{", "}") else token
    return ESCAPED.get(token) or WORDS.get(token[1:])


def _operator(sign: str) -> str:
    return f"<mo>{MINUS if sign == '-' else escape(sign)}</mo>"
