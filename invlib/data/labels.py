"""Change labels as Goerttler & Obermayer (2022) do: make them partially random, or shift them."""

from __future__ import annotations

import dataclasses

import numpy as np

from invlib.data.images import ImageSet

__all__ = ["partially_random", "shifted"]


def partially_random(
    images: ImageSet, *, randomness: int, seed: int | np.random.SeedSequence = 0
) -> ImageSet:
    r"""Return the images with partially random labels, drawn once per image.

    .. math:: y_d = (y + Y) \bmod D, \qquad Y \sim U\{0, 1, \dots, d\}

    Goerttler & Obermayer (2022), eq. 1 and 2. Each class is spread evenly over d + 1 labels: d = 0
    changes nothing, d = D − 1 makes the label independent of the image. Knowing y, one can predict
    a share 1/(d + 1) of new draws; guessing predicts 1/D. `randomness` is d, from 0 to D − 1 for D
    classes. Images of a seed that change their label at one d also change it at every larger d.

    Examples
    --------
    >>> from invlib import load_images
    >>> digits = load_images("digits", "test")
    >>> nines = digits.subset(digits.labels == 9)
    >>> sorted(set(partially_random(nines, randomness=2).labels.tolist()))
    [0, 1, 9]
    """
    d = _step("randomness", randomness, images.num_classes)
    # floor(u (d + 1)) with one uniform u for each image, so every d uses the same draw.
    u = np.random.default_rng(seed).random(len(images))
    return _moved(images, (u * (d + 1)).astype(np.int64))


def shifted(images: ImageSet, *, shift: int) -> ImageSet:
    r"""Return the images with all labels shifted by the same number, cyclically.

    .. math:: y_s = (y + s) \bmod D

    Goerttler & Obermayer (2022), eq. 3. The classes stay the same, but each has another number. A
    `shift` s is an integer from 0, which changes nothing, to D − 1 for D classes.

    Examples
    --------
    >>> from invlib import load_images
    >>> digits = load_images("digits", "test", n=99)
    >>> bool((shifted(digits, shift=3).labels == (digits.labels + 3) % 10).all())
    True
    >>> shifted(digits, shift=10)
    Traceback (most recent call last):
        ...
    ValueError: shift=10 is out of range; allowed is 0 to 9 for 10 classes
    """
    return _moved(images, _step("shift", shift, images.num_classes))


def _moved(images: ImageSet, steps: np.ndarray | int) -> ImageSet:
    return dataclasses.replace(images, labels=(images.labels + steps) % images.num_classes)


def _step(name: str, value: int, num_classes: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}={value!r} is not an integer")
    if not 0 <= value < num_classes:
        raise ValueError(
            f"{name}={value} is out of range; allowed is 0 to {num_classes - 1} for "
            f"{num_classes} classes"
        )
    return int(value)
