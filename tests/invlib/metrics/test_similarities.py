"""Similarities beside CKA, against SciPy, scikit-learn, ckatorch, and plain loops."""

import ckatorch
import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from sklearn.neighbors import NearestNeighbors

from invlib.metrics.cka import cka_from_grams
from invlib.metrics.grams import gram
from invlib.metrics.similarities import (
    mutual_knn,
    procrustes,
    similarity_from_grams,
    trimmed_cka,
)
from invlib.names import SIMILARITIES
from tests.invlib.metrics.representations import F64, orthogonal, randn, related


@pytest.mark.parametrize(("d", "e"), [(5, 3), (60, 40)])  # fewer and more features than images
def test_procrustes_is_the_best_rotation_that_scipy_finds(d, e):
    x, y = related(20, d, e)
    value = float(procrustes(gram(x), gram(y)))
    x, y = (z.numpy() - z.numpy().mean(0) for z in (x, y))
    wide = max(d, e)  # SciPy rotates between spaces of one dimension
    x, y = (np.pad(z, ((0, 0), (0, wide - z.shape[1]))) for z in (x, y))
    rotation, _ = orthogonal_procrustes(x, y)
    cosine = np.sum(x @ rotation * y) / np.linalg.norm(x) / np.linalg.norm(y)
    assert value == pytest.approx(1 - 2 / np.pi * np.arccos(cosine), abs=1e-7)
    assert 0.2 < value < 0.95


def test_procrustes_of_one_representation_is_1_however_it_rounds():
    stack = torch.stack([gram(randn(6, 4, seed=seed)) for seed in range(40)])
    torch.testing.assert_close(procrustes(stack, 3 * stack), torch.ones(40, dtype=F64))


def test_mutual_knn_counts_the_neighbours_that_sklearn_finds():
    x, y = related(40, 6, 8)
    near = [
        NearestNeighbors(n_neighbors=7).fit(z.numpy()).kneighbors(return_distance=False)
        for z in (x, y)
    ]
    expected = np.mean([len(set(a) & set(b)) / 7 for a, b in zip(*near, strict=True)])
    assert float(mutual_knn(gram(x), gram(y), neighbours=7)) == pytest.approx(expected)
    assert 0.2 < expected < 0.9


@pytest.mark.parametrize(("n", "count"), [(3, 1), (6, 2), (7, 3)])
def test_few_images_have_few_neighbours(n, count):
    x, y = related(n, 6, 8)
    near = [torch.cdist(z, z).fill_diagonal_(torch.inf).argsort()[:, :count] for z in (x, y)]
    shared = sum(len(set(a) & set(b)) for a, b in zip(*(z.tolist() for z in near), strict=True))
    value = mutual_knn(gram(x), gram(y))
    assert float(value) == shared / (n * count) and value.dtype == torch.float64
    with pytest.raises(ValueError, match="^n=2 images; nearest neighbours need at least 3$"):
        mutual_knn(torch.eye(2), torch.eye(2))
    with pytest.raises(ValueError, match="^a Gram matrix is not finite$"):
        mutual_knn(gram(x), gram(y) * torch.nan)


def test_mutual_knn_of_unrelated_representations_is_at_chance():
    values = [
        float(mutual_knn(gram(randn(101, 30, seed=2 * s)), gram(randn(101, 30, seed=2 * s + 1))))
        for s in range(20)
    ]
    assert np.mean(values) == pytest.approx(10 / 100, abs=0.01)


@pytest.mark.parametrize(("d", "e"), [(4, 6), (60, 40)])  # fewer and more features than images
def test_trimmed_cka_is_what_ckatorch_gives_of_the_images_left(d, e):
    """No package has a trimmed CKA: NumPy chooses the images, and ckatorch compares the others."""
    x, y = related(25, d, e)
    x[3] *= 30
    y[11] *= 30
    both = [z.numpy() - z.numpy().mean(0) for z in (x, y)]
    part = np.max([(z**2).sum(1) / (z**2).sum() for z in both], axis=0)
    left = np.sort(np.argsort(part)[:22])  # a tenth of 25, rounded up, is 3
    assert {3, 11}.isdisjoint(left.tolist())
    expected = ckatorch.cka_base(x[left], y[left], unbiased=True, method="fro_norm")
    for scale in (1, 1e-3):  # the share of an image, not its norm
        assert float(trimmed_cka(gram(x), gram(scale * y))) == pytest.approx(float(expected))
    assert abs(float(cka_from_grams(gram(x), gram(y), debiased=True)) - float(expected)) > 0.1


@pytest.mark.parametrize("name", SIMILARITIES)
def test_every_similarity_is_symmetric_keeps_rotations_and_broadcasts(name):
    x, y = related(24, 5, 7)
    k, l = gram(x), gram(y)  # noqa: E741
    value = similarity_from_grams(name, k, l)
    assert 0 < float(value) < 0.99
    assert float(similarity_from_grams(name, l, k)) == pytest.approx(float(value))
    turned = gram(3 * y @ orthogonal(7, seed=4) + 5)
    assert float(similarity_from_grams(name, k, turned)) == pytest.approx(float(value), abs=1e-6)
    assert float(similarity_from_grams(name, k, 2 * k)) == pytest.approx(1, abs=1e-6)
    for one in (k, k[None, None]):
        stacked = similarity_from_grams(name, one, torch.stack([l, k, l])[None])
        assert stacked.shape == (1, 3)
        torch.testing.assert_close(stacked[0, ::2], value.expand(2))


@pytest.mark.parametrize("name", SIMILARITIES)
def test_other_numbers_of_images_are_refused(name):
    with pytest.raises(ValueError, match="k has 6 images and l has 7"):
        similarity_from_grams(name, torch.eye(6), torch.eye(7))


@pytest.mark.parametrize("name", [n for n in SIMILARITIES if n != "mutual_knn"])
def test_images_that_are_all_one_are_refused(name):
    same, other = gram(torch.ones(8, 3)), gram(randn(8, 3))
    for k, l, side in [(same, other, "k"), (other, same, "l")]:  # noqa: E741
        with pytest.raises(
            ValueError, match=f"^{side} is degenerate: all images have the same representation"
        ):
            similarity_from_grams(name, k, l)


@pytest.mark.parametrize("name", ["biased", "debiased"])
def test_the_two_estimators_have_their_names(name):
    k, l = (gram(z) for z in related(24, 5, 7))  # noqa: E741
    expected = cka_from_grams(k, l, debiased=name == "debiased")
    assert float(similarity_from_grams(name, k, l)) == float(expected)
