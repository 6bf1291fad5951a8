"""Similarity kernels against closed forms, plain definitions and an independent implementation."""

import ckatorch
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from invlib.metrics import cka, grams, subspaces

F64 = torch.float64
both = pytest.mark.parametrize("debiased", [False, True], ids=["biased", "debiased"])
few = settings(max_examples=15, derandomize=True, deadline=None, database=None)


def randn(*shape, seed=0, dtype=F64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def related(n, d, e, seed=0):
    """Two representations with something in common, and an offset."""
    x = randn(n, d, seed=seed)
    return x + 1, x @ randn(d, e, seed=seed + 1) + 2 * randn(n, e, seed=seed + 2) - 3


def orthogonal(d, seed):
    return torch.linalg.qr(randn(d, d, seed=seed)).Q


def hsic1(k, l):  # noqa: E741
    """Unbiased HSIC of Song et al. (2012), eq. 5, written plainly."""
    n = len(k)
    k, l = k - torch.diag(k.diag()), l - torch.diag(l.diag())  # noqa: E741
    one = torch.ones(n, dtype=F64)
    total = (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2))
    return (torch.trace(k @ l) + total - 2 / (n - 2) * (one @ k @ l @ one)) / (n * (n - 3))


# -- Grams ----------------------------------------------------------------------------------------


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


# -- minibatches -----------------------------------------------------------------------------------


def test_minibatch_cka_with_unequal_batches_is_its_definition():
    x, y = related(31, 6, 40)
    sizes = [4, 10, 17]
    top = kk = ll = 0
    for a, b in zip(x.split(sizes), y.split(sizes), strict=True):
        k, l, n = a @ a.T, b @ b.T, len(a)  # noqa: E741
        top, kk, ll = top + n * hsic1(k, l), kk + n * hsic1(k, k), ll + n * hsic1(l, l)
    got = cka.minibatch_cka(iter(x.split(sizes)), (b for b in y.split(sizes)))
    assert abs(got - top / (kk * ll).sqrt()) < 1e-10


def test_minibatch_cka_of_equal_batches_and_of_one():
    x, y = related(32, 6, 40)
    other = ckatorch.cka_batch(x.view(4, 8, -1), y.view(4, 8, -1))
    assert abs(cka.minibatch_cka(x.split(8), y.split(8)) - other) < 1e-10
    whole = cka.linear_cka(x, y, debiased=True)
    assert abs(cka.minibatch_cka([x], [y]) - whole) < 1e-12


def test_minibatch_cka_refuses():
    x, y = related(12, 3, 3)
    with pytest.raises(ValueError, match="batches_y has only 1 batches"):
        cka.minibatch_cka(x.split(6), [y[:6]])
    with pytest.raises(ValueError, match=r"batches_x\[1\] has 6 images and batches_y\[1\] has 5"):
        cka.minibatch_cka(x.split(6), [y[:6], y[6:11]])
    with pytest.raises(ValueError, match="batch 1 has 3 images"):
        cka.minibatch_cka(x.split([9, 3]), y.split([9, 3]))
    with pytest.raises(ValueError, match="hold no batches"):
        cka.minibatch_cka([], [])
    with pytest.raises(ValueError, match="batches_y is degenerate"):
        cka.minibatch_cka(x.split(6), torch.ones_like(y).split(6))
    y[3, 1] = torch.nan
    with pytest.raises(ValueError, match="batches_y holds non-finite"):
        cka.minibatch_cka(x.split(6), y.split(6))
    constant = x.clone()
    constant[:6] = 1  # one dead batch is no harm
    assert torch.isfinite(cka.minibatch_cka(constant.split(6), x.split(6)))


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
    with pytest.raises(ValueError, match="^x holds non-finite"):
        subspaces.numerical_rank(bad)
    with pytest.raises(ValueError, match="^y holds non-finite"):
        subspaces.subspace_similarity(x, bad, k=1)


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
        with pytest.raises(ValueError, match="x has n=1 images; need at least 2"):
            subspaces.numerical_rank(x)
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


# -- subspaces and rank ---------------------------------------------------------------------------


@pytest.mark.parametrize("n", [12, 60], ids=["n < d", "n > d"])
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


def test_numerical_rank_of_nothing_and_its_bounds():
    assert subspaces.numerical_rank(torch.full((9, 4), 1 / 3)) == 0
    assert subspaces.numerical_rank(randn(9, 500)) == 8  # at most n - 1
    for rtol in (0, 1, -1e-3):
        with pytest.raises(ValueError, match=f"rtol={rtol}"):
            subspaces.numerical_rank(randn(9, 4), rtol=rtol)
