"""Contenders of the race: each descends, and each has a name."""

import pytest
import torch

from invlib.inversion.invert import invert
from invlib.inversion.rules import OPTIMIZERS
from invlib.models.loading import load_model
from papers.engine.contenders import CONTENDERS
from papers.parameters import RULES


@pytest.mark.parametrize("name", sorted(CONTENDERS))
def test_every_contender_descends_inside_the_cube_row_by_row(name):
    model = load_model("vit_pico_patch8_32", seed=2)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    # 10 steps of η/7 (scaled to 32 px) are short: ask for progress, not for a good inversion
    found = invert(model, images, iterations=10, optimizer=CONTENDERS[name])
    assert (found.best.mean(1) < found.loss[:, 0]).all()
    assert found.images.min() >= 0 and found.images.max() <= 1
    cut = invert(model, images, iterations=10, optimizer=CONTENDERS[name], chunk=1)
    assert torch.equal(cut.images, found.images)


def test_every_rule_has_a_name_and_every_name_a_rule():
    assert set(RULES) == set(OPTIMIZERS) | set(CONTENDERS)
