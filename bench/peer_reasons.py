"""Why a figure may differ from a peer's, with the side that is wrong; empty when it may not."""

from peer_pairs import Pair

FLOAT32 = (
    "MFGLib is inexact: in float32 rounding splits ties and a run that does not settle amplifies "
    "it; with torch's default set to float64 it follows us (row below)"
)
INEXACT_OMD = (
    "OpenSpiel is wrong: its `mirror_descent` evaluates the policy with the table that the same "
    "pass is updating; its own `munchausen_mirror_descent` agrees with us"
)


def known_reason(pair: Pair, agree_until: int | None) -> str:
    """The reason for a difference after `agree_until`, or "" when the pair has to agree."""
    if pair.peer == "openspiel" and pair.algorithm == "omd":
        return INEXACT_OMD
    if pair.peer == "mfglib" and agree_until is not None:
        return FLOAT32
    return ""
