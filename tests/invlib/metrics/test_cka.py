"""CKA against closed forms, plain definitions and an independent implementation."""

import re

import ckatorch
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invlib.metrics import cka, grams
from tests.invlib.metrics.representations import (
    F64,
    hsic1,
    minibatch_cka,
    orthogonal,
    randn,
    related,
)

both = pytest.mark.parametrize("debiased", [False, True], ids=["biased", "debiased"])
few = settings(max_examples=15, derandomize=True, deadline=None, database=None)


# -- linear CKA -----------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("shape", [(9, 4, 3), (9, 40, 30), (40, 5, 60), (30, 7, 11)])
def test_linear_cka_equals_ckatorch(shape, debiased):
    x, y = related(*shape)
    # `method="hsic"` would ignore `unbiased`.
    other = ckatorch.cka_base(x, y, unbiased=debiased, method="fro_norm")
    assert abs(cka.linear_cka(x, y, debiased=debiased) - other) < 1e-10


@pytest.mark.parametrize("shape", [(30, 4, 3), (9, 40, 30)])
def test_linear_cka_equals_the_plain_definitions(shape):
    x, y = related(*shape)
    k, l = x @ x.T, y @ y.T  # noqa: E741
    debiased = hsic1(k, l) / (hsic1(k, k) * hsic1(l, l)).sqrt()
    assert abs(cka.linear_cka(x, y, debiased=True) - debiased) < 1e-10
    x, y = x - x.mean(0), y - y.mean(0)
    biased = (y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm())
    assert abs(cka.linear_cka(x, y) - biased) < 1e-10


def test_closed_form_of_one_feature_is_squared_correlation():
    x, y = related(25, 1, 1)
    r = np.corrcoef(x.ravel(), y.ravel())[0, 1]
    assert abs(cka.linear_cka(x, y) - r**2) < 1e-12
    assert abs(cka.linear_cka(x[:, 0], y[:, 0]) - r**2) < 1e-12  # (n,) is one feature


@both
def test_feature_form_equals_gram_form(debiased):
    xs = [related(60, d, d)[0] for d in (1, 3, 8)]
    ys = [related(60, d, d, seed=5)[1] for d in (2, 6)]
    own = [torch.stack([grams.gram(z) for z in zs]) for zs in (xs, ys)]
    form = cka._feature_form(xs, ys, debiased)
    torch.testing.assert_close(
        form, cka.cka_matrix_from_grams(*own, debiased=debiased), rtol=1e-10, atol=1e-12
    )
    assert torch.equal(cka.cka_matrix(xs, ys, debiased=debiased), form)  # chosen when smaller


@both
def test_form_is_chosen_by_cost(debiased, monkeypatch):
    used = []
    form = cka._feature_form
    monkeypatch.setattr(cka, "_feature_form", lambda *a: used.append(1) or form(*a))
    for d, expected in ((66, 1), (68, 0)):  # 3 d² < 2 n d + n at n = 100
        used.clear()
        x, y = related(100, d, d)
        other = ckatorch.cka_base(x, y, unbiased=debiased)
        assert abs(cka.linear_cka(x, y, debiased=debiased) - other) < 1e-10
        assert len(used) == expected


def test_feature_form_hands_cancellation_to_the_gram_form():
    x = 1e-4 * randn(50, 3)
    x[0] += torch.tensor([1e3, 0, 0], dtype=F64)  # one image outweighs all: HSIC₁ is tiny
    y = randn(50, 3, seed=1)
    assert not torch.isfinite(cka._feature_form([x], [y], True)).any()
    own = grams.gram(x), grams.gram(y)
    expected = cka.cka_matrix_from_grams(*(g[None] for g in own), debiased=True)
    assert torch.equal(cka.linear_cka(x, y, debiased=True), expected[0, 0])


@both
def test_matrix_equals_pairwise_values(debiased):
    base = randn(20, 30)
    xs = [base + i * randn(20, 30, seed=i) for i in range(4)]
    ys = [base[:, :25] + i * randn(20, 25, seed=9 + i) for i in range(3)]
    ks, ls = (torch.stack([grams.gram(z) for z in zs]) for zs in (xs, ys))
    matrix = cka.cka_matrix_from_grams(ks, ls, debiased=debiased)
    pairs = torch.stack([
        torch.stack([cka.cka_from_grams(k, g, debiased=debiased) for g in ls]) for k in ks
    ])  # fmt: skip
    broadcast = cka.cka_from_grams(ks[:, None], ls, debiased=debiased)
    layers = cka.cka_matrix(xs, ys, debiased=debiased)
    for other in (pairs, broadcast, layers):
        torch.testing.assert_close(matrix, other, rtol=0, atol=1e-12)
    stacked = cka.cka_matrix_from_grams(
        torch.stack([ks, ks.flip(0)]), torch.stack([ls, ls]), debiased=debiased
    )
    torch.testing.assert_close(stacked[1], matrix.flip(0), rtol=0, atol=1e-13)
    assert stacked.shape == (2, 4, 3)


@both
@few
@given(st.integers(5, 24), st.integers(1, 30), st.integers(1, 30), st.integers(0, 99),
       st.floats(1e-6, 1e6))  # fmt: skip
def test_invariances(debiased, n, d, e, seed, scale):
    x, y = related(n, d, e, seed)

    def alike(a, b):
        return cka.linear_cka(a, b, debiased=debiased)

    value = alike(x, y)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    same = {
        "symmetry": alike(y, x),
        "orthogonal": alike(x @ orthogonal(d, seed), y @ orthogonal(e, seed + 1)),
        "isotropic scaling": alike(scale * x, -y / scale),
        "translation": alike(x + 10, y - 10),
        "order of images": alike(x[order], y[order]),
        "shape": alike(x[:, :, None], y[:, None]),
    }
    for name, other in same.items():
        assert abs(value - other) < 1e-9, name
    assert abs(alike(x, x) - 1) < 1e-12
    assert abs(alike(x, scale * x @ orthogonal(d, seed)) - 1) < 1e-9
    if not debiased:
        assert -1e-12 < value < 1 + 1e-12


@few
@given(st.integers(0, 50), st.sampled_from([(60, 400), (40, 1200), (80, 160)]))
def test_independent_noise(seed, shape):
    """Biased CKA saturates at sqrt(dx dy / ((dx + n)(dy + n))); debiased CKA stays near 0."""
    n, d = shape
    x, y = randn(n, d, seed=2 * seed), randn(n, d, seed=2 * seed + 1)
    assert abs(cka.linear_cka(x, y) - d / (d + n)) < 0.02
    # HSIC₁ of independent data has sd of about sqrt(2)/n relative to the self terms
    assert abs(cka.linear_cka(x, y, debiased=True)) < 5 * 2**0.5 / n


# -- each image left out ---------------------------------------------------------------------------


def dropped(k, i):
    keep = [j for j in range(k.shape[-1]) if j != i]
    return k[..., keep, :][..., keep]


@both
@pytest.mark.parametrize("shape", [(6, 4, 3), (24, 3, 2), (24, 60, 90), (70, 9, 200)])
def test_leaving_an_image_out_is_dropping_it(shape, debiased):
    x, y = related(*shape)
    k, l = grams.gram(x), grams.gram(y)  # noqa: E741
    values = cka.cka_leave_one_out(k, l, debiased=debiased)
    keep = torch.arange(len(x))
    loop = [cka.linear_cka(x[keep != i], y[keep != i], debiased=debiased) for i in keep]
    torch.testing.assert_close(values, torch.stack(loop), rtol=0, atol=1e-10)
    assert values.std() > 1e-4  # or the test would not see which image it was


@both
def test_leaving_an_image_out_of_batches_that_broadcast(debiased):
    ks = torch.stack([x @ x.T for x in randn(6, 9, 12)]).view(2, 3, 9, 9)  # not centred before
    ls = torch.stack([x @ x.T for x in 3 + randn(3, 9, 4, seed=1)])
    values = cka.cka_leave_one_out(ks, ls, debiased=debiased)
    loop = [cka.cka_from_grams(dropped(ks, i), dropped(ls, i), debiased=debiased) for i in range(9)]
    torch.testing.assert_close(values, torch.stack(loop, dim=-1), rtol=0, atol=1e-10)
    same = cka.cka_leave_one_out(ks, ks, debiased=debiased)
    torch.testing.assert_close(same, torch.ones_like(same), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("debiased", "least"), [(False, 3), (True, 5)])
def test_fewest_images_to_leave_one_out(debiased, least):
    k, l = grams.gram(randn(least, 7)), grams.gram(randn(least, 7, seed=1))  # noqa: E741
    expected = [
        cka.cka_from_grams(dropped(k, i), dropped(l, i), debiased=debiased) for i in range(least)
    ]
    values = cka.cka_leave_one_out(k, l, debiased=debiased)
    torch.testing.assert_close(values, torch.stack(expected), rtol=0, atol=1e-10)
    with pytest.raises(ValueError, match=f"n={least - 1} images; to leave one out .* {least}"):
        cka.cka_leave_one_out(dropped(k, 0), dropped(l, 0), debiased=debiased)


@both
def test_an_image_that_is_all_there_is_cannot_be_left_out(debiased):
    x, y = related(12, 5, 5)
    x = x[:1].repeat(12, 1)
    x[3] += 1
    x[7] += 1e-3 * debiased  # debiased CKA needs two that differ from the rest
    values = cka.cka_leave_one_out(grams.gram(x), grams.gram(y), debiased=debiased)
    undefined = [3, 7] if debiased else [3]
    assert values.isnan().nonzero().ravel().tolist() == undefined
    for i in (0, 11):
        keep = torch.arange(12) != i
        assert abs(values[i] - cka.linear_cka(x[keep], y[keep], debiased=debiased)) < 1e-6


@both
def test_leaving_out_refuses_what_is_undefined_with_all_images(debiased):
    k = torch.stack([grams.gram(randn(8, 20, seed=i)) for i in range(3)])
    with pytest.raises(ValueError, match="k has 8 images and l has 7"):
        cka.cka_leave_one_out(k, dropped(k, 0), debiased=debiased)
    bad = k.clone()
    bad[1] = 5
    with pytest.raises(ValueError, match=r"^l\[1\] is degenerate"):
        cka.cka_leave_one_out(k, bad, debiased=debiased)
    bad[1, 2, 2] = bad[1, 2, 3] = torch.nan
    with pytest.raises(ValueError, match=r"^k\[1\] holds non-finite"):
        cka.cka_leave_one_out(bad, k, debiased=debiased)


# -- minibatches ----------------------------------------------------------------------------------


def test_minibatch_cka_with_unequal_batches_is_its_definition():
    x, y = related(31, 6, 40)
    sizes = [4, 10, 17]
    top = kk = ll = 0
    for a, b in zip(x.split(sizes), y.split(sizes), strict=True):
        k, l, n = a @ a.T, b @ b.T, len(a)  # noqa: E741
        top, kk, ll = top + n * hsic1(k, l), kk + n * hsic1(k, k), ll + n * hsic1(l, l)
    got = minibatch_cka(iter(x.split(sizes)), (b for b in y.split(sizes)))
    assert abs(got - top / (kk * ll).sqrt()) < 1e-10


def test_minibatch_cka_of_equal_batches_and_of_one():
    x, y = related(32, 6, 40)
    other = ckatorch.cka_batch(x.view(4, 8, -1), y.view(4, 8, -1))
    assert abs(minibatch_cka(x.split(8), y.split(8)) - other) < 1e-10
    whole = cka.linear_cka(x, y, debiased=True)
    assert abs(minibatch_cka([x], [y]) - whole) < 1e-12


def test_minibatch_cka_refuses():
    x, y = related(12, 3, 3)
    with pytest.raises(ValueError, match=r"ks\[1\] has 6 images and ls\[1\] has 5"):
        minibatch_cka(x.split(6), [y[:6], y[6:11]])
    with pytest.raises(ValueError, match="batch 1 has 3 images"):
        minibatch_cka(x.split([9, 3]), y.split([9, 3]))
    with pytest.raises(ValueError, match="hold no batches"):
        minibatch_cka([], [])
    with pytest.raises(ValueError, match="ls is degenerate"):
        minibatch_cka(x.split(6), torch.ones_like(y).split(6))
    y[3, 1] = torch.nan
    with pytest.raises(ValueError, match="ls holds non-finite"):
        minibatch_cka(x.split(6), y.split(6))
    constant = x.clone()
    constant[:6] = 1  # one dead batch is no harm
    assert torch.isfinite(minibatch_cka(constant.split(6), x.split(6)))


def test_minibatch_cka_names_the_side_and_the_layer_it_refuses():
    ks = torch.stack([grams.gram(randn(6, 20, seed=i)) for i in range(3)])
    bad = ks.clone()
    bad[1] = 5  # constant, as a Gram from elsewhere
    for sides, name in [((bad, ks), "ks"), ((ks, bad), "ls")]:
        with pytest.raises(ValueError, match=rf"^{name}\[1\] is degenerate: too few images differ"):
            cka.minibatch_cka_from_grams([sides] * 2)
    with pytest.raises(ValueError, match="^ks and ls hold no batches$"):
        cka.minibatch_cka_from_grams([])
    with pytest.raises(ValueError, match="^left and right hold no batches$"):
        cka.minibatch_cka_from_grams([], names=("left", "right"))


def test_minibatch_cka_tells_small_variation_from_rounding():
    ks, ls = (torch.stack([grams.gram(randn(8, 5, seed=s + i)) for i in (0, 1)]) for s in (0, 5))
    expected = cka.minibatch_cka_from_grams([(ks, ls)])
    got = cka.minibatch_cka_from_grams([(1e8 + ks, ls)])
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match=r"^ls\[0\] is degenerate"):
        cka.minibatch_cka_from_grams([(ks, 1e8 * (1 + 1e-14 * ls))])


# -- degenerate input -----------------------------------------------------------------------------


@both
@pytest.mark.parametrize("d", [2, 50], ids=["feature form", "Gram form"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_representation_is_refused(d, dtype, debiased):
    x = randn(20, d, dtype=dtype)
    constant = (torch.randn(1, d, dtype=dtype) / 3).expand(20, -1)
    with pytest.raises(ValueError, match="^y is degenerate: all images have the same"):
        cka.linear_cka(x, constant, debiased=debiased)
    with pytest.raises(ValueError, match=r"^xs\[2\] is degenerate: all images have the same"):
        cka.cka_matrix([x, 2 * x, constant], [x], debiased=debiased)


@both
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("d", [2, 50], ids=["feature form", "Gram form"])
def test_non_finite_values_are_refused(d, value, debiased):
    x = randn(20, d)
    bad = x.clone()
    bad[3, 1] = value
    with pytest.raises(ValueError, match="^x holds non-finite"):
        cka.linear_cka(bad, x, debiased=debiased)
    with pytest.raises(ValueError, match=r"^ys\[1\] holds non-finite"):
        cka.cka_matrix([x], [x, bad], debiased=debiased)


@both
def test_index_of_the_degenerate_gram_is_named(debiased):
    ks = torch.stack([grams.gram(randn(8, 20, seed=i)) for i in range(6)]).view(2, 3, 8, 8)
    ks[1, 2] = 5  # constant, as a Gram from elsewhere
    for call in (cka.cka_from_grams, cka.cka_matrix_from_grams):
        with pytest.raises(ValueError, match=r"s?\[1, 2\] is degenerate"):
            call(ks, ks[:1], debiased=debiased)
    ks[1, 2, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"\[1, 2\] holds non-finite"):
        cka.cka_matrix_from_grams(ks[:1], ks, debiased=debiased)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_too_few_images(n):
    x, y = randn(4, 7)[:n], randn(4, 7, seed=1)[:n]
    with pytest.raises(ValueError, match=f"n={n} images; the debiased .* at least 4"):
        cka.linear_cka(x, y, debiased=True)
    if n == 1:
        with pytest.raises(ValueError, match="n=1 images; the biased estimator needs at least 2"):
            cka.linear_cka(x, y)
    else:
        assert torch.isfinite(cka.linear_cka(x, y))


@both
def test_different_images_are_refused(debiased):
    x = randn(8, 5)
    with pytest.raises(ValueError, match="x has 8 images and y has 7"):
        cka.linear_cka(x, x[:7], debiased=debiased)
    with pytest.raises(ValueError, match=r"xs has 8 images and ys\[1\] has 7"):
        cka.cka_matrix([x, x], [x, x[:7]], debiased=debiased)
    with pytest.raises(ValueError, match="ks has 8 images and ls has 7"):
        cka.cka_matrix_from_grams(grams.gram(x)[None], grams.gram(x[:7])[None], debiased=debiased)
    with pytest.raises(ValueError, match="xs has 1 layers and ys 0"):
        cka.cka_matrix([x], [], debiased=debiased)


@both
@pytest.mark.parametrize("d", [3, 40], ids=["feature form", "Gram form"])
def test_duplicate_images_where_cka_is_defined(d, debiased):
    x, y = related(20, d, d)
    x, y = (z[torch.arange(20) // 2] for z in (x, y))  # every image twice
    other = ckatorch.cka_base(x, y, unbiased=debiased)
    assert abs(cka.linear_cka(x, y, debiased=debiased) - other) < 1e-10


@pytest.mark.parametrize("d", [3, 40], ids=["feature form", "Gram form"])
def test_all_images_but_one_equal(d):
    x, y = related(20, d, d)
    x = torch.cat([x[:1], x[1:2].expand(19, -1)])
    assert 0 < cka.linear_cka(x, y) < 1  # biased: one bit of information is still something
    with pytest.raises(ValueError, match="^x is degenerate: too few images differ"):
        cka.linear_cka(x, y, debiased=True)


def test_one_array_of_features_is_no_list_of_layers():
    x = torch.rand(8, 3)
    for xs, ys, name in ((x, [x], "xs"), ([x], x.numpy(), "ys")):
        said = f"{name} is one array of features; pass a list of layers (n, …)"
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
            cka.cka_matrix(xs, ys)
    assert cka.cka_matrix(x[None], [x]).shape == (1, 1)
