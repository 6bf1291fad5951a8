"""CKA of a layer with itself up to the logits, against the kernels it is made of."""

import matplotlib as mpl
import numpy as np
import pytest
import torch
import xarray as xr

from invlib import linear_cka, load_model
from invlib.plots.curves import error_curves, standard_error
from papers.goerttler2022.drift import grams_to_logits, layerwise_cka

mpl.use("agg")


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


def test_the_figure_draws_means_errors_and_no_line_for_what_was_not_run():
    values = np.stack([np.zeros((2, 5)), np.full((2, 5), 2.0)])  # (seed, randomness, layer)
    values[:, 1] = np.nan
    coords = dict(seed=[0, 1], randomness=[0, 9], layer=range(1, 6))
    curves = xr.DataArray(values, coords, list(coords))
    curves = curves.assign_coords(layer_name=("layer", list("abcd") + ["logits"]))
    fig = error_curves({"run": {"CKA": curves}}, hue="randomness")
    (ax,) = fig.axes
    (line, *_), (bars,) = ax.lines, ax.containers
    np.testing.assert_allclose(line.get_ydata(), 1.0)
    assert bars.lines[2][0].get_segments()[0][:, 1].tolist() == [0.0, 2.0]  # 1 ± √2/√2
    assert [label.get_text() for label in ax.get_xticklabels()][-1] == "logits"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["0", "9"]


def test_a_single_training_has_no_error():
    one = xr.DataArray([[1.0, 2.0]], dims=("seed", "layer"))
    assert standard_error(one).isnull().all()
