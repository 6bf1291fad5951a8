"""Descent rules: one for every recipe's name."""

import pytest
import torch

from invlib.inversion.invert import invert
from invlib.inversion.rules import OPTIMIZERS, fast
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
