"""Draw images from a data set: balanced over classes, seeded; larger draws contain smaller ones."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from numbers import Real

import numpy as np

from invlib.names import whole_number

__all__ = ["check_draw", "held_out", "stratified"]


def stratified(
    labels: np.ndarray,
    n: int | None,
    seed: int | np.random.SeedSequence,
    what: str = "the data set",
    *,
    skip: int = 0,
) -> np.ndarray:
    """Return `n` different indices, shuffled, as evenly over the classes as possible.

    A seed puts all images in one order; the draw is images `skip` to ``skip + n`` of it. So a
    larger draw contains every smaller one, and a draw with ``skip=k`` has none of the first k
    images. None for `n` draws all images after `skip`. TypeError or ValueError, which call the
    images `what`, for `n` and `skip` that are no numbers of them.

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
    if not isinstance(seed, np.random.SeedSequence):
        whole_number("seed", seed)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    # The place of each image within its class. Taking first places first, then second places, ...
    # spreads n over the classes. When a class has no more images, the others fill its share.
    by_class = np.argsort(labels[order], kind="stable")
    counts = np.unique(labels, return_counts=True)[1]
    place = np.empty(len(labels), np.int64)
    place[by_class] = np.concatenate([np.arange(count) for count in counts])
    stop = None if n is None else skip + n
    return rng.permutation(order[np.argsort(place, kind="stable")[skip:stop]])


def held_out(keys: Sequence[str], labels: np.ndarray, share: float) -> np.ndarray:
    """Return a mask (N,) of a share of each class, rounded down: the smallest hashes of `keys`."""
    if not (isinstance(share, Real) and 0 < share < 1):
        raise ValueError(f"test_share={share!r} must be more than 0 and less than 1")
    mask = np.zeros(len(labels), bool)
    digests = np.array([hashlib.sha256(key.encode()).hexdigest() for key in keys])
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        mask[members[np.argsort(digests[members])][: int(share * len(members))]] = True
    return mask


def check_draw(n: int | None, skip: int = 0) -> None:
    """Check that `n` is None or an integer >= 1, and `skip` an integer >= 0."""
    if n is not None:
        whole_number("n", n, 1)
    whole_number("skip", skip)
