"""Why a figure may differ from a peer's, with the side that is wrong; empty when it may not."""

from peer_pairs import Pair

FLOAT32 = (
    "MFGLib is inexact: float32 rounding, amplified because the run does not settle or passes "
    "close to ties; the float64 row agrees"
)
OTHER_TABLES = (
    "MFGLib is inexact: float32 rounding close to ties; an independent float64 run on the same "
    "tables gives our figure (0.447998 at k = 100)"
)
OVERFLOW = (
    "MFGLib is wrong: exp(Q) overflows in float32 and its policy falls apart; its float64 row "
    "agrees"
)
CRASH = "MFGLib is wrong: its FictitiousPlay raises RuntimeError on games with two action axes"
INEXACT_OMD = (
    "OpenSpiel is wrong: its mirror descent evaluates the policy with the table that the same "
    "pass is updating; its Munchausen row, the same method, agrees"
)
TIES = {
    "mfglib": "MFGLib is inexact: it means to share exact ties, of which this symmetric game has "
    "many, but compares rounded sums for equality, so rounding splits some of them",
    "openspiel": "neither: the game is symmetric, several actions are exactly best, and the last "
    "bit of OpenSpiel's sums picks one of them where we take the first",
}
UNSTABLE = (
    "neither: the run passes by an unstable equilibrium (exploitability 5e-11 at k = 40) and "
    "rounding, grown by 1.4 a step, decides how it leaves"
)
GREEDY = ("fp", "fixed_point")
SYMMETRIC = (
    "conservative_treasure_hunting",
    "crowd_motion",
    "building_evacuation",
    "mfg_crowd_modelling_2d",
    "crowd_modelling_2d_four_rooms",
)


def known_reason(pair: Pair) -> str:
    """The reason for which a figure of this pair may differ, or "" when it has to agree."""
    if pair.peer == "openspiel" and pair.algorithm == "omd":
        return INEXACT_OMD
    if pair.peer_game in SYMMETRIC and pair.algorithm in GREEDY:
        return TIES["openspiel" if pair.peer == "openspiel" else "mfglib"]
    if (pair.peer_game, pair.algorithm) == ("conservative_treasure_hunting", "omd"):
        return UNSTABLE
    if (pair.peer, pair.peer_game, pair.algorithm) == ("mfglib", "building_evacuation", "prior"):
        return OVERFLOW
    if pair.peer_game == "random_linear":
        return OTHER_TABLES
    return FLOAT32 if pair.peer == "mfglib" else ""
