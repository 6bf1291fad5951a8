"""The images and labels that a training run sees: its data set, changed as the run asks.

What is done, in this order:

1. *Which images*: `n_train` of the training split, drawn by the run's seed, after the first `skip`
   of that draw. Of the test split the same `n_test` for every seed.
2. *Labels* become (y + Y + shift) mod D (Goerttler & Obermayer 2022, eq. 1 to 3). The test labels
   follow the same rule, for that is the task, with a draw of Y of their own: nobody can know it, so
   that the best possible test accuracy is 1/(randomness + 1), while guessing gives 1/D. The draw
   for the training images follows the run's seed, that for the test images is always the same.
3. *Squares* (Masarczyk et al. 2023) go on a share of the training images, in the top left corner
   and the colour of the label that is trained, before anything is resized. Such a run has no
   augmentation, so that no square is cropped away. The test images are the original ones; a
   second set of them, all carrying squares, shows what the model makes of these.
"""

from __future__ import annotations

import numpy as np

from invlib.data.images import ImageSet, load_images
from invlib.data.labels import partially_random, shifted
from invlib.data.squares import paste_squares
from invlib.training.run import TrainingRun

__all__ = ["evaluated_on", "trained_on"]

# Independent random streams of a seed, for what is drawn besides the images themselves.
_TRAIN_LABELS, _TEST_LABELS, _CARRIERS = range(3)


def trained_on(run: TrainingRun) -> ImageSet:
    """Return the images that `run` trains on, with the labels and squares it trains on.

    Raises
    ------
    ValueError
        From `load_images`; or for a `randomness`, `shift` or `square_size` that is too large for
        the data set.

    Examples
    --------
    >>> run = TrainingRun(model="vit_pico_patch8_32", dataset="digits", n_train=100, shift=1)
    >>> original = load_images("digits", "train", n=100)
    >>> bool((trained_on(run).labels == (original.labels + 1) % 10).all())
    True
    """
    images = load_images(run.dataset, "train", n=run.n_train, seed=run.seed, skip=run.skip)
    images = _relabelled(images, run, _stream(run.seed, _TRAIN_LABELS))
    if not run.squares:
        return images
    carriers = _stream(run.seed, _CARRIERS)
    return paste_squares(images, size=run.square_size, ratio=run.squares, seed=carriers)


def evaluated_on(run: TrainingRun, *, squares: bool = False) -> ImageSet:
    """Return the images that `run` is tested on; with `squares`, each carries one.

    Raises
    ------
    ValueError
        As `trained_on`.

    Examples
    --------
    >>> run = TrainingRun(model="vit_pico_patch8_32", dataset="digits", n_test=50,
    ...                   squares=0.1, augmentation="none")
    >>> plain, marked = evaluated_on(run), evaluated_on(run, squares=True)
    >>> int((plain.images != marked.images).any((1, 2, 3)).sum())
    50
    """
    # The same test images for every seed: runs that differ in it stay comparable.
    images = load_images(run.dataset, "test", n=run.n_test)
    images = _relabelled(images, run, _stream(0, _TEST_LABELS))
    return paste_squares(images, size=run.square_size) if squares else images


def _relabelled(images: ImageSet, run: TrainingRun, seed: np.random.SeedSequence) -> ImageSet:
    images = partially_random(images, randomness=run.randomness, seed=seed)
    return shifted(images, shift=run.shift)


def _stream(seed: int, which: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(which,))
