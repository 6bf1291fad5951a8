"""What any network is treated with: batches that batch norm can take."""

import pytest
import torch
from torch import nn

from invlib.models.base import frozen, split_batches


def test_a_single_image_joins_the_batch_before_it():
    order = torch.randperm(65)
    alone, together = (split_batches(order, 32, least=least) for least in (1, 2))
    assert [len(batch) for batch in alone] == [32, 32, 1]
    assert [len(batch) for batch in together] == [32, 33]
    assert torch.equal(torch.cat(together), order) and torch.equal(torch.cat(alone), order)
    assert [len(batch) for batch in split_batches(order[:64], 32, least=2)] == [32, 32]


@pytest.mark.parametrize("products", ["highest", "high"])
@pytest.mark.parametrize("before", [True, False])
def test_convolutions_are_as_precise_as_products(products, before, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    usual = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(products)
    try:
        with pytest.raises(KeyError), frozen(nn.Identity()):
            assert torch.backends.cudnn.allow_tf32 == (products == "high")
            raise KeyError
    finally:
        torch.set_float32_matmul_precision(usual)
    assert torch.backends.cudnn.allow_tf32 == before
