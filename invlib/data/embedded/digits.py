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

    They are scikit-learn's copy of the test set of Alpaydin & Kaynak (1998), 1,797 scans. Here 50
    scans of each digit are the test split.

    Examples
    --------
    >>> [len(scans(split)[0]) for split in ("train", "test")]
    [1297, 500]
    """
    from sklearn.datasets import load_digits  # slow; other data sets need none of it

    choices("split", split, ("train", "test"))
    digits = load_digits()
    tests = stratified(digits.target, _N_TESTS, seed=0)
    chosen = np.isin(np.arange(len(digits.target)), tests) == (split == "test")
    return np.round(digits.images[chosen] * (255 / 16)).astype(np.uint8), digits.target[chosen]


def draw_digits(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the scans of a split, enlarged (bicubic) to uint8 (N, 32, 32, 3), and labels (N,)."""
    small, labels = scans(split)
    grey = [
        np.asarray(Image.fromarray(s).resize((32, 32), Image.Resampling.BICUBIC)) for s in small
    ]
    return np.repeat(np.stack(grey)[..., None], 3, axis=-1), labels
