"""Critics of joint observations and actions, the baselines of mean-field PPO among them.

The experiments of Li et al. 2021 (arXiv:2105.08268) compare deep sets (Zaheer et al. 2017,
arXiv:1703.06114) with concatenation, the graph network of PIC (Liu et al. 2019, arXiv:1911.00025),
mean-field actions (Yang et al. 2018, arXiv:1802.05438) and sums of values (VDN, Sunehag et al.
2017, arXiv:1706.05296), all with about as many parameters.
"""

from typing import Literal

import torch
from torch import Tensor, nn

CriticKind = Literal["deepsets", "mlp", "gcn_pic", "gcn", "mf_a", "vdn"]
TOLERANCE = 0.03  # relative difference of numbers of parameters
LAST = 0.1  # factor of the first values, as in PIC


class SetCritic(nn.Module):
    """Q of observations [..., N, o] and actions [..., N, a]: [...] of a team.

    `single` ones give [..., N] instead, a value for each agent.
    """

    single = False


class DeepSets(SetCritic):
    """rho(mean over i of phi(o_i, a_i)): for any number of agents."""

    def __init__(self, inputs: int, first: int, second: int) -> None:
        super().__init__()
        self.each = nn.Sequential(
            nn.Linear(inputs, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU()
        )
        self.whole = nn.Sequential(nn.Linear(second, first), nn.ReLU(), _last(first))

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Values [...]."""
        members = self.each(torch.cat([observations, actions], -1))
        found: Tensor = self.whole(members.mean(-2))[..., 0]
        return found


class Concatenated(SetCritic):
    """A network on all entries in the order of the agents, whose number is fixed."""

    def __init__(self, inputs: int, agents: int, first: int, second: int) -> None:
        super().__init__()
        self.net = _net(inputs * agents, first, second)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Values [...]."""
        found: Tensor = self.net(torch.cat([observations, actions], -1).flatten(-2))[..., 0]
        return found


class GraphNet(SetCritic):
    """Two layers of graph convolution on the complete graph, then the largest of the agents.

    With `shrink` features are divided by N after each layer, as the code of PIC has it: what
    reaches the maximum is smaller by 1 / N^2, although the graph is averaged already.
    """

    def __init__(self, inputs: int, first: int, second: int, *, shrink: bool) -> None:
        super().__init__()
        self.shrink = shrink
        self.near = nn.ModuleList([nn.Linear(inputs, first), nn.Linear(first, second)])
        self.own = nn.ModuleList([nn.Linear(inputs, first), nn.Linear(first, second)])
        self.last = _last(second)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Values [...]."""
        features = torch.cat([observations, actions], -1)
        count = features.shape[-2]
        for near, own in zip(self.near, self.own, strict=True):
            sent = near(features)
            others = (sent.sum(-2, keepdim=True) - sent) / count
            features = torch.relu(others) + torch.relu(own(features))
            if self.shrink:
                features = features / count
        found: Tensor = self.last(features.amax(-2))[..., 0]
        return found


class MeanAction(SetCritic):
    """Q_i(o_i, a_i, mean action of the others), which counts as fixed: [..., N]."""

    single = True

    def __init__(self, observation: int, action: int, first: int, second: int) -> None:
        super().__init__()
        self.net = _net(observation + 2 * action, first, second)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Values [..., N]."""
        fixed = actions.detach()
        others = (fixed.sum(-2, keepdim=True) - fixed) / max(1, actions.shape[-2] - 1)
        found: Tensor = self.net(torch.cat([observations, actions, others], -1))[..., 0]
        return found


class Summed(SetCritic):
    """The sum over i of Q(o_i, a_i)."""

    def __init__(self, inputs: int, first: int, second: int) -> None:
        super().__init__()
        self.net = _net(inputs, first, second)

    def forward(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Values [...]."""
        found: Tensor = self.net(torch.cat([observations, actions], -1))[..., 0].sum(-1)
        return found


def set_critic(
    kind: CriticKind, observation: int, action: int, agents: int, widths: tuple[int, int]
) -> SetCritic:
    """A critic with hidden layers of these widths; only `mlp` depends on the number of agents.

    Raises:
        ValueError: no critic has this name.
    """
    inputs = observation + action
    match kind:
        case "deepsets":
            return DeepSets(inputs, *widths)
        case "mlp":
            return Concatenated(inputs, agents, *widths)
        case "gcn" | "gcn_pic":
            return GraphNet(inputs, *widths, shrink=kind == "gcn_pic")
        case "mf_a":
            return MeanAction(observation, action, *widths)
        case "vdn":
            return Summed(inputs, *widths)
    raise ValueError(f"no critic is called {kind!r}")


def sized(kind: CriticKind, observation: int, action: int, agents: int, budget: int) -> SetCritic:
    """A critic with `budget` parameters within 3 %, its two widths as equal as that allows.

    Raises:
        ValueError: no widths come that near.
    """
    found = {
        (first, second): _count(kind, observation, action, agents, (first, second))
        for first in range(1, budget)
        if (second := _second(kind, (observation, action, agents), first, budget)) > 0
    }
    near = [w for w, count in found.items() if abs(count - budget) <= TOLERANCE * budget]
    if not near:
        raise ValueError(f"no critic `{kind}` of {agents} agents has about {budget} parameters")
    widths = min(near, key=lambda w: (abs(w[0] - w[1]), abs(found[w] - budget)))
    return set_critic(kind, observation, action, agents, widths)


def _second(kind: CriticKind, shape: tuple[int, int, int], first: int, budget: int) -> int:
    """The second width that comes nearest the budget: the count is affine in it."""
    one, two = (_count(kind, *shape, (first, second)) for second in (1, 2))
    return 1 + round((budget - one) / (two - one))


def _count(
    kind: CriticKind, observation: int, action: int, agents: int, widths: tuple[int, int]
) -> int:
    """Number of parameters of `set_critic`."""
    first, second = widths
    inputs = observation + action
    body = (inputs + 1) * first + (first + 1) * second
    match kind:
        case "deepsets":
            return body + (second + 1) * first + first + 1
        case "mlp":
            body += (agents - 1) * inputs * first
        case "gcn" | "gcn_pic":
            body *= 2
        case "mf_a":
            body += action * first
    return body + second + 1


def _net(inputs: int, first: int, second: int) -> nn.Sequential:
    layers = nn.Linear(inputs, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU()
    return nn.Sequential(*layers, _last(second))


def _last(inputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, 1)
    with torch.no_grad():
        layer.weight.mul_(LAST)
        layer.bias.mul_(LAST)
    return layer
