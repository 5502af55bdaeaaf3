"""Whether each policy of a stationary game keeps one law only, wherever it begins.

Only then is the law that a policy keeps a continuous function of the policy: with two absorbing
states a policy that hardly ever leaves one of them keeps another law than one that never does. For
moves that read no law a state that nobody can avoid is enough, since two closed classes of a chain
would both hold it (Puterman, Markov decision processes, 1994, 8.3). For others it is a step that
contracts: laws after it are at most delta_P + K_mu times as far apart as before.
"""

import numpy as np
from numpy.typing import NDArray

from mfdsl.compiler.analysis.kernels import finite_moving
from mfdsl.compiler.analysis.slopes.tape import Unsupported
from mfdsl.compiler.analysis.structure.mixing import kernel_modulus, lower_chances, mixing
from mfdsl.compiler.analysis.structure.stages import reads_law
from mfdsl.compiler.analysis.substitute import Copies
from mfdsl.compiler.ir.model import Model, Player
from mfdsl.compiler.ir.sight import values_of
from mfdsl.compiler.ir.walk import given

Marks = NDArray[np.bool_]


def several_laws(model: Model, copies: Copies) -> str | None:
    """Why a policy may keep several laws; None where each policy keeps just one, or where nothing
    reads a law, so that what is best from everywhere is best at any law.
    """
    values = [node for player in model.players for _, node, _ in values_of(player)]
    if not any(reads_law(copies.facts, node) for node in values):
        return None
    for player in model.players:
        if player.kind != "population" and (player.states or player.noises):
            return f"the law that a policy keeps may move with `{player.name}`"
    for player in model.populations:
        why = ""
        try:
            if _keeps_one(model, copies, player):
                continue
        except Unsupported as error:
            why = f" ({error})"
        return (
            "a policy and a law that stays under it exist, but a policy of "
            f"`{player.name}` may keep several, and another from t = 0{why}"
        )
    return None


def _keeps_one(model: Model, copies: Copies, player: Player) -> bool:
    moves = [given(s.next) for s in player.states]
    moves += [given(n.density) for n in finite_moving(copies.nodes, player)]
    if not any(reads_law(copies.facts, node) for node in moves):
        return _is_met(lower_chances(copies, player) > 0)
    if len(model.populations) > 1:
        return False
    return mixing(model, copies, player).members + kernel_modulus(copies, player) < 1


def _is_met(leads: Marks) -> bool:
    """Whether some state is reached from everywhere under any policy; `leads` [states, actions,
    states] says where each action leads with a chance for certain.
    """
    return any(not _avoids(leads, state).any() for state in range(len(leads)))


def _avoids(leads: Marks, state: int) -> Marks:
    """The states from which some policy never comes to a state, [states]."""
    left: Marks = np.ones(len(leads), bool)
    left[state] = False
    while True:
        # An action is safe if all that it leads to for certain is left; what is not certain may be.
        safe = np.logical_not(np.any(leads[:, :, ~left], axis=2))
        after = left & np.any(safe, axis=1)
        if np.array_equal(after, left):
            return left
        left = after
