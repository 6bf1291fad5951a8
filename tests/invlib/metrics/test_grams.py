"""Gram matrices: centred without loss of digits, and centred for both estimators."""

import numpy as np
import pytest
import torch

from invlib.metrics import cka, grams
from invlib.metrics.subspaces import numerical_rank
from tests.invlib.metrics.representations import F64, hsic1, randn


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_gram_is_the_centred_product_in_float64(dtype):
    x = randn(7, 3, 4, 5).to(dtype)
    before = x.clone()
    flat = x.double().flatten(1)
    flat = flat - flat.mean(0)
    assert grams.gram(x).dtype == F64
    torch.testing.assert_close(grams.gram(x), flat @ flat.T, rtol=1e-12, atol=1e-12)
    assert torch.equal(x, before)


def test_gram_accumulates_over_many_blocks_and_strides():
    x = randn(900, 1400)  # a block of 1 MiB holds 145 columns of 900 images
    flat = x - x.mean(0)
    torch.testing.assert_close(grams.gram(x), flat @ flat.T, rtol=1e-11, atol=1e-10)
    torch.testing.assert_close(grams.gram(x[::9, ::2]), grams.gram(x[::9, ::2].contiguous()))


def test_gram_keeps_its_digits_under_a_large_common_offset():
    noise = randn(40, 300, dtype=torch.float32)
    x = (1e3 + noise).requires_grad_()
    exact = x.detach().double() - 1e3
    exact = exact - exact.mean(0)
    got = grams.gram(x)
    assert not got.requires_grad
    torch.testing.assert_close(got, exact @ exact.T, rtol=1e-12, atol=1e-12)
    y = randn(40, 300, seed=1)
    for debiased in (False, True):
        plain = cka.linear_cka(exact, y, debiased=debiased)
        assert abs(cka.linear_cka(x, y, debiased=debiased) - plain) < 1e-12


def test_gram_of_images_equal_up_to_rounding_is_zero():
    base = 1e3 * (1 + randn(1, 300, dtype=torch.float32).abs())
    jitter = torch.nextafter(base, torch.tensor(torch.inf)).expand(3, -1)
    assert torch.equal(grams.gram(torch.cat([base, base, jitter])), torch.zeros(5, 5, dtype=F64))
    assert grams.gram(torch.cat([base, 1.0001 * base])).abs().max() > 0


@pytest.mark.parametrize("bad", [torch.ones(3, 4, dtype=torch.int64), torch.ones(0, 4),
                                 torch.ones(3, 0), torch.tensor(1.0)])  # fmt: skip
def test_gram_refuses_what_is_no_representation(bad):
    with pytest.raises(ValueError, match="need floating, non-empty"):
        grams.gram(bad)


def test_center_against_the_definitions_and_batched():
    k = torch.stack([x @ x.T for x in (randn(6, 9), randn(6, 2, seed=1))])
    h = torch.eye(6, dtype=F64) - 1 / 6
    torch.testing.assert_close(grams.center(k), h @ k @ h, rtol=1e-13, atol=1e-13)
    u = grams.center(k, debiased=True)
    assert torch.equal(u.diagonal(dim1=1, dim2=2), torch.zeros(2, 6, dtype=F64))
    assert u.sum(-1).abs().max() < 1e-12
    torch.testing.assert_close((u[0] * u[1]).sum() / 18, hsic1(k[0], k[1]), rtol=1e-12, atol=0)
    with pytest.raises(ValueError, match=r"\(\.\.\., n, n\); got shape \(2, 3\)"):
        grams.center(torch.ones(2, 3))


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (np.zeros((4, 2)), "ndarray"),
        ([[1.0], [2.0]], "list"),
        (None, "NoneType"),
        (torch.eye(4).to_sparse(), "a torch.sparse_coo tensor on cpu"),
        (torch.eye(4, device="meta"), "a torch.strided tensor on meta"),
    ],
)
def test_only_a_dense_tensor_is_a_representation(bad, kind):
    for measure in (cka.linear_cka, lambda x, y: numerical_rank(x)):
        with pytest.raises(TypeError, match=rf"x is {kind}; need a dense tensor \(n, ...\)"):
            measure(bad, bad)
