"""Networks blind to a known part: what they do not see, and what STIR should be of them."""

from functools import cache

import numpy as np
import pytest
import torch

from invlib import invert, linear_cka
from invlib.inversion.invert import start_images
from invlib.metrics.similarities import mutual_knn, similarity_from_grams
from invlib.names import SIMILARITIES
from papers.engine.blind import (
    CONSTRUCTIONS,
    PAIRS,
    Blind,
    basis_of,
    conditional,
    covariances,
    draw_images,
    limit,
    resampled,
)

SIDE = 8


def sees(construction: str, side: int = SIDE) -> dict[str, torch.Tensor]:
    rows, block = basis_of(construction, side)
    return {name: rows[torch.isin(block, torch.tensor(v))] for name, v in PAIRS.items()}


@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_the_basis_is_orthonormal_and_all_of_it_is_in_a_block(construction):
    rows, block = basis_of(construction, SIDE)
    np.testing.assert_allclose(rows @ rows.T, np.eye(3 * SIDE**2), atol=1e-5)
    assert set(block.tolist()) == {0, 1, 2, 3}


UNSEEN = {
    "flips": lambda x: x.flip(-1),
    "grey": lambda x: x[:, [2, 0, 1]],  # other colours of the same mean
    "low pass": lambda x: x + 0.1 * (-1) ** (torch.arange(SIDE) + torch.arange(SIDE)[:, None]),
}


@pytest.mark.parametrize("construction", UNSEEN)
def test_the_reference_is_blind_to_what_it_should_and_others_are_not(construction):
    x = draw_images(3, SIDE, seed=0)
    y = UNSEEN[construction](x)
    if construction == "low pass":  # a chess board has some low frequencies
        rows, block = basis_of(construction, SIDE)
        high = rows[block == 3]
        y = x + ((y - x).flatten(1) @ high.T @ high).view_as(x)
    moved = {}
    for name, rows in sees(construction).items():
        with torch.no_grad():
            pairs = zip(*(Blind(rows, SIDE).features(z) for z in (x, y)), strict=True)
            moved[name] = [float((a - b).norm() / a.norm()) for a, b in pairs]
    assert max(*moved["all"], *moved["more"]) < 1e-4
    assert min(moved["none"]) > 0.05


@pytest.mark.parametrize("init", ["noise", "images"])
@pytest.mark.parametrize("construction", CONSTRUCTIONS)
def test_the_limit_is_what_many_images_give(construction, init):
    x, rows = draw_images(2000, 4, seed=0), sees(construction, 4)
    true = resampled(x, start_images(x, init, 0), rows["all"])
    for name, v in rows.items():
        of_many = linear_cka(x.flatten(1) @ v.T, true.flatten(1) @ v.T, debiased=True)
        assert abs(float(of_many) - limit(rows["all"], v, 4, init)) < 0.03, name


# Bias and spread of similarities. The blind part of x′ is that of another image, drawn anew. Its
# seen part has come all the way to that of x, or half of it: that is the distance left.
DRAWS, FEW, SOME, MANY = 60, 16, 64, 1000
COME = (1.0, 0.5)


@cache
def pairs(n: int, side: int, come: float, draws: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return Grams (draws, n, n) of what the target "less" sees of x and of x′."""
    rows = sees("projection", side)
    x, start = (draw_images(draws * n, side, seed=100 + i) for i in range(2))
    moved = resampled(x, start, come**0.5 * rows["all"])
    seen = ((z - 0.5).flatten(1) @ rows["less"].T for z in (x, moved))
    seen = (z.double().view(draws, n, -1) for z in seen)
    return tuple(z @ z.mT for z in seen)


def drawn(name: str, n: int, side: int, come: float) -> torch.Tensor:
    """Return a similarity of n images, (draws,)."""
    return similarity_from_grams(name, *pairs(n, side, come, DRAWS)).double()


def true(name: str, n: int, side: int, come: float) -> float:
    """Return what a similarity of n images should be, without its bias."""
    if name == "trimmed":
        return float(similarity_from_grams(name, *pairs(MANY, side, come)))
    if name == "mutual_knn":  # the same share of all others as of n images
        share = min(10, (n - 1) // 2) / (n - 1)
        return float(mutual_knn(*pairs(MANY, side, come), neighbours=round(share * (MANY - 1))))
    rows = sees("projection", side)
    seen = come**0.5 * rows["all"]
    return limit(seen, rows["less"], side, "images", similarity=name)


def biased_by(n: int, side: int, come: float) -> float:
    """Return biased CKA of n Gaussian images, in closed form.

    It is the ratio of means, E‖S‖² = (1 + 1/m)‖C‖² + tr A tr B / m, with m = n − 1 and S the
    covariance in the sample.
    """
    rows, m = sees("projection", side), n - 1
    own, other, cross = covariances(come**0.5 * rows["all"], rows["less"], side, "images")

    def square(c: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (1 + 1 / m) * c.norm() ** 2 + a.trace() * b.trace() / m

    norms = square(own, own, own) * square(other, other, other)
    return float(square(cross, own, other) / norms.sqrt())


@pytest.mark.parametrize("come", COME)
@pytest.mark.parametrize("side", [4, 8])
@pytest.mark.parametrize("name", [name for name in SIMILARITIES if name != "procrustes"])
def test_the_mean_of_many_draws_is_the_true_value_or_has_the_known_bias(name, side, come):
    for n in (FEW, SOME):
        values = drawn(name, n, side, come)
        expected = biased_by(n, side, come) if name == "biased" else true(name, n, side, come)
        error = float(values.std()) / DRAWS**0.5
        assert abs(float(values.mean()) - expected) < 4 * error, n
    if name == "biased":
        off = [biased_by(n, side, come) - true(name, n, side, come) for n in (FEW, SOME)]
        assert off[0] > 2 * off[1] > 8 * error  # a test of the debiased one would see it


@pytest.mark.parametrize("come", COME)
@pytest.mark.parametrize("side", [4, 8])
@pytest.mark.parametrize("name", [name for name in SIMILARITIES if name != "biased"])
def test_four_times_the_images_halve_the_spread(name, side, come):
    few, some = (float(drawn(name, n, side, come).std()) for n in (FEW, SOME))
    assert 0.3 < some / few < 0.7


@pytest.mark.parametrize("come", COME)
@pytest.mark.parametrize("side", [4, 8])
def test_a_small_spread_of_biased_cka_hides_its_bias(side, come):
    few = {name: drawn(name, FEW, side, come) for name in ("biased", "debiased")}
    assert float(few["biased"].std()) < 0.5 * float(few["debiased"].std())
    off = {name: abs(float(v.mean()) - true(name, FEW, side, come)) for name, v in few.items()}
    assert off["biased"] > 3 * float(few["biased"].std()) and off["debiased"] < off["biased"] / 5


@pytest.mark.parametrize("come", COME)
def test_procrustes_comes_down_to_its_closed_form(come):
    """Its bias falls with images, and grows with the numbers seen and the distance."""
    off = {
        (n, side): float(drawn("procrustes", n, side, come).mean())
        - true("procrustes", n, side, come)
        for n in (FEW, SOME) for side in (4, 8)
    }  # fmt: skip
    assert off[FEW, 8] > off[FEW, 4] > off[SOME, 4] and off[FEW, 8] > off[SOME, 8] > off[SOME, 4]
    many = float(similarity_from_grams("procrustes", *pairs(MANY, 4, come)))
    assert 0 < many - true("procrustes", MANY, 4, come) < 0.3 * off[SOME, 4]


def test_images_and_the_noise_of_the_same_seed_are_independent():
    x = draw_images(400, 4, seed=3)
    start = start_images(x, "noise", 3)
    assert abs(float(linear_cka(x, start, debiased=True))) < 0.02


@pytest.mark.parametrize("construction", ["flips", "grey"])
def test_conditional_noise_is_noise_that_was_waited_for(construction):
    """Of half a million draws of noise, those whose seen part happens to be that of the image."""
    rows = sees(construction, 4)
    mean = 0.4 + 0.02 * torch.rand(3000, 1, 1, 1, generator=torch.Generator().manual_seed(8))
    x = mean.expand(3000, 3, 4, 4).contiguous()
    drawn = conditional(x, construction, seed=0)
    np.testing.assert_allclose(
        drawn.flatten(1) @ rows["all"].T, x.flatten(1) @ rows["all"].T, atol=1e-5
    )
    k = 3 if construction == "grey" else 2
    noise = torch.randn(500_000, k, generator=torch.Generator().manual_seed(9)).clamp(0, 1)
    waited = noise[(noise.mean(1) > 0.4) & (noise.mean(1) < 0.42), 0]
    first = drawn[:, 0, 0, 0]  # one colour, or one of a pair
    for below in (0.01, 0.2, 0.4, 0.6, 0.8):
        shares = [float((v < below).float().mean()) for v in (first, waited)]
        assert abs(shares[0] - shares[1]) < 0.04


def test_a_small_distance_does_not_make_stir_right():
    """A rule of sums of gradients keeps the unseen part; Adam moves it, at a smaller distance."""
    rows = sees("projection")
    x = draw_images(64, SIDE, seed=0)
    start = start_images(x, "images", 1)
    true = resampled(x, start, rows["all"])
    out = {}
    for rule, step in {"ngd": 0.1, "anytime": None}.items():
        found = invert(
            Blind(rows["all"], SIDE), x, layers=[0], iterations=60, init="images", seed=1,
            optimizer=rule, step=step,
        )  # fmt: skip
        images = found.images[0]
        unseen = (images - start).flatten(1) @ (torch.eye(192) - rows["all"].T @ rows["all"])
        stir = {}
        for name in ("all", "less"):
            own, at_end, ideal = (z.flatten(1) @ rows[name].T for z in (x, images, true))
            stir[name] = [float(linear_cka(own, z, debiased=True)) for z in (at_end, ideal)]
        out[rule] = float(found.best.mean()), float(unseen.abs().max()), stir
    near, still, right = out["ngd"]
    assert near < 0.1 and still < 1e-5
    assert abs(right["less"][0] - right["less"][1]) < 0.02
    near, moved, wrong = out["anytime"]
    assert near < 0.1 and moved > 0.1
    assert wrong["all"][0] > 0.99  # the self term says nothing of it
    assert abs(wrong["less"][0] - wrong["less"][1]) > 0.05
