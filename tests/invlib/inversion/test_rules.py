"""Descent rules: one for every recipe's name."""

from functools import partial

import numpy as np
import pytest
import torch

from invlib.inversion import rules
from invlib.inversion.invert import invert
from invlib.inversion.rules import OPTIMIZERS, adam, anytime, fast, fourier, lbfgs, ngd, tv
from invlib.models.loading import load_model
from invlib.names import RECIPES


def test_every_recipe_has_its_rule():
    assert tuple(sorted(OPTIMIZERS)) == RECIPES


@pytest.mark.parametrize("seen", [None, 5])
def test_fast_does_not_notice_how_long_a_gradient_is(seen):
    rng = torch.Generator().manual_seed(0)
    basis = seen and torch.linalg.qr(torch.randn(12, 12, generator=rng))[0][:seen]
    grads = torch.randn(8, 2, 3, 4, 4, generator=rng)
    lengths = 100 ** torch.randn(8, 2, 1, 1, 1, generator=rng)
    ends = []
    for scaled in (grads, grads * lengths):
        x = torch.full(grads.shape[1:], 0.5)
        update = fast(x, 8, 0.05, basis)
        for grad in scaled:
            update(grad)
        ends.append(x)
    assert (ends[0] - 0.5).abs().max() > 0.01
    torch.testing.assert_close(*ends)


def test_lbfgs_solves_a_quadratic_faster_than_the_reference_step():
    scale = torch.logspace(0, 2, 48).view(1, 3, 4, 4)
    ends = {}
    for rule in (lbfgs, ngd):
        x = torch.full((1, 3, 4, 4), 0.9)
        update = rule(x, 25)
        for _ in range(25):
            update(scale * (x - 0.4))
        ends[rule] = float((scale * (x - 0.4).square()).sum())
    assert ends[lbfgs] < 0.05 * ends[ngd]


@pytest.mark.parametrize(("rule", "keeps"), [(lbfgs, True), (ngd, True), (anytime, False)])
def test_sums_of_gradients_keep_what_a_layer_cannot_see_and_adam_does_not(rule, keeps):
    rng = torch.Generator().manual_seed(0)
    seen, _ = torch.linalg.qr(torch.randn(48, 20, generator=rng))
    seen = seen.T  # the layer's rows, orthonormal
    x = 0.5 + 0.02 * torch.randn(1, 3, 4, 4, generator=rng)
    goal = 0.5 + 0.02 * torch.randn(48, generator=rng)
    start = x.clone()
    update = rule(x, 60, 0.02)
    for _ in range(60):
        update(((x.flatten() - goal) @ seen.T @ seen).view_as(x))
    moved = (x - start).flatten()
    unseen = moved - moved @ seen.T @ seen
    assert moved.norm() > 0.05
    assert (unseen.norm() < 1e-4) == keeps, unseen.norm()


def test_priors_make_inversions_smoother():
    def roughness(rule):
        x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))
        update = rule(x, 200)
        for _ in range(200):  # the network sees the mean only
            update((x.mean() - 0.5).expand_as(x).clone())
        assert abs(float(x.mean()) - 0.5) < 0.02
        return float(x.diff(dim=-1).abs().mean())

    assert roughness(tv) < 0.2 * roughness(anytime)
    grad = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    moved = {}
    for rule in (anytime, fourier):
        x = torch.full_like(grad, 0.5)
        rule(x, 1, 0.05)(grad)
        moved[rule] = (x - 0.5).diff(dim=-1).abs().mean() / (x - 0.5).abs().mean()
    assert moved[fourier] < 0.9 * moved[anytime]


def _rule(move):
    def rule(x, iterations, basis=None):
        return lambda grad: move(x)

    return rule


def _without_basis(x, iterations):
    raise AssertionError("it is never called")


def _none(x, iterations, basis=None):
    pass


@pytest.mark.parametrize(
    ("rule", "kind", "said"),
    [
        (_rule(lambda x: x.add_(torch.nan)), ValueError, r"_rule.* moved x to \[nan, nan\]"),
        (_rule(lambda x: x.add_(0.5)), ValueError, r"_rule.* moved x to .*finite and in \[0, 1\]"),
        (_rule(lambda x: x.sub_(2)), ValueError, r"_rule.* moved x to \[-2, "),
        (_none, TypeError, r"_none returned NoneType; a rule returns a function update\(grad\)"),
        (_without_basis, TypeError, r"_without_basis: .*'basis'; a rule is called as rule\(x, "),
    ],
)
def test_a_rule_of_ones_own_that_goes_wrong_is_named(rule, kind, said):
    model, images = load_model("vit_pico_patch8_32"), torch.rand(2, 3, 32, 32)
    with pytest.raises(kind, match=said):
        invert(model, images, optimizer=rule, iterations=3)


def test_a_rule_that_takes_no_step_is_refused_only_with_a_step():
    model, images = load_model("vit_pico_patch8_32"), torch.rand(2, 3, 32, 32)
    rule = _rule(lambda x: x.mul_(0.9))
    assert invert(model, images, optimizer=rule, iterations=2).images.shape[1:] == images.shape
    with pytest.raises(TypeError, match="_rule.*'step'"):
        invert(model, images, optimizer=rule, iterations=2, step=0.1)


def test_rules_of_this_library_are_not_looked_at(monkeypatch):
    monkeypatch.setattr("invlib.inversion.invert.checked", None)  # calling it would fail
    invert(load_model("vit_pico_patch8_32"), torch.rand(2, 3, 32, 32), iterations=1)


# --- trajectories written out ---------------------------------------------------------------------


def literal_adam(grads, step, betas):
    """Kingma & Ba 2015, algorithm 1, with a cosine from `step` to 0: the displacements."""
    m, v, moves = np.zeros_like(grads[0]), np.zeros_like(grads[0]), []
    for t, g in enumerate(grads):
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        rate = step * (1 + np.cos(np.pi * t / len(grads))) / 2
        m_hat, v_hat = m / (1 - betas[0] ** (t + 1)), v / (1 - betas[1] ** (t + 1))
        moves.append(-rate * m_hat / (np.sqrt(v_hat) + 1e-8))
    return moves


def walked(x, moves):
    for move in moves:
        x = np.clip(x + move, 0, 1)
    return x


def unit(grads):
    lengths = np.sqrt((grads.reshape(*grads.shape[:2], -1) ** 2).sum(-1)) + 1e-10
    return grads / lengths.reshape(*lengths.shape, *[1] * (grads.ndim - 2))


@pytest.fixture
def path():
    """A start in [0, 1] (2, 3, 4, 6) and the gradients of seven steps, of all lengths."""
    rng = np.random.default_rng(0)
    lengths = 10.0 ** rng.integers(-3, 3, (7, 2, 1, 1, 1))
    return rng.random((2, 3, 4, 6)), rng.normal(size=(7, 2, 3, 4, 6)) * lengths


def library(rule, path, **options):
    start, grads = path
    x = torch.tensor(start)
    update = rule(x, len(grads), **options)
    for grad in grads:
        update(torch.tensor(grad))
    return x.numpy()


def test_adam_walks_as_written(path):
    start, grads = path
    expected = walked(start, literal_adam(grads, 0.1, (0.9, 0.999)))
    assert (expected == 0).any() and (expected == 1).any()  # the projection is part of it
    np.testing.assert_allclose(library(adam, path), expected, rtol=0, atol=1e-7)


def test_fast_walks_as_written_without_patches(path):
    start, grads = path
    expected = walked(start, literal_adam(unit(grads), 0.2, (0.8, 0.9)))
    np.testing.assert_allclose(library(fast, path), expected, rtol=0, atol=1e-6)


def test_fast_walks_as_written_in_the_coordinates_of_patches(path):
    """Patches of 2×2 pixels, seen through five of their twelve directions."""
    start, grads = path
    basis = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0][:5]
    patches = [(i, j) for i in range(0, 4, 2) for j in range(0, 6, 2)]
    seen = np.array(
        [[[basis @ g[n, :, i : i + 2, j : j + 2].ravel() for i, j in patches] for n in (0, 1)]
         for g in grads]
    )  # fmt: skip
    seen = unit(seen)  # (step, image, patch, direction)
    moves = []
    for direction in literal_adam(seen, 0.4, (0.8, 0.9)):
        move = np.zeros_like(start)
        for n in (0, 1):
            for k, (i, j) in enumerate(patches):
                back = (basis.T @ direction[n, k]).reshape(3, 2, 2)
                move[n, :, i : i + 2, j : j + 2] = back
        moves.append(move)
    found = library(fast, path, basis=torch.tensor(basis))
    np.testing.assert_allclose(found, walked(start, moves), rtol=0, atol=1e-6)


def shrinking(grads, step):
    """Adam's displacements with steps of step / (1 + t / 15), t the steps taken."""
    moves = literal_adam(grads, step, (0.8, 0.9))
    cosine = [(1 + np.cos(np.pi * t / len(grads))) / 2 for t in range(len(grads))]
    return [move / c / (1 + t / 15) for t, (move, c) in enumerate(zip(moves, cosine, strict=True))]


def test_anytime_walks_as_written(path):
    start, grads = path
    expected = walked(start, shrinking(unit(grads), 0.3))
    np.testing.assert_allclose(library(anytime, path), expected, rtol=0, atol=1e-6)


def test_tv_walks_as_written(path):
    """The gradient of the total variation, written out, joins that of the distance."""
    start, grads = path
    x, seen = start, []
    for t, grad in enumerate(grads):
        across = x[..., :-1, 1:] - x[..., :-1, :-1]
        down = x[..., 1:, :-1] - x[..., :-1, :-1]
        length = np.sqrt(across**2 + down**2 + 1e-6)
        rough = np.zeros_like(x)
        rough[..., :-1, 1:] += across / length
        rough[..., 1:, :-1] += down / length
        rough[..., :-1, :-1] -= (across + down) / length
        seen.append(grad + 0.25 * rough / (3 * 3 * 5))  # the mean over channels and pixels
        padded = np.stack(seen + [np.zeros_like(grad)] * (len(grads) - t - 1))
        x = np.clip(x + shrinking(unit(padded), 0.3)[t], 0, 1)
    np.testing.assert_allclose(library(tv, path), x, rtol=0, atol=1e-6)


def test_fourier_walks_as_written(path):
    start, grads = path
    f = np.hypot(np.fft.fftfreq(4)[:, None], np.fft.rfftfreq(6))
    scale = 1 / np.maximum(f, 1 / 6)
    scale /= np.sqrt((scale**2).mean())
    seen = scale * np.fft.rfft2(unit(grads), norm="ortho")
    moves = [
        np.fft.irfft2(scale * (move[..., 0] + 1j * move[..., 1]), s=(4, 6), norm="ortho")
        for move in shrinking(np.stack([seen.real, seen.imag], axis=-1), 0.3)
    ]
    np.testing.assert_allclose(library(fourier, path), walked(start, moves), rtol=0, atol=1e-6)


def literal_lbfgs(x, gradient, steps, step=1.0, memory=8):
    """Nocedal 1980, the two loops for one image; pairs without positive curvature weigh 0."""
    pairs, last = [], None
    for _ in range(steps):
        g = gradient(x)
        if last is not None:
            s, y = x - last[0], g - last[1]
            pairs = [*pairs, (s, y, 1 / (s @ y) if s @ y > 1e-12 else 0.0)][-memory:]
        last, q, alphas = (x, g), g.copy(), []
        for s, y, rho in pairs[::-1]:
            alphas.append(rho * (s @ q))
            q = q - alphas[-1] * y
        if pairs and pairs[-1][2] > 0:
            s, y, _ = pairs[-1]
            q = q * (s @ y) / (y @ y)
        for (s, y, rho), alpha in zip(pairs, alphas[::-1], strict=True):
            q = q + s * (alpha - rho * (y @ q))
        if not (q @ g > 0):
            q = g
        limit = 2.0 if pairs else 0.5
        x = np.clip(x - step * q * limit / max(np.linalg.norm(q), limit), 0, 1)
    return x


@pytest.mark.parametrize("bend", [0.0, 3.0], ids=["convex", "not convex"])
@pytest.mark.parametrize(("steps", "step"), [(2, 1.0), (5, 0.5), (14, 0.7)])
def test_lbfgs_walks_as_written(path, bend, steps, step):
    start = path[0].reshape(2, -1)
    goal = np.linspace(0.2, 0.8, 72)
    scale = np.stack([np.geomspace(0.1, 3, 72), np.geomspace(0.001, 0.02, 72)])  # long and short

    def gradient(x, scale):
        return scale * (x - goal + bend * np.sin(9 * x) / 9)

    rows = zip(start, scale, strict=True)
    expected = [literal_lbfgs(x, lambda z, s=s: gradient(z, s), steps, step) for x, s in rows]
    x = torch.tensor(start).view(2, 3, 4, 6)
    update = lbfgs(x, steps, step)
    for _ in range(steps):
        update(torch.tensor(gradient(x.view(2, -1).numpy(), scale)).view_as(x))
    np.testing.assert_allclose(x.view(2, -1).numpy(), expected, rtol=0, atol=1e-7)


# --- what is at the edges -------------------------------------------------------------------------


def test_a_gradient_of_nearly_nothing_is_a_short_step():
    x = torch.full((1, 3, 2, 2), 0.5, dtype=torch.float64)
    grad = torch.full_like(x, 1e-10 / 12**0.5)  # of length 1e-10
    rules.ngd(x, 1)(grad)
    assert float((0.5 - x).norm()) == pytest.approx(0.25)
    assert float(rules._unit(grad.flatten(1)).norm()) == pytest.approx(0.5)


def test_fast_leaves_the_length_if_it_is_asked_to(path):
    start, grads = path
    expected = walked(start, literal_adam(grads, 0.2, (0.8, 0.9)))
    np.testing.assert_allclose(library(fast, path, unit=False), expected, rtol=0, atol=1e-6)


def test_anytime_and_tv_walk_in_the_coordinates_of_patches_too(path):
    basis = torch.tensor(np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0][:5])
    expected = library(fast, path, basis=basis, step=0.6, schedule=rules._inverse)
    np.testing.assert_array_equal(library(anytime, path, basis=basis), expected)
    np.testing.assert_allclose(library(tv, path, basis=basis, weight=0), expected, atol=1e-12)


def test_fourier_keeps_odd_sides():
    x = torch.full((1, 3, 5, 7), 0.5, dtype=torch.float64)
    rules.fourier(x, 1)(torch.ones_like(x))
    assert float(x.std()) < 1e-6 and float(x.mean()) < 0.45  # a constant stays one


class Own:
    def __call__(self, x, iterations, basis=None):
        return 3


def test_rules_are_named_by_where_they_are():
    assert rules.named(partial(fast, 1, 2, unit=False)) == (
        "invlib.inversion.rules.fast(1, 2, unit=False)"
    )
    assert rules.named(Own()) == f"{__name__}.Own"


def test_a_rule_has_to_take_the_options_that_are_given():
    rules.check_call(Own())
    with pytest.raises(TypeError, match=rf"^optimizer={__name__}\.Own: got an unexpected .*'step'"):
        rules.check_call(Own(), "step")
    with pytest.raises(TypeError, match=r"\.Own returned int; a rule returns a function"):
        rules.checked(Own())(torch.ones(1, 3, 2, 2), 1)


def test_a_rule_is_looked_at_once():
    def jump(x, iterations, basis=None):
        return lambda grad: x.add_(grad)

    x = torch.zeros(1, 3, 2, 2)
    update = rules.checked(jump)(x, 2)
    update(torch.ones_like(x))
    update(torch.ones_like(x))  # it would wait for a GPU at each step
    assert (x == 2).all()
