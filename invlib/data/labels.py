"""Labels of Goerttler & Obermayer (2022): partially random, and shifted. NumPy in, NumPy out."""

from __future__ import annotations

import numpy as np

__all__ = ["partially_random", "shifted"]


def partially_random(
    labels: np.ndarray,
    num_classes: int,
    *,
    randomness: int,
    seed: int | np.random.SeedSequence = 0,
) -> np.ndarray:
    r"""Return partially random labels, drawn once per image: int64 ``(N,) -> (N,)``.

    .. math:: y_d = (y + Y) \bmod D, \qquad Y \sim U\{0, 1, \dots, d\}

    Goerttler & Obermayer (2022), eq. 1 and 2. A class is spread evenly over d + 1 labels: 0 is
    the data set itself, D − 1 makes the label independent of the image. Who knows y can be right
    about a share 1/(d + 1) of fresh draws, and a guess about 1/D.

    Parameters
    ----------
    labels : integers (N,)
        In [0, D).
    num_classes : int
        D.
    randomness : int
        d, from 0 to D − 1.
    seed : int or numpy.random.SeedSequence
        The same seed and number of labels draw the same Y, which are nested: a larger d only
        moves images further.

    Raises
    ------
    TypeError, ValueError
        For labels or parameters that are not integers, or out of range.

    Examples
    --------
    >>> y = np.array([0, 1, 2, 9, 9, 9])
    >>> partially_random(y, 10, randomness=0).tolist()
    [0, 1, 2, 9, 9, 9]
    >>> sorted(set(partially_random(np.full(99, 9), 10, randomness=2).tolist()))
    [0, 1, 9]
    """
    labels = _checked(labels, num_classes)
    d = _step("randomness", randomness, num_classes)
    # floor(u (d + 1)) of one uniform u an image: every d reads the same draw.
    u = np.random.default_rng(seed).random(len(labels))
    return (labels + (u * (d + 1)).astype(np.int64)) % num_classes


def shifted(labels: np.ndarray, num_classes: int, *, shift: int) -> np.ndarray:
    r"""Return labels renamed in a circle: int64 ``(N,) -> (N,)``.

    .. math:: y_s = (y + s) \bmod D

    Goerttler & Obermayer (2022), eq. 3: the same images and the same classes, of which none keeps
    its number. A shift of 0 changes nothing.

    Parameters
    ----------
    labels : integers (N,)
        In [0, D).
    num_classes : int
        D.
    shift : int
        s, from 0 to D − 1.

    Raises
    ------
    TypeError, ValueError
        For labels or parameters that are not integers, or out of range.

    Examples
    --------
    >>> shifted(np.array([0, 1, 9]), 10, shift=3).tolist()
    [3, 4, 2]
    >>> shifted(np.array([0, 1, 9]), 10, shift=10)
    Traceback (most recent call last):
        ...
    ValueError: shift=10 is out of range; allowed is 0 to 9 for 10 classes
    """
    labels = _checked(labels, num_classes)
    return (labels + _step("shift", shift, num_classes)) % num_classes


def _checked(labels: np.ndarray, num_classes: int) -> np.ndarray:
    labels = np.asarray(labels)
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"labels are {labels.dtype}; allowed are integers")
    if isinstance(num_classes, bool) or not isinstance(num_classes, int | np.integer):
        raise TypeError(f"num_classes={num_classes!r} is not an integer")
    if labels.ndim != 1:
        raise ValueError(f"labels have shape {labels.shape}; allowed is (N,)")
    if num_classes < 1:
        raise ValueError(f"num_classes={num_classes} is out of range; allowed is 1 or more")
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(
            f"labels run from {labels.min()} to {labels.max()}; allowed is 0 to "
            f"{num_classes - 1} for num_classes={num_classes}"
        )
    return labels.astype(np.int64)


def _step(name: str, value: int, num_classes: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}={value!r} is not an integer")
    if not 0 <= value < num_classes:
        raise ValueError(
            f"{name}={value} is out of range; allowed is 0 to {num_classes - 1} for "
            f"{num_classes} classes"
        )
    return int(value)
