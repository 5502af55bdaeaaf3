"""The centralised critic of MAPPO: one value of the team from everything that anybody sees.

Own entries of all agents are concatenated in their order (Yu et al. 2022, arXiv:2103.01955; the
baseline of Cui et al. 2024, arXiv:2303.10665), so that the number of agents is fixed and the value
changes when agents trade places. Only the critic is bound to that number: actors are not.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mfdsl.runtime.learning.actor import Critic, Last, Shape
from mfdsl.runtime.learning.eyes import View, Widths
from mfdsl.runtime.learning.sight import Sight

Place = tuple[str, int]
"""A law that is seen: the field name of who sees it, and which of its laws it is."""


class JointCritic(nn.Module):
    """Values [...] of the team from the views of all acting players.

    `agents` are the sizes of their populations by field name, 1 for majors.
    """

    def __init__(
        self,
        sights: Sequence[Sight],
        widths: Mapping[str, Widths],
        agents: Mapping[str, int],
        shape: Shape,
    ) -> None:
        super().__init__()
        self.agents = dict(agents)
        self.laws = _distinct(sights)
        own = sum(widths[name][0] * count for name, count in agents.items())
        common = sum(width for _, width, _ in widths.values())
        members = [widths[name][2][place] for name, place in self.laws]
        self.critic = Critic((0, own + common, members), shape)

    def whole(self, views: Mapping[str, View]) -> View:
        """One view of everything: own entries [..., N, k] in a row, then what is common.

        Raises:
            ValueError: another number of agents than this critic was made for.
        """
        parts = []
        for name, count in self.agents.items():
            own = views[name].own
            if own is None:
                continue
            if own.shape[-2] != count:
                raise ValueError(
                    f"the joint critic reads {count} agents of `{name}` one by one, and here are"
                    f" {own.shape[-2]}: train with {count}, or with `critic=team`"
                )
            parts.append(own.flatten(-2))
        parts += [views[name].common for name in self.agents]
        laws = tuple(views[name].laws[place] for name, place in self.laws)
        weights = tuple(views[name].weights[place] for name, place in self.laws)
        return View(None, torch.cat(parts, -1), laws, weights)

    @property
    def last(self) -> Last:
        """The layer that the values come from."""
        return self.critic.last

    def forward(self, view: View) -> Tensor:
        """Values of a view of everything."""
        found: Tensor = self.critic(view)
        return found


def _distinct(sights: Sequence[Sight]) -> tuple[Place, ...]:
    """Every law that somebody sees, once."""
    found: dict[tuple[object, ...], Place] = {}
    for sight in sights:
        seen: list[tuple[object, ...]] = [("crowd", c.name) for c in sight.crowds]
        seen += [
            ("points", f.name) if "." in f.name else ("points", sight.player, f.name)
            for f in sight.points
        ]
        for place, law in enumerate(seen):
            found.setdefault(law, (sight.field, place))
    return tuple(found.values())
