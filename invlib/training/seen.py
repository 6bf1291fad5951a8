"""The images and labels that a training run sees: its data set, changed as the run asks.

There are three steps:

1. *Draw images*: `n_train` images of the training split, drawn with the run's seed after its first
   `skip` images. `n_test` images of the test split, the same for every seed.
2. *Change labels* to (y + Y + shift) mod D (Goerttler & Obermayer 2022, eq. 1 to 3). Test labels
   follow the same rule with another draw of Y, the same for every seed. No model can know that
   draw, so the best possible test accuracy is 1/(randomness + 1); guessing gives 1/D.
3. *Paste squares* (Masarczyk et al. 2023) on a share of the training images, in the top left corner
   and the colour of the changed label, before images are resized. Test images have no squares. A
   second set of them, all with squares, shows how the model reacts to squares.
"""

from __future__ import annotations

import numpy as np

from invlib.data.images import ImageSet, load_images
from invlib.data.labels import partially_random, shifted
from invlib.data.squares import paste_squares
from invlib.training.run import TrainingRun

__all__ = ["evaluated_on", "trained_on"]

# Independent random streams of a seed, for all draws but that of the images.
_TRAIN_LABELS, _TEST_LABELS, _CARRIERS = range(3)


def trained_on(run: TrainingRun) -> ImageSet:
    """Return the images that `run` trains on, with their changed labels and their squares.

    ValueError if `randomness`, `shift` or `square_size` is too large for the data set.

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
    """Return the images that `run` is tested on; with `squares`, each carries a square."""
    # The same test images for every seed, so that runs with different seeds can be compared.
    images = load_images(run.dataset, "test", n=run.n_test)
    images = _relabelled(images, run, _stream(0, _TEST_LABELS))
    return paste_squares(images, size=run.square_size) if squares else images


def _relabelled(images: ImageSet, run: TrainingRun, seed: np.random.SeedSequence) -> ImageSet:
    images = partially_random(images, randomness=run.randomness, seed=seed)
    return shifted(images, shift=run.shift)


def _stream(seed: int, which: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(which,))
