"""Symmetry of a game of N players at one N, by the two generators of the symmetric group.

A game is symmetric when r[s(i)](s z) = r[i](z) for every permutation s, player i and profile z,
with (s z)[s(j)] = z[j], and the same for transitions, initial laws and legal actions. The swap
(0 1) and the cycle (0 1 ... N-1) generate all permutations, so two of them are enough.

A difference under the cycle is also one under some of the swaps of neighbours (j j+1) that it is
made of. There either the player itself is swapped, and two players differ in the same situation,
with the others in the same order (heterogeneity), or two others are, and their order matters
(non-anonymity). Neighbours on a ring show both.

All profiles are compared when they are few, otherwise some at random. What holds at one N says
little about others: neighbours on a ring are symmetric for N = 3, where everybody is a neighbour
of everybody, and for no larger N.

The definition is that of Yardim and He, "Exploiting approximate symmetry for efficient multi-agent
reinforcement learning", L4DC 2025, arXiv:2408.15173, in its joint form.
"""

import random
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, product
from typing import Literal, Protocol

from mfdsl.compiler.analysis.certificate import Certificate, Rigor

Number = int | float | Fraction
Joint = tuple[Hashable, ...]
Law = Mapping[Hashable, Number]
EVIDENCE = (4, 5, 6, 7)
MOST_PROFILES = 20_000
RELATIVE = 1e-9


class PlayersGame(Protocol):
    """N players with finitely many states and actions, who move at once.

    `states` and `actions` are what each player may be in and do. Laws leave out what has
    probability zero. Values that are integers or fractions are compared exactly.
    """

    @property
    def players(self) -> int:
        """The number N of players."""

    @property
    def states(self) -> Sequence[Hashable]:
        """The states of a player."""

    @property
    def actions(self) -> Sequence[Hashable]:
        """The actions of a player."""

    def initial(self, player: int) -> Law:
        """The law of a player's state at the start."""

    def legal(self, player: int, state: Hashable) -> Sequence[Hashable]:
        """The actions of a player in a state."""

    def reward(self, player: int, states: Joint, actions: Joint) -> Number:
        """What a player gets."""

    def kernel(self, player: int, states: Joint, actions: Joint) -> Law:
        """The law of a player's next state."""


@dataclass(frozen=True)
class Difference:
    """A player and a profile for which a permutation changes something.

    `image[i]` is the player that i becomes; `value` belongs to `player` in the profile, `moved` to
    its image in the permuted profile. `states` and `actions` are empty for what depends on no
    profile.
    """

    quantity: str
    player: int
    image: tuple[int, ...]
    value: Number
    moved: Number
    states: Joint = ()
    actions: Joint = ()

    @property
    def kind(self) -> Literal["heterogeneous", "not anonymous", "either"]:
        """What the difference shows: `either` for permutations that are not swaps of neighbours."""
        moved = [i for i, j in enumerate(self.image) if i != j]
        if len(moved) != 2 or moved[1] != moved[0] + 1:
            return "either"
        return "heterogeneous" if self.player in moved else "not anonymous"

    @property
    def exact(self) -> bool:
        """Whether both values are rational numbers."""
        return _exact(self.value) and _exact(self.moved)

    @property
    def witness(self) -> dict[str, float | int | str]:
        """The values by name."""
        found: dict[str, float | int | str] = {
            "quantity": self.quantity,
            "kind": self.kind,
            "player": self.player,
            "permutation": cycles(self.image),
        }
        for word, values in (("state", self.states), ("action", self.actions)):
            found |= {f"{word}[{i}]": _plain(v) for i, v in enumerate(values)}
        image = self.image[self.player]
        return found | {f"of {self.player}": _plain(self.value), f"of {image}": _plain(self.moved)}


@dataclass(frozen=True)
class Comparison:
    """The outcome at one N: the first difference, and what was compared.

    `complete` when all profiles were, `exact` when all numbers were rational.
    """

    players: int
    profiles: int
    complete: bool
    exact: bool
    difference: Difference | None
    seconds: float


def compare(
    game: PlayersGame, *, most: int = MOST_PROFILES, samples: int = 1000, seed: int = 0
) -> Comparison:
    """Compare a game with its images under both generators.

    Up to `most` profiles all are compared, otherwise `samples` at random.

    Raises:
        ValueError: the game has no players, states or actions.
    """
    if game.players < 1 or not game.states or not game.actions:
        raise ValueError("a game has players, and each of them has states and actions")
    began, noted = time.perf_counter(), _Notes()
    count = (len(game.states) * len(game.actions)) ** game.players
    complete = count <= most
    seen = 0
    found = next(_differing_players(game, noted), None)
    if found is None:
        for states, actions in _profiles(game, None if complete else (samples, seed)):
            seen += 1
            found = next(_differing_profile(game, states, actions, noted), None)
            if found is not None:
                break
    if found is not None:
        found = _by_neighbours(game, found, noted)
    spent = time.perf_counter() - began
    return Comparison(game.players, seen, complete, noted.exact, found, spent)


def comparison_certificate(found: Comparison) -> Certificate:
    """The outcome as the claim `symmetric for N = ...`, never about other N.

    Proved when all profiles agree in rational numbers, tested when some were compared or numbers
    are rounded, refuted with player, permutation and profile.
    """
    verdict, rigor = _verdict(found)
    many = f"all {found.profiles}" if found.complete else f"{found.profiles} random"
    return Certificate(
        claim=f"symmetric for N = {found.players}",
        subject=f"{found.players} players",
        verdict=verdict,
        rigor=rigor,
        method=("generators of the symmetric group", f"{many} profiles"),
        witness=None if found.difference is None else found.difference.witness,
        detail=f"this says nothing about other numbers of players than {found.players}",
        seconds=found.seconds,
    )


def evidence(
    family: Callable[[int], PlayersGame], sizes: Sequence[int] = EVIDENCE, *, seed: int = 0
) -> Certificate:
    """The claim `symmetric for all N` of games by N: refuted, or tested at some N, never proved.

    Raises:
        ValueError: there are no sizes, or one is below 4, where rings look symmetric.
    """
    if not sizes or min(sizes) < min(EVIDENCE):
        raise ValueError("evidence for all N needs N of 4 and more: a ring of 3 is symmetric")
    found = []
    for size in sizes:
        comparison = compare(family(size), seed=seed)
        found.append(comparison_certificate(comparison))
        if comparison.difference is not None:
            break
    last, shown = found[-1], ", ".join(map(str, sizes))
    refuted = last.verdict == "refuted"
    return Certificate(
        claim="symmetric for all N",
        subject="players",
        verdict="refuted" if refuted else "tested",
        rigor=last.rigor if refuted else "samples",
        method=("generators of the symmetric group", f"N = {shown}"),
        witness=last.witness,
        detail=last.claim.replace("symmetric", "not symmetric")
        if refuted
        else f"evidence only: symmetric for N = {shown}",
        obligations=tuple(found),
        seconds=sum(certificate.seconds for certificate in found),
    )


def generators(count: int) -> list[tuple[int, ...]]:
    """The swap (0 1) and the cycle (0 1 ... N-1), as the images of all players."""
    swap = (1, 0, *range(2, count))
    cycle = (*range(1, count), 0)
    return [] if count < 2 else [swap] if count == 2 else [swap, cycle]


def cycles(image: Sequence[int]) -> str:
    """A permutation in cycle notation: `(0 1)(2 3)`."""
    left, shown = set(range(len(image))), ""
    while left:
        place = min(left)
        cycle = [place]
        while (place := image[place]) != cycle[0]:
            cycle.append(place)
        left -= set(cycle)
        shown += f"({' '.join(map(str, cycle))})" if len(cycle) > 1 else ""
    return shown or "()"


def permuted(image: Sequence[int], values: Joint) -> Joint:
    """The profile s z with (s z)[s(j)] = z[j]."""
    moved = dict(zip(image, values, strict=bool(values)))
    return tuple(moved[place] for place in range(len(values)))


class _Notes:
    """Whether every number so far was rational."""

    def __init__(self) -> None:
        self.exact = True

    def differ(self, first: Number, second: Number) -> bool:
        """Whether two numbers are not the same."""
        if _exact(first) and _exact(second):
            return first != second
        self.exact = False
        one, other = float(first), float(second)
        return not abs(one - other) <= RELATIVE * max(1.0, abs(one), abs(other))


def _differing_players(game: PlayersGame, noted: _Notes) -> Iterator[Difference]:
    """Differences of initial laws and of legal actions."""
    for image in generators(game.players):
        for i in range(game.players):
            yield from _player_moved(game, i, image, noted)


def _player_moved(
    game: PlayersGame, i: int, image: tuple[int, ...], noted: _Notes
) -> Iterator[Difference]:
    """Differences between a player and its image before anybody plays."""
    first, second = game.initial(i), game.initial(image[i])
    yield from _differing_laws("initial state", first, second, i, image, noted)
    for state in game.states:
        mine, theirs = (set(game.legal(j, state)) for j in (i, image[i]))
        for action in game.actions:
            value, moved = int(action in mine), int(action in theirs)
            if value != moved:
                word = f"legal action {action} in state {state}"
                yield Difference(word, i, image, value, moved)


def _differing_profile(
    game: PlayersGame, states: Joint, actions: Joint, noted: _Notes
) -> Iterator[Difference]:
    """Differences of rewards and transitions at one profile."""
    for image in generators(game.players):
        for i in range(game.players):
            yield from _profile_moved(game, i, image, states, actions, noted)


def _profile_moved(
    game: PlayersGame,
    i: int,
    image: tuple[int, ...],
    states: Joint,
    actions: Joint,
    noted: _Notes,
) -> Iterator[Difference]:
    """Differences between a player and its image in the permuted profile."""
    there = (permuted(image, states), permuted(image, actions))
    value, moved = game.reward(i, states, actions), game.reward(image[i], *there)
    if noted.differ(value, moved):
        yield Difference("reward", i, image, value, moved, states, actions)
    here, law = game.kernel(i, states, actions), game.kernel(image[i], *there)
    yield from _differing_laws("next state", here, law, i, image, noted, states, actions)


def _by_neighbours(game: PlayersGame, found: Difference, noted: _Notes) -> Difference:
    """A difference under a swap of neighbours that a difference under the cycle is made of.

    The cycle is (N-2 N-1), then (N-3 N-2), and so on to (0 1). Where values are rounded the parts
    may all be too small to count; the difference stays as it is then.
    """
    count, player = game.players, found.player
    if found.image != (*range(1, count), 0):
        return found
    states, actions = found.states, found.actions
    for j in reversed(range(count - 1)):
        swap = (*range(j), j + 1, j, *range(j + 2, count))
        if states:
            parts = _profile_moved(game, player, swap, states, actions, noted)
        else:
            parts = _player_moved(game, player, swap, noted)
        part = next(parts, None)
        if part is not None:
            return part
        states, actions, player = permuted(swap, states), permuted(swap, actions), swap[player]
    return found


def _differing_laws(
    word: str,
    here: Law,
    there: Law,
    player: int,
    image: tuple[int, ...],
    noted: _Notes,
    states: Joint = (),
    actions: Joint = (),
) -> Iterator[Difference]:
    """Outcomes that two laws give different probabilities."""
    for outcome in dict.fromkeys([*here, *there]):
        value, moved = here.get(outcome, 0), there.get(outcome, 0)
        if noted.differ(value, moved):
            name = f"probability of {word} {outcome}"
            yield Difference(name, player, image, value, moved, states, actions)


def _profiles(game: PlayersGame, samples: tuple[int, int] | None) -> Iterator[tuple[Joint, Joint]]:
    """All profiles of legal actions, or (number, seed) of them at random."""
    legal = [{s: list(game.legal(i, s)) for s in game.states} for i in range(game.players)]
    if samples is None:
        for states in product(game.states, repeat=game.players):
            choices = (legal[i][s] for i, s in enumerate(states))
            yield from ((states, actions) for actions in product(*choices))
        return
    count, seed = samples
    yield from islice(_random_profiles(game, legal, random.Random(seed)), count)


def _random_profiles(
    game: PlayersGame,
    legal: Sequence[Mapping[Hashable, Sequence[Hashable]]],
    stream: random.Random,
) -> Iterator[tuple[Joint, Joint]]:
    """Profiles in which every player has a state with legal actions."""
    open_states = [[s for s in game.states if allowed[s]] for allowed in legal]
    if not all(open_states):
        return
    while True:
        states = tuple(stream.choice(possible) for possible in open_states)
        yield states, tuple(stream.choice(legal[i][s]) for i, s in enumerate(states))


def _verdict(found: Comparison) -> tuple[Literal["proved", "tested", "refuted"], Rigor]:
    if found.difference is not None:
        return "refuted", "exact" if found.difference.exact else "float64"
    if found.complete and found.exact:
        return "proved", "exact"
    return "tested", "float64" if found.complete else "samples"


def _exact(number: Number) -> bool:
    return isinstance(number, (int, Fraction))


def _plain(value: Hashable) -> float | int | str:
    """A value as certificates have them; fractions as text, which keeps them exact."""
    return value if isinstance(value, (int, float, str)) else str(value)
