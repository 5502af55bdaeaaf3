"""Policies that are functions of somebody else's: what agents see goes in, actions come out."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from mfdsl.runtime.behaviours import Choice, Observation, Scene, actions_of, observation
from mfdsl.runtime.own_actions import ActionError


@dataclass(frozen=True, eq=False)
class OwnPolicy:
    """A function `f(t, observation) -> actions`, by the names of the spec, as a behaviour.

    The observation is {player: {name: tensor}}: what `observe` lists, or everything that is not
    private to others. Actions are {player: {name: tensor}}, or {name: tensor} when only one player
    acts; tensors are [B, N, ...] for populations and [B, ...] for majors.
    """

    function: Callable[[int, Observation], Choice]

    def __call__(self, scene: Scene) -> Any:
        """The actions in a scene.

        Raises:
            ActionError: what the function gives is no action of the spec.
        """
        chosen = self.function(scene.t, observation(scene))
        if not isinstance(chosen, Mapping):
            raise ActionError(f"the policy gives {type(chosen).__name__}, not actions by name")
        return actions_of(scene, chosen, check=True)


def why_no_policy(policy: Callable[..., Any]) -> str | None:
    """Why something cannot be called as `f(t, observation)`, None where it may be."""
    if isinstance(policy, type):
        return f"`{policy.__name__}` is a class, and a policy is one of its instances"
    network = isinstance(policy, torch.nn.Module)
    name = type(policy).__name__ if network else getattr(policy, "__name__", repr(policy))
    if type(policy).__module__.startswith("torch.nn.modules"):
        return f"`{name}` is a network of tensors, and a policy is a function f(t, observation)"
    called = policy.forward if isinstance(policy, torch.nn.Module) else policy
    try:
        taken = inspect.signature(called)
    except (TypeError, ValueError):  # of functions in C, which may take anything
        return None
    try:
        taken.bind(0, {})
    except TypeError:
        return f"a policy is called as f(t, observation), and `{name}` takes {taken}"
    return None
