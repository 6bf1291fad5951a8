"""The weather corruptions of CIFAR-10-C, and spatter, as functions of a batch of images.

The conventions are those of `distortions`.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.ndimage import gaussian_filter

from papers.corruptions.distortions import Rngs, _draw, _each, drag, to_bytes, zoom

__all__ = ["fog", "frost", "snow", "spatter"]

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
_TURQUOISE = np.array([175, 238, 238]) / 255  # water
_BROWN = np.array([63, 42, 20]) / 255  # mud
_ICE = np.array([[38, 66, 92], [236, 244, 248]]) / 255  # glass behind, crystals


def fog(x: np.ndarray, rngs: Rngs, thickness: float, decay: float) -> np.ndarray:
    """Return (x + thickness · p) · m / (m + thickness), p a plasma fractal in [0, 1], m = max x."""
    size = x.shape[1]
    brightest = x.max(axis=(1, 2, 3), keepdims=True)
    mist = _plasma(rngs, size, decay)[:, :size, :size, None]
    return (x + thickness * mist) * brightest / (brightest + thickness)


def _plasma(rngs: Rngs, size: int, decay: float) -> np.ndarray:
    """Return periodic diamond-square maps in [0, 1]: (N, M, M), M ≥ size a power of two."""
    side = 1 << (size - 1).bit_length()
    heights = np.zeros((len(rngs), side, side))
    noise = _draw(rngs, lambda rng: rng.uniform(-1, 1, side**2 - 1))  # one for each new point
    used = 0

    def settle(total: np.ndarray) -> np.ndarray:  # the mean of four neighbours, plus noise
        nonlocal used
        count = total[0].size
        fresh = noise[:, used : used + count].reshape(total.shape)
        used += count
        return total / 4 + wobble**2 * fresh

    step, wobble = side, 100.0
    while step >= 2:
        half = step // 2
        corner = heights[:, ::step, ::step]
        pair = corner + np.roll(corner, -1, 1)
        centre = heights[:, half::step, half::step] = settle(pair + np.roll(pair, -1, 2))
        above_below = centre + np.roll(centre, 1, 1)
        heights[:, ::step, half::step] = settle(above_below + corner + np.roll(corner, -1, 2))
        beside = centre + np.roll(centre, 1, 2)
        heights[:, half::step, ::step] = settle(beside + corner + np.roll(corner, -1, 1))
        step, wobble = half, wobble / decay
    heights -= heights.min(axis=(1, 2), keepdims=True)
    return heights / heights.max(axis=(1, 2), keepdims=True)


def snow(
    x: np.ndarray,
    rngs: Rngs,
    mean: float,
    spread: float,
    flake: float,
    threshold: float,
    radius: int,
    sigma: float,
    keep: float,
) -> np.ndarray:
    """Whiten the image and add flakes: enlarged noise above `threshold`, smeared downwards."""
    size = x.shape[1]
    noise = _draw(rngs, lambda rng: rng.normal(mean, spread, (size, size)))
    flakes = zoom(noise, flake)
    flakes[flakes < threshold] = 0
    angles = _draw(rngs, lambda rng: rng.uniform(-135, -45))
    flakes = np.rint(drag(to_bytes(flakes) / 255, angles, radius, sigma) * 255) / 255
    flakes += flakes[:, ::-1, ::-1].copy()  # the same again, turned round
    white = (x @ _LUMA)[..., None] * 1.5 + 0.5
    return keep * x + (1 - keep) * np.maximum(x, white) + flakes[..., None]


def frost(x: np.ndarray, rngs: Rngs, keep: float, add: float) -> np.ndarray:
    """Return keep · x + add · ice, where the ice is drawn by code.

    The published images use crops of five photographs of frosted windows. This library does not
    have them. Its texture only resembles them.
    """
    return keep * x + add * _ice(rngs, x.shape[1])


def _ice(rngs: Rngs, size: int) -> np.ndarray:
    """Return ice, needles in three directions on patches of rime, bluish to white: (N, H, H, 3)."""
    noise = _draw(rngs, lambda rng: rng.normal(0, 1, (5, size, size)))  # patches, rime, 3 needles
    turn = _draw(rngs, lambda rng: rng.uniform(0, 60))

    def smooth(field: np.ndarray, sigma: float) -> np.ndarray:  # with unit variance
        field = gaussian_filter(field, (0, sigma, sigma), mode="wrap")
        return field / field.std(axis=(1, 2), keepdims=True)

    cover = 0.5 + 0.3 * smooth(noise[:, 0], 5.0)
    rime = 0.15 * smooth(noise[:, 1], 0.7)
    needles = sum(
        drag((noise[:, 2 + k] > 1.7).astype(float), turn + 60 * k, 6, 3.0) for k in range(3)
    )
    dark, white = _ICE
    ice = (cover + rime + cover.clip(0, 1) * (1.6 * needles - 0.2)).clip(0, 1)
    return dark + ice[..., None] * (white - dark)


def spatter(
    x: np.ndarray,
    rngs: Rngs,
    mean: float,
    spread: float,
    sigma: float,
    threshold: float,
    amount: float,
    mud: bool,
) -> np.ndarray:
    """Splash pale water (of strength `amount`) or opaque mud (edges blurred by `amount`) over x.

    There is liquid wherever noise, blurred by `sigma`, exceeds `threshold`.
    """
    size = x.shape[1]
    liquid = _draw(rngs, lambda rng: rng.normal(mean, spread, (size, size)))
    liquid = gaussian_filter(liquid, (0, sigma, sigma), mode="nearest")
    liquid[liquid < threshold] = 0
    if mud:
        cover = (liquid > threshold).astype(float)
        cover = gaussian_filter(cover, (0, amount, amount), mode="nearest")
        cover[cover < 0.8] = 0
        return x * (1 - cover[..., None]) + cover[..., None] * _BROWN
    liquid = to_bytes(liquid)
    light = liquid * _each(liquid, _relief)
    brightest = light.max(axis=(1, 2), keepdims=True)
    light = amount * light / np.maximum(brightest, 1)  # 0 if an image has no liquid
    return x + light[..., None] * _TURQUOISE


def _relief(liquid: np.ndarray) -> np.ndarray:
    """Return the brightness of drops lit from one side: uint8 (H, H) to float."""
    depth = cv2.distanceTransform(255 - cv2.Canny(liquid, 50, 150), cv2.DIST_L2, 5)
    depth = cv2.equalizeHist(cv2.blur(depth.clip(max=20), (3, 3)).astype(np.uint8))
    light = np.array([[-2.0, -1, 0], [-1, 1, 1], [0, 1, 2]])
    return cv2.blur(cv2.filter2D(depth, cv2.CV_8U, light), (3, 3)).astype(float)
