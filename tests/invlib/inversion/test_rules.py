"""Descent rules: one for every recipe's name."""

import pytest
import torch

from invlib.inversion.invert import invert
from invlib.inversion.rules import OPTIMIZERS, anytime, fast, fourier, lbfgs, ngd, tv
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
