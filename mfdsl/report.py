"""What a check found: diagnostics and certificates, as text and as JSON."""

from dataclasses import dataclass
from typing import Any

from mfdsl.compiler.analysis.certificate import Certificate
from mfdsl.compiler.diagnostics import Diagnostic
from mfdsl.compiler.driver import Compilation
from mfdsl.compiler.exchange import render_json
from mfdsl.compiler.ir.model import Model
from mfdsl.compiler.render import render_text, summary
from mfdsl.explaining import explained
from mfdsl.summary import certificate_text, headline, model_json

# Properties that few games have: their rows say nothing new unless they are proved.
SPECIAL = frozenset(
    "independent linear_quadratic strictly_monotone concave_potential skew_affine"
    " contraction monotone_on_flows".split()
)


def told(certificate: Certificate) -> bool:
    """Whether a certificate has a row on the screen; `--explain` and `--json` have all."""
    return certificate.claim not in SPECIAL or certificate.verdict == "proved"


AS_BOUND = "parameters at the values that are bound"


@dataclass(frozen=True)
class Report:
    """The outcome of checking one spec; `model` is None when there are errors.

    With `whole_box` the certificates of `regularity` are about all values of the parameters in
    their ranges; what the compiler establishes and decides, ranges and what is required, never is.
    """

    compilation: Compilation
    regularity: tuple[Certificate, ...] = ()
    whole_box: bool = False

    @property
    def spec(self) -> str:
        """The name of the spec as messages print it."""
        return self.compilation.name

    @property
    def ok(self) -> bool:
        """True when nothing is wrong; warnings do not count."""
        return self.compilation.ok

    @property
    def model(self) -> Model | None:
        """The checked model."""
        return self.compilation.model

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Errors, warnings and notes in the order of the file."""
        return self.compilation.diagnostics

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """What was established about the model."""
        return (*self.compilation.certificates, *self.regularity)

    @property
    def _shown(self) -> tuple[Certificate, ...]:
        """The certificates with the words that tell apart what they are about."""
        if not self.whole_box:
            return self.certificates
        bound = (
            c.model_copy(update={"assumptions": (*c.assumptions, AS_BOUND)})
            for c in self.compilation.certificates
        )
        return (*bound, *self.regularity)

    def to_json(self, *, timed: bool = True) -> dict[str, Any]:
        """The JSON contract of `mfdsl check`; without `timed` equal specs give equal bytes."""
        exclude = None if timed else {"seconds"}
        entries: dict[str, Any] = {
            "spec": self.spec,
            "ok": self.ok,
            "diagnostics": render_json(self.diagnostics, self.compilation.sources),
            "certificates": [c.model_dump(exclude=exclude) for c in self._shown],
            "model": model_json(self.model) if self.model is not None else None,
        }
        return entries | ({"seconds": self.compilation.seconds} if timed else {})

    def screen(self) -> str:
        """The model in a line, one row for each certificate, and the verdict."""
        lines = [headline(self.model)] if self.model is not None and self.ok else [self.spec]
        found = [(c.claim, certificate_text(c), _verdict(c)) for c in self._shown if told(c)]
        rows = list(dict.fromkeys(found))
        claim_width = max((len(claim) for claim, _, _ in rows), default=0)
        text_width = max((len(text) for _, text, _ in rows), default=0)
        lines += [
            f"  {claim:<{claim_width}}  {text:<{text_width}}  {verdict}"
            for claim, text, verdict in rows
        ]
        return "\n".join([*lines, f"{'ok' if self.ok else 'failed'}: {summary(self.diagnostics)}"])

    def explained(self) -> str:
        """Every certificate in full: terms, witnesses, reasons, helps."""
        return explained(self._shown, self.compilation)

    def __str__(self) -> str:
        shown = render_text(self.diagnostics, self.compilation.sources)
        return f"{shown}\n\n{self.screen()}" if shown else self.screen()


def _verdict(certificate: Certificate) -> str:
    as_bound = AS_BOUND in certificate.assumptions
    return f"{certificate.verdict} as bound" if as_bound else certificate.verdict
