"""Did-you-mean: the candidate closest to a misspelled word."""

from collections.abc import Iterable

MAX_DISTANCE = 3


def distance(left: str, right: str) -> int:
    """Edits from `left` to `right`: insertions, deletions, substitutions, neighbour swaps.

    The optimal string alignment form of Damerau (1964): no stretch is edited twice.
    """
    older: list[int] = []
    previous = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        row = [i]
        for j, b in enumerate(right, start=1):
            cost = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        older, previous = previous, row
    return previous[-1]


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The closest candidate within min(len(word) / 2, 3) edits, the first one among equals.

    `word` itself is never the answer; None when nothing is close.
    """
    limit = min(len(word) // 2, MAX_DISTANCE)
    best: str | None = None
    for candidate in candidates:
        if candidate == word or abs(len(candidate) - len(word)) > limit:
            continue
        edits = distance(word, candidate)
        if edits <= limit:
            best, limit = candidate, edits - 1
    return best
