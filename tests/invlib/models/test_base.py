"""What any network is treated with: batches that batch norm can take."""

import torch

from invlib.models.base import has_batch_norm, split_batches
from invlib.models.zoo import create


def test_a_single_image_joins_the_batch_before_it():
    order = torch.randperm(65)
    alone, together = (split_batches(order, 32, least=least) for least in (1, 2))
    assert [len(batch) for batch in alone] == [32, 32, 1]
    assert [len(batch) for batch in together] == [32, 33]
    assert torch.equal(torch.cat(together), order) and torch.equal(torch.cat(alone), order)
    assert [len(batch) for batch in split_batches(order[:64], 32, least=2)] == [32, 32]
    assert has_batch_norm(create("conv4_w4")) and not has_batch_norm(create("vit_pico_patch8_32"))
