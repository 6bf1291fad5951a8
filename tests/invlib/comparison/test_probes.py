"""Linear probes: against brute force, what they cannot know, and the schema of the result."""

import json

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from invlib.comparison.probes import linear_probe, pooled, probe_layers
from invlib.data.images import load_images
from invlib.metrics.subspaces import numerical_rank
from invlib.models.loading import load_model
from invlib.results.validation import conform, validate

RNG = np.random.default_rng(0)


def blobs(n, d=20, classes=4, spread=1.5):
    centres = np.random.default_rng(7).normal(size=(classes, d))
    labels = np.arange(n) % classes
    return centres[labels] + spread * RNG.normal(size=(n, d)), labels


@pytest.fixture(scope="module")
def digits():
    return load_images("digits", "train", n=200), load_images("digits", "test", n=100)


@pytest.fixture(scope="module")
def model():
    return load_model("vit_pico_patch8_32")


# --- the probe -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "d", "spread"), [(40, 10, 1.5), (24, 60, 8.0)])
def test_the_regularisation_has_the_smallest_leave_one_out_error(n, d, spread):
    x, y = blobs(n, d, spread=spread)
    strengths = [1e-2, 1.0, 30.0, 1e3, 1e9]
    test = blobs(200, d, spread=spread)
    accuracy, chosen = linear_probe(x, y, *test, strengths=strengths)

    scaler = StandardScaler().fit(x)
    z, targets = scaler.transform(x), np.where(y[:, None] == np.arange(4), 1.0, -1.0)
    errors = []
    for alpha in strengths:
        error = 0.0
        for k in range(n):
            rest = np.arange(n) != k
            fit = Ridge(alpha=alpha).fit(z[rest], targets[rest])
            error += ((fit.predict(z[k : k + 1]) - targets[k]) ** 2).sum()
        errors.append(error)
    assert chosen == strengths[int(np.argmin(errors))] and 0 < np.argmin(errors) < 4
    fit = Ridge(alpha=chosen).fit(z, targets)
    assert accuracy == (fit.predict(scaler.transform(test[0])).argmax(1) == test[1]).mean()


def test_labels_that_the_features_do_not_know_are_guessed():
    x, _ = blobs(400)
    y = RNG.integers(0, 4, 400)
    accuracy, regularisation = linear_probe(x[:200], y[:200], x[200:], y[200:])
    assert 0.12 < accuracy < 0.38 and regularisation > 100
    x[:, 3] += 10 * y  # one feature tells
    assert linear_probe(x[:200], y[:200], x[200:], y[200:])[0] > 0.6


def test_scale_and_offset_of_a_feature_do_not_matter_nor_does_a_constant_one():
    (x, y), (x_test, y_test) = blobs(100), blobs(100)
    scale, offset = 10.0 ** RNG.uniform(-3, 3, 20), RNG.normal(size=20)
    before = linear_probe(x, y, x_test, y_test)
    after = linear_probe(x * scale + offset, y, x_test * scale + offset, y_test)
    assert before == pytest.approx(after)
    constant = [np.concatenate([a, np.ones((100, 1))], axis=1) for a in (x, x_test)]
    assert linear_probe(constant[0], y, constant[1], y_test) == pytest.approx(before)


def test_tensors_and_arrays_are_the_same_and_class_numbers_need_not_be_consecutive():
    (x, y), (x_test, y_test) = blobs(60), blobs(60)
    tensors = map(torch.as_tensor, (x, y, x_test, y_test))
    before = linear_probe(x, y, x_test, y_test)
    assert linear_probe(*tensors) == before
    assert linear_probe(x, 7 * y, x_test, 7 * y_test) == before


def test_positions_are_pooled_as_asked():
    maps, tokens = torch.rand(5, 6, 8, 8), torch.rand(5, 9, 6)
    assert torch.allclose(pooled(maps), maps.mean((2, 3)))
    assert torch.allclose(pooled(tokens), tokens.mean(1))
    cells = maps.view(5, 6, 4, 2, 4, 2).mean((3, 5)).flatten(1)
    assert torch.allclose(pooled(maps, "grid"), cells)
    assert torch.equal(pooled(maps, "none"), maps.flatten(1))
    assert torch.equal(pooled(cells), cells)
    with pytest.raises(ValueError, match="pool='grid' is for maps"):
        pooled(tokens, "grid")
    with pytest.raises(ValueError, match="did you mean 'mean'"):
        pooled(maps, "meen")
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        pooled(torch.rand(3))
    # Where a thing is, the mean over positions cannot say.
    x, y = torch.zeros(80, 1, 8, 8), np.arange(80) % 2
    x[np.arange(80), 0, np.arange(80) % 3, 4 * y] = 1
    scores = {
        pool: linear_probe(x[:40], y[:40], x[40:], y[40:], pool=pool)[0]
        for pool in ("mean", "grid")
    }
    assert scores["grid"] == 1 and scores["mean"] <= 0.6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train_labels": np.zeros(40, int)}, r"train_labels hold one class, \[0\]"),
        ({"test_labels": np.full(40, 8)}, r"test_labels hold the classes \[8\], of which"),
        ({"train_labels": np.zeros(3, int)}, r"train_labels have shape \(3,\), but .* 40 images"),
        ({"test_features": np.ones((40, 3))}, "train has 20 features and test 3"),
        ({"train_features": np.full((40, 20), np.nan)}, "train_features hold non-finite values"),
        ({"test_features": np.full((40, 20), np.inf)}, "test_features hold non-finite values"),
        (
            {"train_features": np.ones((0, 20)), "train_labels": np.ones(0, int)},
            "train_features hold no images",
        ),
    ],
)
def test_what_cannot_be_probed_is_refused_by_name(change, said):
    x, y = blobs(40)
    fields = dict(train_features=x, train_labels=y, test_features=x, test_labels=y) | change
    with pytest.raises(ValueError, match=said):
        linear_probe(**fields)


# --- all layers ----------------------------------------------------------------------------------


def test_layers_are_probed_one_by_one_and_the_result_follows_the_schema(model, digits):
    train, test = digits
    ds = probe_layers(model, train, test, layers=[0, 2], batch=64)
    validate(conform(ds))
    assert list(ds.layer) == [0, 2] and list(ds.rtol) == [1e-4, 1e-3, 1e-2]
    with torch.no_grad():
        for k in (0, 2):
            a, b = (model.prefix(images.tensor(32), k) for images in digits)
            row = ds.sel(layer=k)
            accuracy, regularisation = linear_probe(a, train.labels, b, test.labels)
            assert abs(row.probe_accuracy - accuracy) <= 0.011  # rounding may move one image
            assert float(row.probe_regularisation) == regularisation
            for rtol in (1e-4, 1e-3, 1e-2):
                rank = int(numerical_rank(b, rtol=rtol))
                assert abs(int(row.numerical_rank.sel(rtol=rtol)) - rank) <= 1
            assert int(row.num_features) == b[0].numel()
    assert (ds.numerical_rank.diff("rtol") <= 0).all() and ds.numerical_rank.max() <= 99
    said = json.loads(ds.attrs["parameters"])
    assert said["test"]["n"] == 100 and said["train"]["fingerprint"] == train.fingerprint


def test_a_model_is_left_as_it_was(digits):
    model = load_model("vit_pico_patch8_32").train()
    probe_layers(model, *digits, layers=[0])
    assert model.training and all(p.requires_grad for p in model.parameters())


def test_a_collapsed_layer_is_at_chance_and_of_low_rank(digits):
    model = load_model("vit_pico_patch8_32")
    with torch.no_grad():  # from block 1 on a single direction of the token space is left
        model.net.pos_embed.zero_()
        model.net.patch_embed.proj.weight[1:] = 0
        model.net.patch_embed.proj.bias.zero_()
    ds = probe_layers(model, *digits, layers=[0])
    whole = probe_layers(load_model("vit_pico_patch8_32"), *digits, layers=[0])
    assert int(ds.numerical_rank.max()) <= 16 < int(whole.numerical_rank.max())
    assert float(ds.probe_accuracy[0]) < float(whole.probe_accuracy[0]) - 0.2


def test_errors_name_the_layer_and_the_images(digits, model):
    train, test = digits
    with pytest.raises(ValueError, match="train has 5 images of 10 classes"):
        probe_layers(model, train.subset(range(5)), test)
    with pytest.raises(
        ValueError, match=r"layer 0 \(.*\) of vit_pico.*: train_labels hold one class"
    ):
        probe_layers(model, train.subset(train.labels == 3), test.subset(test.labels == 3))
    with pytest.raises(ValueError, match="do not have the same classes"):
        probe_layers(model, train, load_images("shapes", "test", n=30))
    broken = load_model("vit_pico_patch8_32")
    with torch.no_grad():
        broken.net.blocks[1].mlp.fc2.bias[0] = np.nan
    name = broken.layer_names[2]
    with pytest.raises(ValueError, match=rf"layer 2 \({name}\) of .* non-finite"):
        probe_layers(broken, train, test)


def test_models_in_half_precision_are_probed_and_other_things_refused():
    train, test = load_images("digits", "train", n=40), load_images("digits", "test", n=30)
    model = load_model("vit_pico_patch8_32")
    whole = probe_layers(model, train, test, rtol=[1e-2])
    half = probe_layers(model.bfloat16(), train, test, rtol=[1e-2])
    assert abs(half.probe_accuracy - whole.probe_accuracy).max() <= 0.2
    with pytest.raises(TypeError, match="model is of type Linear; expected a model from"):
        probe_layers(torch.nn.Linear(2, 2), train, test)
