"""Gram matrices: centred without loss of digits, and centred for both estimators."""

import re

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


def test_columns_are_converted_in_blocks_of_limited_size():
    def widths(x):
        return [block.shape[1] for block in grams.centred_blocks(x)]

    assert widths(torch.ones(1024, 300)) == [128, 128, 44]  # 1 MiB of float64
    assert widths(torch.ones(2**18, 2)) == [1, 1]  # a column is the least
    asked = []

    class OnGPU:
        device = torch.device("cuda")

        def __len__(self):
            return 2**14

        def split(self, width, dim):
            asked.append((width, dim))
            return []

    assert widths(OnGPU()) == [] and asked == [(512, 1)]  # 64 MiB


@pytest.mark.parametrize(
    ("dtype", "eps"), [(torch.float64, 2**-52), (torch.float32, 2**-23), (torch.float16, 2**-23)]
)
def test_variation_is_more_than_four_roundings_of_each_image(dtype, eps):
    x = torch.ones(3, 4, dtype=dtype)  # each of norm 2
    least = torch.tensor(3 * (4 * eps * 2) ** 2, dtype=F64)
    more = torch.nextafter(least, torch.tensor(1.0, dtype=F64))
    assert not grams.varies(x, least) and grams.varies(x, more)
    assert grams.varies(x, torch.tensor(torch.nan))  # CKA refuses it later


FLAT, VARIED = torch.ones(4, 4), 2 * torch.eye(4)
NAN, ONE = torch.tensor(torch.nan), torch.tensor(1.0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: grams.gram(torch.ones(3, 4, dtype=torch.int64)),
         "x is torch.int64 (3, 4); need floating, non-empty (n, ...)"),
        (lambda: cka.linear_cka(torch.ones(3, 4), torch.ones(3, 0)),
         "y is torch.float32 (3, 0); need floating, non-empty (n, ...)"),
        (lambda: grams.center(torch.ones(2, 3)),
         "a Gram matrix is (..., n, n); got shape (2, 3)"),
        (lambda: grams.center(torch.ones(3)), "a Gram matrix is (..., n, n); got shape (3,)"),
        (lambda: grams.center(torch.eye(1)), "n=1 images; the biased estimator needs at least 2"),
        (lambda: grams.center(torch.eye(3), debiased=True),
         "n=3 images; the debiased estimator needs at least 4"),
        (lambda: cka.cka_from_grams(torch.eye(8), torch.eye(7)),
         "k has 8 images and l has 7; CKA compares the same images"),
        (lambda: grams.refuse_undefined(NAN, k=(ONE, VARIED), l=(NAN, VARIED * torch.nan)),
         "l holds non-finite values; CKA is undefined"),
        (lambda: grams.refuse_undefined(NAN, k=(NAN, FLAT), l=(ONE, VARIED)),
         "k is degenerate: all images have the same representation; CKA is undefined"),
        (lambda: grams.refuse_undefined(NAN, debiased=True, k=(NAN, FLAT), l=(ONE, VARIED)),
         "k is degenerate: too few images differ (all but one the same, say) for the debiased "
         "estimator; CKA is undefined"),
        (lambda: grams.refuse_undefined(NAN, debiased=True, k=(NAN, 0 * FLAT), l=(ONE, VARIED)),
         "k is degenerate: all images have the same representation; CKA is undefined"),
        (lambda: grams.refuse_undefined(NAN, k=(ONE, VARIED), l=(ONE, VARIED)),
         "values of k, l are too large or too small for float64"),
        (lambda: cka.cka_leave_one_out(torch.eye(2), torch.eye(2)),
         "n=2 images; to leave one out the biased estimator needs 3"),
        (lambda: cka.cka_leave_one_out(torch.eye(4), torch.eye(4), debiased=True),
         "n=4 images; to leave one out the debiased estimator needs 5"),
        (lambda: cka.cka_matrix([], [torch.ones(3, 4)]), "xs has 0 layers and ys 1; need some"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_wrong_with_which_side(call, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        call()
