"""CKA of a layer with itself up to the logits, against the kernels it is made of."""

import numpy as np
import pytest
import torch

from invlib import linear_cka, load_model
from papers.goerttler2022.drift import grams_to_logits, layerwise_cka


@pytest.fixture(scope="module")
def images():
    return torch.rand(9, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("estimator", ["biased", "debiased"])
def test_it_is_cka_of_blocks_and_logits(images, estimator):
    a, b = (load_model("conv4_w8", seed=seed) for seed in (0, 1))
    found = layerwise_cka(a, grams_to_logits(a, images), grams_to_logits(b, images, batch=4))
    with torch.no_grad():
        pairs = [*zip(a.features(images)[1:], b.features(images)[1:], strict=True)]
        pairs.append((a(images), b(images)))
    expected = [linear_cka(x, y, debiased=estimator == "debiased").item() for x, y in pairs]
    np.testing.assert_allclose(found.sel(estimator=estimator), expected, atol=1e-6)
    assert found.layer.values.tolist() == [1, 2, 3, 4, 5] and float(found.depth[-1]) == 1


def test_a_model_in_training_mode_is_measured_in_evaluation_mode_and_left_as_it_was(images):
    model = load_model("conv4_w8")
    expected = grams_to_logits(model, images)
    before = {k: v.clone() for k, v in model.net.state_dict().items()}
    assert torch.equal(grams_to_logits(model.train(), images), expected)
    assert model.training and all(torch.equal(v, before[k]) for k, v in
                                  model.net.state_dict().items())  # fmt: skip


def test_grams_of_another_network_are_refused(images):
    model = load_model("conv4_w8")
    grams = grams_to_logits(model, images)
    with pytest.raises(ValueError, match="trained has 4 layers, reference 5; conv4_w8 has 5"):
        layerwise_cka(model, grams[1:], grams)
