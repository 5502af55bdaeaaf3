"""Master policies: one network of own state, stage and law, for games from many initial laws."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mfdsl.runtime.evaluate import Evaluation, View
from mfdsl.runtime.policy import softmax_probs
from mfdsl.runtime.solvers.networks.dense import Shape, fresh, outputs, unpacked
from mfdsl.runtime.solvers.networks.fitting import (
    Networks,
    fitted,
    legal_actions,
    shape_of,
    weights_in,
)
from mfdsl.runtime.solvers.networks.laws import (
    drawn_laws,
    mean_places,
    normal_laws,
    one_game,
    with_initial_laws,
)
from mfdsl.runtime.solvers.networks.munchausen import paid_values
from mfdsl.runtime.solvers.networks.options import MasterConfig
from mfdsl.runtime.solvers.networks.replay import replay
from mfdsl.runtime.views.finite import FiniteView
from mfdsl.runtime.views.tables import Tables, stage_kernel


@dataclass(frozen=True)
class Master:
    """Munchausen mirror descent of one network pi(a | s, t, law), at many initial laws at once.

    In every iteration all games of a family are pushed forward exactly, each by the rows of the
    network at its own laws; the Munchausen values along each flow are what the network is fitted
    to. The family is the law of the spec and laws drawn once; the policy that is reported is that
    of the spec's law.

    Wu et al. 2024, arXiv 2403.03552 (mirror descent, laws in a replay); Perrin et al. 2022, arXiv
    2109.09717 (master policies, there by fictitious play).

    Raises:
        SolverError: the horizon is stationary, or there are several games.
    """

    config: MasterConfig

    def init(self, view: View) -> Networks:
        """Start from the uniform policy: a network whose outputs are zero."""
        family = family_of(view, self.config)
        probs = view.uniform().probs.contiguous()
        weights = fresh(master_shape(family, self.config), 1, self.config.seed, probs.device)
        blank = torch.zeros_like(weights)
        return Networks(0, probs, weights, blank, blank.clone())

    def step(self, evaluation: Evaluation, state: Networks) -> Networks:
        """Push all games forward, and fit the network to the values along their flows."""
        config, view = self.config, evaluation.view
        number = state.iteration if config.renew else 0
        family, legal = family_of(view, config, number), legal_actions(view)
        shape, before = master_shape(family, config), weights_in(config, state)
        logs, laws = unrolled(family, shape, before.values, legal)
        there = Evaluation(family, family.policy(logs.exp()))
        q = paid_values(there, logs, config.temperature, config.alpha)
        goal = softmax_probs(q, config.temperature)
        counts = replay(laws, config.spread) / len(laws)
        after = fitted(
            shape,
            before,
            goal,
            counts,
            config,
            state.iteration,
            legal=legal,
            law=read(family, laws),
        )
        logs, _ = unrolled(one_game(view), shape, after.values, legal)
        probs = logs.exp().to(state.probs)
        return Networks(state.iteration + 1, probs, after.values, after.mean, after.square)


def family_of(view: View, config: MasterConfig, number: int = 0) -> FiniteView:
    """The games that are trained on, by the number of the draw; the first one starts from the law
    of the spec.

    Raises:
        SolverError: the horizon is stationary, there are several games, or laws cannot be drawn.
    """
    own = one_game(view).tables.initial.t()
    if config.laws == "spec":
        return with_initial_laws(view, own)
    key = (config.seed, number, "initial laws")
    if config.laws == "normal":
        drawn = normal_laws(view, config.number, key)
    else:
        drawn = drawn_laws(view, config.number, config.concentration, key)
    return with_initial_laws(view, torch.cat([own, drawn]))


def master_shape(view: FiniteView, config: MasterConfig) -> Shape:
    """The network that reads the whole law beside the row."""
    numbers = read(view, view.tables.initial.t()[:1, None]).shape[-1]
    return shape_of(view, config, law=numbers)


def read(
    view: View, laws: Float[Tensor, "batch stages states"]
) -> Float[Tensor, "batch stages numbers"]:
    """What the network reads of laws: roots of the masses, about one each, and mean places."""
    roots = (laws * laws.shape[-1]).sqrt()
    return torch.cat([roots, mean_places(view.program, laws)], -1).float()


def unrolled(
    view: FiniteView,
    shape: Shape,
    weights: Tensor,
    legal: Bool[Tensor, "batch stages states actions"],
) -> tuple[Float[Tensor, "batch stages states actions"], Float[Tensor, "batch stages states"]]:
    """Logarithms of the policy that the network plays in each game, and the laws that it meets."""
    tables, states = view.tables, view.program.state_count
    leaves = [leaf.detach() for leaf in unpacked(shape, weights)]
    law, times = tables.initial, tables.times(view.stages)
    logs, laws = [], []
    for t in range(view.stages):
        rows = torch.arange(t * states, (t + 1) * states, device=law.device)
        found = outputs(shape, leaves, rows, read(view, law.t()[:, None])).to(law.dtype)
        logs.append(torch.log_softmax(found.masked_fill(~legal[:, t], -torch.inf), -1))
        laws.append(law.t())
        law = pushed(tables, times[t], law, logs[-1].exp())
    return torch.stack(logs, 1), torch.stack(laws, 1)


def pushed(
    tables: Tables,
    time: Tensor,
    law: Float[Tensor, "states batch"],
    probs: Float[Tensor, "batch states actions"],
) -> Float[Tensor, "states batch"]:
    """The law one stage later."""
    joint = (law * probs.permute(2, 1, 0)).contiguous()
    kernel = tables.kernel or stage_kernel(tables, time, tables.public_joint(joint[None])[0])
    after = torch.empty_like(law)
    tail = () if tables.games == 1 else (tables.games,)
    kernel.push(joint.view(-1, *tail), after.view(-1, *tail))
    return after


def exploitabilities(
    view: View, config: MasterConfig, weights: Tensor, laws: Float[Tensor, "batch states"]
) -> Float[Tensor, " batch"]:
    """The exact exploitability of a trained network in the games from these initial laws.

    Raises:
        SolverError: the horizon is stationary, or there are several games.
    """
    games = with_initial_laws(view, laws)
    shape = master_shape(games, config)
    logs, _ = unrolled(games, shape, weights.float(), legal_actions(view))
    return games.exploitability(games.policy(logs.exp()))
