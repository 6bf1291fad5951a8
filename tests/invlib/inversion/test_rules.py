"""Descent rules: one for every recipe's name."""

import pytest
import torch

from invlib.inversion.rules import OPTIMIZERS, fast
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
