"""Probabilities on the actions of tables from laws of actions that networks give.

Finite actions keep their chances; real ones are played by their mean, which falls on its two
neighbours on the grid by chance, in proportion to how near they are, as in the tables themselves.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from mfdsl.compiler.ir.reduced import Coordinate
from mfdsl.runtime.learning.answers import Found
from mfdsl.runtime.learning.crew import Crew
from mfdsl.runtime.learning.eyes import Eyes, View
from mfdsl.runtime.learning.heads import ActionLaw, Drawn, Head
from mfdsl.runtime.learning.placed import Chances, Placed, Tables, own_actions
from mfdsl.runtime.learning.sight import Crowd, values_seen


def crew_chances(crew: Crew, tables: Tables) -> Chances:
    """The chances of a crew at the places of tables; laws that it reads are the masses there."""

    def chances(scene: Placed) -> Mapping[str, Tensor]:
        found = {}
        views, masks = crew.views(scene), crew.masks(scene)
        for sight in crew.sights:
            eyes = crew.eyes[sight.field]
            assert isinstance(eyes, Eyes)
            view = weighed(views[sight.field], eyes, scene)
            law = crew.laws[sight.field](view, masks.get(sight.field))
            axes = own_actions(tables.reduced, tables.model.player(sight.player))
            found[sight.field] = on_tables(law, crew.head(sight), axes)
        return found

    return chances


def answer_chances(found: Found, tables: Tables) -> Chances:
    """The chances of a learned response, of its own player only."""
    answer, sight = found.answer, found.answer.sight
    axes = own_actions(tables.reduced, tables.model.player(sight.player))

    def chances(scene: Placed) -> Mapping[str, Tensor]:
        seen = values_seen(scene.program, scene.params, scene.time, scene.state)[sight.player]
        view = weighed(answer.eyes(seen, scene.state, scene.batch), answer.eyes, scene)
        legal = scene.program.module.legal(scene.params, scene.time, scene.state)
        mask = next((legal[k] for k in (sight.field, sight.player) if k in legal), None)
        if mask is not None:
            mask = mask.expand(scene.batch, *mask.shape[1:])
        probs = on_tables(answer.law(view, mask), answer.actor.head, axes)
        if found.mode and answer.actor.head.choices:
            probs = nn.functional.one_hot(probs.argmax(-1), probs.shape[-1]).to(probs)
        return {sight.field: probs}

    return chances


def weighed(view: View, eyes: Eyes, scene: Placed) -> View:
    """A view whose laws of populations are the masses of a placed scene."""
    weights = [
        scene.masses[law.field] if isinstance(law, Crowd) else weight
        for law, weight in zip(eyes.read, view.weights, strict=True)
    ]
    return replace(view, weights=tuple(weights))


def on_tables(law: ActionLaw, head: Head, axes: list[Coordinate]) -> Tensor:
    """Probabilities [..., A] over all places of the actions on their axes, row-major."""
    lead = (law.logits if law.mean is None else law.mean).shape[:-1]  # type: ignore[union-attr]
    names = {feature.name for feature in head.finite}
    whole: Tensor | None = None
    if law.logits is not None:
        sizes = [c.size if c.variable in names else 1 for c in axes]
        whole = torch.softmax(law.logits.double(), -1).reshape(*lead, *sizes)
    if law.mean is not None:
        unit = law.mean.double()
        index = None if law.logits is None else law.logits.argmax(-1)
        values = head.values(Drawn(unit, index), unit)
        by_name = dict(zip((a.name for a in head.actions), values, strict=True))
        for k, axis in enumerate(axes):
            if axis.variable in names:
                continue
            entry = by_name[axis.variable].reshape(*lead, -1)[..., axis.entry]
            shape = [1] * len(axes)
            shape[k] = axis.size
            part = _shared(entry, axis).reshape(*lead, *shape)
            whole = part if whole is None else whole * part
    assert whole is not None
    return whole.reshape(*lead, -1)


def _shared(value: Tensor, axis: Coordinate) -> Tensor:
    """Probabilities [..., size] on a grid whose mean is the value, as far as the grid reaches."""
    assert axis.step is not None
    place = ((value - axis.low) / axis.step).clamp(0, axis.size - 1)
    points = torch.arange(axis.size, device=value.device)
    return (1 - (place[..., None] - points).abs()).clamp(min=0)
