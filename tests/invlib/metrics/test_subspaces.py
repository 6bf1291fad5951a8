"""Principal directions and numerical rank, against singular values of NumPy."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invlib.metrics import subspaces
from tests.invlib.metrics.representations import F64, orthogonal, randn, related

few = settings(max_examples=15, derandomize=True, deadline=None, database=None)


@pytest.mark.parametrize("n", [12, 25, 60], ids=["n < d", "n = d", "n > d"])
@pytest.mark.parametrize("k", [1, 4, 10])
def test_subspace_similarity_equals_numpy_svd(n, k):
    x, y = related(n, 25, 25)
    v, u = (np.linalg.svd((z - z.mean(0)).numpy())[2][:k].T for z in (x, y))
    expected = np.linalg.norm(v.T @ u) ** 2 / k
    assert abs(subspaces.subspace_similarity(x, y, k=k) - expected) < 1e-10
    got = subspaces.principal_directions(x, k)
    torch.testing.assert_close(got.T @ got, torch.eye(k, dtype=F64), rtol=0, atol=1e-12)
    np.testing.assert_allclose(abs((got.numpy() * v).sum(0)), 1, atol=1e-10)  # also their order


@few
@given(st.integers(6, 30), st.integers(1, 4), st.integers(0, 99))
def test_subspace_similarity_invariances(n, k, seed):
    x, y = related(n, 15, 15, seed)
    value = subspaces.subspace_similarity(x, y, k=k)
    q = orthogonal(15, seed)
    assert -1e-12 < value < 1 + 1e-12
    assert abs(subspaces.subspace_similarity(y, x, k=k) - value) < 1e-9
    assert abs(subspaces.subspace_similarity(-3 * x + 4, 0.1 * y.flip(0), k=k) - value) < 1e-9
    assert abs(subspaces.subspace_similarity(x @ q, y @ q, k=k) - value) < 1e-9
    assert abs(subspaces.subspace_similarity(x, x, k=k) - 1) < 1e-10
    v, u = subspaces.principal_directions(x, k), subspaces.principal_directions(y, k)
    turned = v @ orthogonal(k, seed)  # another basis of the same subspace
    assert abs(subspaces.subspace_from_directions(-turned, u) - value) < 1e-9


def test_subspace_similarity_at_chance_and_with_different_n():
    values = [
        subspaces.subspace_similarity(randn(30, 80, seed=s), randn(25, 80, seed=99 + s), k=8)
        for s in range(20)
    ]
    assert abs(torch.stack(values).mean() - 8 / 80) < 0.01


def test_subspace_from_directions_broadcasts():
    vs = torch.stack([subspaces.principal_directions(randn(9, 20, seed=s), 3) for s in range(4)])
    got = subspaces.subspace_from_directions(vs[:, None], vs[:2])
    assert got.shape == (4, 2)
    assert abs(got[3, 1] - subspaces.subspace_from_directions(vs[3], vs[1])) < 1e-14
    with pytest.raises(ValueError, match="differ in"):
        subspaces.subspace_from_directions(vs[0], vs[0][:, :2])


@pytest.mark.parametrize("n", [12, 60], ids=["n < d", "n > d"])
def test_subspace_similarity_refuses_more_directions_than_the_rank(n):
    full, low = randn(n, 25), randn(n, 3) @ randn(3, 25, seed=1) + 7
    assert subspaces.subspace_similarity(full, low, k=3) > 0
    with pytest.raises(ValueError, match=r"k=4 is not in 1\.\.3: centred, y has rank 3"):
        subspaces.subspace_similarity(full, low, k=4)
    with pytest.raises(ValueError, match=f"x has rank {min(n - 1, 25)}"):
        subspaces.principal_directions(full, 26)
    with pytest.raises(ValueError, match="k=0 is not in"):
        subspaces.principal_directions(full, 0)
    with pytest.raises(ValueError, match="has rank 0"):
        subspaces.principal_directions(torch.ones(n, 25), 1)
    with pytest.raises(ValueError, match="x has 25 features and y 24"):
        subspaces.subspace_similarity(full, full[:, :24], k=1)


@pytest.mark.parametrize("shape", [(40, 15), (15, 40)], ids=["n > d", "n < d"])
def test_numerical_rank_is_of_the_covariance(shape):
    spectrum = torch.logspace(0, -4, 14, dtype=F64)  # singular values of the centred data
    u = torch.linalg.qr(torch.cat([torch.ones(shape[0], 1), randn(shape[0], 14)], 1)).Q[:, 1:]
    x = 100 * (u * spectrum) @ orthogonal(shape[1], 2)[:14] + 5
    for rtol in (1e-2, 1e-3, 1e-5):
        rank = subspaces.numerical_rank(x, rtol=rtol)
        assert rank == np.sum(np.linalg.svd(np.cov(x.T.numpy()))[1] > rtol * 100**2 / (len(x) - 1))
        assert rank == (spectrum**2 > rtol).sum()
    assert rank.dtype == torch.int64 and rank.shape == ()
    assert subspaces.numerical_rank(x.float()) == subspaces.numerical_rank(x)


def test_the_threshold_of_a_rank_has_double_precision():
    a = 0.1000000007**0.5  # a² lies between 0.1 and the nearest float32
    x = torch.tensor([[1, 0], [-1, 0], [0, a], [0, -a]], dtype=F64)
    assert subspaces.numerical_rank(x, rtol=0.1) == 2
    assert subspaces.numerical_rank(x, rtol=0.1000000015) == 1


def test_numerical_rank_of_nothing_and_its_bounds():
    assert subspaces.numerical_rank(torch.full((9, 4), 1 / 3)) == 0
    assert subspaces.numerical_rank(randn(9, 500)) == 8  # at most n - 1
    assert subspaces.numerical_rank(randn(9, 4), rtol=1e-12) == 4
    for rtol in (0, 1, -1e-3):
        with pytest.raises(ValueError, match=f"rtol={rtol}"):
            subspaces.numerical_rank(randn(9, 4), rtol=rtol)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_non_finite_values_are_refused(value):
    x = randn(20, 50)
    bad = x.clone()
    bad[3, 1] = value
    with pytest.raises(ValueError, match="^x holds non-finite"):
        subspaces.numerical_rank(bad)
    with pytest.raises(ValueError, match="^y holds non-finite"):
        subspaces.subspace_similarity(x, bad, k=1)


def test_one_image_has_no_rank():
    with pytest.raises(ValueError, match="x has n=1 images; need at least 2"):
        subspaces.numerical_rank(randn(1, 7))


X = torch.eye(4)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: subspaces.subspace_similarity(X, X[:, :3], k=1),
         "x has 4 features and y 3; need the same"),
        (lambda: subspaces.subspace_similarity(X, X.long(), k=1),
         "y is torch.int64 (4, 4); need floating, non-empty (n, ...)"),
        (lambda: subspaces.subspace_similarity(X[:1], X, k=1), "x has n=1 images; need at least 2"),
        (lambda: subspaces.subspace_similarity(X, X[:1], k=1), "y has n=1 images; need at least 2"),
        (lambda: subspaces.subspace_similarity(X, X * torch.inf, k=1),
         "y holds non-finite values"),
        (lambda: subspaces.principal_directions(X, 4), "k=4 is not in 1..3: centred, x has rank 3"),
        (lambda: subspaces.subspace_from_directions(X, X[:, :2]),
         "directions differ in (d, k): (4, 4) and (4, 2)"),
        (lambda: subspaces.numerical_rank(X, rtol=[0.1, 1.0]), "rtol=1.0 is not in [1e-12, 1)"),
        (lambda: subspaces.numerical_rank(X[:1]), "x has n=1 images; need at least 2"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_wrong_with_which_side(call, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        call()


def test_two_images_have_one_direction():
    x = torch.tensor([[0.0, 0.0, 1.0], [0.0, 2.0, 1.0]])
    assert subspaces.numerical_rank(x) == 1
    expected = torch.tensor([[0], [1], [0]], dtype=F64)
    torch.testing.assert_close(subspaces.principal_directions(x, 1).abs(), expected)


def test_rounding_beside_a_single_direction_is_no_rank():
    x = randn(12, 1) @ randn(1, 25, seed=1)
    with pytest.raises(ValueError, match=r"^k=2 is not in 1\.\.1: centred, x has rank 1$"):
        subspaces.principal_directions(x, 2)


def test_features_of_several_blocks_have_one_scatter():
    x = randn(400, 2) @ randn(2, 380, seed=1)  # a block of 1 MiB holds 327 columns
    assert subspaces.numerical_rank(x) == 2
