"""Draw images from a data set: balanced over classes, seeded; larger draws contain smaller ones."""

from __future__ import annotations

import numpy as np

__all__ = ["check_draw", "stratified"]


def stratified(
    labels: np.ndarray,
    n: int | None,
    seed: int | np.random.SeedSequence,
    what: str = "the data set",
    *,
    skip: int = 0,
) -> np.ndarray:
    """Return `n` different indices, the classes as evenly represented as they can be, shuffled.

    A seed puts all images in one order, of which the draw is images `skip` to ``skip + n``. So
    the images drawn for a smaller `n` are among those for a larger one, and those drawn with
    ``skip=k`` are none of the first k. None for `n` is all that `skip` leaves.

    Raises TypeError or ValueError if `n` is not an integer from 1, `skip` not one from 0, or both
    together are more than the images there are, which the message calls `what`.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 0, 1, 1, 2])
    >>> np.bincount(labels[stratified(labels, 5, seed=0)]).tolist()
    [2, 2, 1]
    >>> first, rest = stratified(labels, 5, seed=0), stratified(labels, None, seed=0, skip=5)
    >>> sorted([*first.tolist(), *rest.tolist()])
    [0, 1, 2, 3, 4, 5, 6]
    """
    check_draw(n, skip)
    if (1 if n is None else n) + skip > len(labels):
        asked = "" if n is None else f"n={n} images were asked for"
        after = f"{' after ' if asked else ''}skip={skip}" if skip else ""
        raise ValueError(f"{asked}{after}, but {what} has {len(labels)}")
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    # Each image's place among those of its class. Taking all firsts, then all seconds, ...
    # spreads n over the classes, and a class that runs out leaves its share to the others.
    by_class = np.argsort(labels[order], kind="stable")
    counts = np.unique(labels, return_counts=True)[1]
    place = np.empty(len(labels), np.int64)
    place[by_class] = np.concatenate([np.arange(count) for count in counts])
    stop = None if n is None else skip + n
    return rng.permutation(order[np.argsort(place, kind="stable")[skip:stop]])


def check_draw(n: int | None, skip: int = 0) -> None:
    """Raise TypeError or ValueError unless `n` is None or an integer > 0, and `skip` one >= 0."""
    for name, value, least in (("n", n, 1), ("skip", skip, 0)):
        if value is None and name == "n":
            continue
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"{name}={value!r} is not an integer")
        if value < least:
            raise ValueError(f"{name}={value} images were asked for; at least {least} is needed")
