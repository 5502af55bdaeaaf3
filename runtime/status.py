"""How a solve ended, with the remedy in words."""

from enum import Enum


class Status(Enum):
    """The value of each status is its remedy."""

    converged = ""
    max_iterations = "stopped at the iteration limit; raise --iterations or try another solver"
    stalled = "exploitability stopped improving; try another solver"
    not_finite = "a value became NaN or infinite; check logarithms and divisions of the spec"
    interrupted = "stopped by the user; continue with --resume"

    @property
    def remedy(self) -> str:
        """What to do about it; empty when all is well."""
        return self.value
