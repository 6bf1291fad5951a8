"""The embedded data set `digits`: scikit-learn's scans of handwritten digits, in fixed splits."""

from __future__ import annotations

import numpy as np
from PIL import Image

from invlib.data.sampling import stratified
from invlib.names import choices

__all__ = ["CLASS_NAMES", "draw_digits", "scans"]

CLASS_NAMES = tuple("0123456789")

_N_TESTS = 500  # of 1,797 scans


def scans(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the 8 x 8 scans of a split, uint8 (N, 8, 8), white on black, and labels (N,).

    scikit-learn's copy of the test set of Alpaydin & Kaynak (1998), 1,797 scans, of which 50 of
    each digit are the test split here.

    Examples
    --------
    >>> [len(scans(split)[0]) for split in ("train", "test")]
    [1297, 500]
    """
    from sklearn.datasets import load_digits  # slow, and other data sets do without

    choices("split", split, ("train", "test"))
    found = load_digits()
    tests = stratified(found.target, _N_TESTS, seed=0)
    chosen = np.isin(np.arange(len(found.target)), tests) == (split == "test")
    return np.round(found.images[chosen] * (255 / 16)).astype(np.uint8), found.target[chosen]


def draw_digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the scans enlarged (bicubic) to images, uint8 (N, 32, 32, 3), and labels (N,).

    Examples
    --------
    >>> images, labels = draw_digits("test")
    >>> images.shape, labels.shape
    ((500, 32, 32, 3), (500,))
    """
    small, labels = scans(split)
    grey = [
        np.asarray(Image.fromarray(s).resize((32, 32), Image.Resampling.BICUBIC)) for s in small
    ]
    return np.repeat(np.stack(grey)[..., None], 3, axis=-1), labels
