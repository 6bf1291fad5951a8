"""A trajectory whose every curve is a random walk."""

import numpy as np
import xarray as xr

EPOCHS, LAYERS = np.arange(31), np.arange(13)


def walk(rng, *shape, low=0.2, high=0.8):
    """Random walks along the first axis, scaled into [low, high]."""
    values = rng.standard_normal(shape).cumsum(axis=0)
    values -= values.min()
    return low + (high - low) * values / values.max()


def trajectory() -> xr.Dataset:
    """STIR, CKA and accuracy that walk at random over 31 epochs, 13 layers and 3 seeds."""
    rng = np.random.default_rng(0)
    own = ("estimator", "seed", "layer")
    shape = (2, 3, len(LAYERS))
    moving = {
        f"{name}_diagonal": (("epoch", *own), walk(rng, len(EPOCHS), *shape))
        for name in ("stir_ft_pt", "stir_pt_ft", "stir_ft_ft", "cka_ft_pt")
    }
    return xr.Dataset(
        moving
        | {
            "stir_pt_pt_diagonal": (own, rng.uniform(0.8, 0.9, shape)),
            "cka_pt_pt_diagonal": (own, np.ones(shape)),
            "subspace_ft_pt_diagonal": (("epoch", *own[1:]), walk(rng, len(EPOCHS), *shape[1:])),
            "corrupted_accuracy": (
                ("epoch", "corruption", "severity"),
                walk(rng, len(EPOCHS), 2, 6),
            ),
        },
        dict(
            epoch=EPOCHS,
            estimator=["biased", "debiased"],
            seed=range(3),
            layer=LAYERS,
            severity=range(6),
            corruption=["fog", "jpeg"],
        ),
    )
