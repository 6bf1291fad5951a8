"""Comparisons of two different networks, of other representations, precisions and sizes of sets."""

import json

import numpy as np
import pytest
import torch

from invlib.comparison.compare import compare
from invlib.data.images import ImageSet, bicubic, load_images
from invlib.inversion.invert import invert, start_images
from invlib.metrics.cka import linear_cka
from invlib.metrics.invariance import diagonal, learning
from invlib.models.loading import load_model
from invlib.models.tokens import check_tokens, represent
from invlib.results.netcdf import open_results, save_results
from invlib.results.validation import ResultError, conform, validate
from tests.invlib.metrics.representations import minibatch_cka

NEAR = 0.47  # some images arrive within three steps
QUICK = dict(n=6, iterations=3, optimizer="fast", subspace_k=3, cache=False, seeds=[0])


@pytest.fixture(scope="module")
def pool():
    return load_images("digits", "test", n=20)


@pytest.fixture(scope="module")
def models():
    return {"pt": load_model("vit_pico_patch8_32", seed=0), "ft": load_model("conv4_w8", seed=1)}


@pytest.fixture(scope="module")
def ds(models, pool, tmp_path_factory):
    found = compare(*models.values(), pool, tolerance=NEAR, **QUICK)
    path = save_results(found, tmp_path_factory.mktemp("results") / "two.nc")
    return open_results(path).sel(seed=0)


def stir(target, reference, images, i, j, size=None, tokens="all", debiased=True, **options):
    """Eq. 1 written out, the target at another size if its own is another one."""
    recipe = dict(iterations=3, optimizer="fast", seed=0) | options
    x = invert(reference, images, layers=[j], tokens=tokens, **recipe).images[0]
    if size is not None:
        images, x = (bicubic(z, (size, size)) for z in (images, x))
    with torch.no_grad():
        a, b = (represent(target.prefix(z, i), tokens) for z in (images, x))
    return float(linear_cka(a, b, debiased=debiased))


def test_every_cell_of_a_rectangular_matrix_is_the_definition(models, pool, ds):
    images, here = pool.sample(6, 0).tensor(32), ds.sel(estimator="debiased")
    for reference, m1 in models.items():
        for target, m2 in models.items():
            matrix = here[f"stir_{target}_{reference}"]
            for i, j in [(0, 3), (3, 1), (len(m2.layers) - 1, len(m1.layers) - 1)]:
                expected = stir(m2, m1, images, i, j, tolerance=NEAR)
                assert float(matrix.sel(ref_layer=j, layer=i)) == pytest.approx(expected, abs=1e-6)
            exists = matrix.notnull()
            assert exists.sel(ref_layer=m1.layers, layer=m2.layers).all()
            assert exists.sum() == len(m1.layers) * len(m2.layers)
    with torch.no_grad():
        a, b = models["pt"].prefix(images, 2), models["ft"].prefix(images, 4)
    cka = linear_cka(a, b, debiased=True)
    assert float(here.cka_ft_pt.sel(ref_layer=2, layer=4)) == pytest.approx(float(cka), abs=1e-6)


def test_what_is_left_out_goes_by_nearest_depth(models, pool, ds):
    """Depths 0, 1/3, 2/3, 1 and 0, 1/4, 1/2, 3/4, 1: layer 2 of the first answers to 3."""
    images, here = pool.sample(6, 0).tensor(32), ds.sel(estimator="debiased")
    recipe = dict(iterations=3, optimizer="fast", tolerance=NEAR)
    x = invert(models["pt"], images, layers=[2], **recipe).images[0]
    keep = torch.arange(6) != 4
    with torch.no_grad():
        a, b = (models["ft"].prefix(z[keep], 3) for z in (images, x))
    value = here.stir_ft_pt_jackknife.sel(layer=2, left_out=4)
    assert float(value) == pytest.approx(float(linear_cka(a, b, debiased=True)), abs=1e-6)
    assert here.stir_ft_pt_jackknife.sel(layer=4).isnull().all()
    entry = diagonal(here, "stir_ft_pt").sel(layer=2)
    assert float(entry) == float(here.stir_ft_pt.sel(ref_layer=2, layer=3))


def test_the_file_says_which_layer_is_which(models, ds):
    assert ds.layer.values.tolist() == ds.ref_layer.values.tolist() == [0, 1, 2, 3, 4]
    assert ds.layer_name_pt.values.tolist() == [*models["pt"].layer_names, ""]
    np.testing.assert_allclose(ds.depth_ft, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(ds.depth_pt, [0, 1 / 3, 2 / 3, 1, np.nan])
    assert "depth" not in ds.coords and "subspace_ft_pt" not in ds
    parameters = json.loads(ds.attrs["parameters"])
    assert (parameters["model"], parameters["finetuned"]) == ("vit_pico_patch8_32", "conv4_w8")
    assert ds.inversion_loss_pt.isnull().values.tolist() == [False] * 4 + [True]
    assert learning(ds).notnull().all()  # along the fine-tuned network, which has all five


def test_images_that_arrived_are_counted(models, pool, ds):
    images = pool.sample(6, 0).tensor(32)
    for short, model in models.items():
        best = invert(model, images, iterations=3, optimizer="fast", tolerance=NEAR).best
        arrived = ds[f"arrived_{short}"].sel(ref_layer=model.layers)
        assert arrived.values.tolist() == (best <= NEAR).sum(-1).tolist()
    assert 0 < float(ds.arrived_pt.sum()) < 24


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda ds: ds.stir_ft_pt.loc[dict(ref_layer=1, layer=2)], "stir_ft_pt: .* are NaN"),
        (lambda ds: ds.stir_pt_ft.loc[dict(ref_layer=4, layer=3)], "stir_pt_ft: .* are NaN"),
        (lambda ds: ds.inversion_loss_pt.loc[dict(ref_layer=3)], "inversion_loss_pt: .* are NaN"),
    ],
)
def test_a_layer_that_exists_has_its_values(ds, change, said):
    broken = conform(ds.expand_dims("seed")).copy(deep=True)
    change(broken)[:] = np.nan
    with pytest.raises(ResultError, match=said):
        validate(broken)


def test_both_networks_are_described(ds):
    with pytest.raises(ResultError, match="no coordinate 'depth_ft' along 'layer'"):
        validate(conform(ds.expand_dims("seed").drop_vars("depth_ft")))


def test_a_file_of_equal_networks_is_what_it_was(pool):
    pt, ft = (load_model("vit_pico_patch8_32", seed=seed) for seed in (0, 1))
    found = compare(pt, ft, pool, **QUICK)
    matrix, diagonals = ("estimator", "seed", "ref_layer", "layer"), ("estimator", "seed", "layer")
    pairs = [f"{a}_{b}" for b in ("pt", "ft") for a in ("pt", "ft")]
    expected = {f"stir_{pair}": matrix for pair in pairs} | {
        f"stir_{pair}_jackknife": (*diagonals, "left_out") for pair in pairs
    }
    for short in ("pt", "ft"):
        expected |= {
            f"cka_{short}_pt": matrix,
            f"cka_{short}_pt_jackknife": (*diagonals, "left_out"),
            f"stir_control_{short}": diagonals,
            f"inversion_loss_{short}": ("seed", "ref_layer"),
            f"inversion_loss_centred_{short}": ("seed", "ref_layer"),
            f"inversion_history_{short}": ("seed", "ref_layer", "iteration"),
            f"example_inverted_{short}": ("ref_layer", "example", "y", "x", "channel"),
        }
    expected |= dict(subspace_ft_pt=matrix[1:], example_images=("example", "y", "x", "channel"))
    assert {name: array.dims for name, array in found.items()} == expected
    assert set(found.coords) == {
        "estimator", "seed", "layer", "ref_layer", "layer_name", "depth", "left_out", "iteration",
        "example", "y", "x", "channel",
    }  # fmt: skip
    assert list(json.loads(found.attrs["parameters"])) == [
        "iterations", "optimizer", "step", "init", "model", "img_size", "n", "layers", "subspace_k",
        "pool",
    ]  # fmt: skip


# ── Which layers ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("layers", "pt", "ft"),
    [
        ({"pt": ["block 2"], "ft": [4, "block 1"]}, [2], [1, 4]),
        (["block 1", "block 2", 4], [1, 2], [1, 2, 4]),
    ],
)
def test_layers_by_name_and_by_model(models, pool, ds, layers, pt, ft):
    found = compare(*models.values(), pool, layers=layers, tolerance=NEAR, **QUICK)
    validate(conform(found))
    for short, own in (("pt", pt), ("ft", ft)):
        assert found.layer[found[f"depth_{short}"].notnull()].values.tolist() == own
    cell = dict(ref_layer=2, layer=4)
    np.testing.assert_allclose(found.stir_ft_pt.sel(cell).sel(seed=0), ds.stir_ft_pt.sel(cell))


def test_layers_of_one_kind_of_network_by_name(models, pool):
    same = compare(models["pt"], models["pt"], pool, layers=["block 3", 1], stir=False, **QUICK)
    assert same.layer.values.tolist() == [1, 3] and "layer_name" in same.coords


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (["block 1", "blok 2"], "layer='blok 2' is not one of .*; did you mean 'block 2'"),
        ([4, 7], r"layers=\[7\] must be distinct numbers out of 0…3, the layers of vit_pico"),
        ({"pretrained": [1]}, "layers='pretrained' is not one of 'ft', 'pt'"),
        ({"pt": [4]}, r"layers=\[4\] must be distinct numbers out of 0…3"),
        ({"ft": ["block9"]}, "layer='block9' is not one of .*did you mean 'block"),
    ],
)
def test_a_layer_that_no_network_has(models, pool, monkeypatch, layers, said):
    monkeypatch.setattr("invlib.comparison.pairs.layer_grams", None)  # calling it would fail
    with pytest.raises(ValueError, match=said):
        compare(*models.values(), pool, layers=layers, **QUICK)


# ── What a representation is ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("tokens", ["cls", "mean"])
def test_tokens_are_those_of_inversion_and_similarity(pool, tokens):
    pt, ft = (load_model("vit_pico_patch8_32", seed=seed) for seed in (0, 1))
    found = compare(pt, ft, pool, tokens=tokens, **QUICK).sel(seed=0, estimator="debiased")
    images = pool.sample(6, 0).tensor(32)
    expected = stir(ft, pt, images, 3, 2, tokens=tokens)
    value = found.stir_ft_pt.sel(ref_layer=2, layer=3)
    assert float(value) == pytest.approx(expected, abs=1e-6)
    assert json.loads(found.attrs["parameters"])["tokens"] == tokens
    assert found.layer.values.tolist() == ([1, 2, 3] if tokens == "cls" else [0, 1, 2, 3])
    result = invert(pt, images, layers=[3], tokens=tokens, iterations=3, optimizer="fast")
    with torch.no_grad():
        h, g = (pt.prefix(z, 3) for z in (images, result.images[0]))
    h, g = (z[:, 0] if tokens == "cls" else z.mean(1) for z in (h, g))
    np.testing.assert_allclose(
        result.best[0], (g - h).norm(dim=1) / h.norm(dim=1), rtol=1e-4, atol=1e-6
    )


def test_maps_are_averaged_over_positions_wherever_the_channels_are():
    maps = torch.rand(2, 5, 4, 4)
    np.testing.assert_allclose(represent(maps, "mean"), maps.mean((2, 3)), rtol=1e-6)
    np.testing.assert_allclose(
        represent(maps.permute(0, 2, 3, 1), "mean"), maps.mean((2, 3)), rtol=1e-6
    )
    assert represent(maps[:, 0, 0], "cls").shape == (2, 4)


@pytest.mark.parametrize(
    ("model", "layers", "said"),
    [
        ("vit_pico_patch8_32", [0, 1], r"at layers \[1\], not at all of \[0, 1\]"),
        ("conv4_w8", None, r"conv4_w8 has a class token .* at layers \[\]"),
    ],
)
def test_a_class_token_that_is_not_there(model, layers, said):
    with pytest.raises(ValueError, match=said):
        check_tokens(load_model(model), layers, "cls")


def test_registers_and_patches_are_no_class_token():
    model = load_model("vit_pico_patch8_32")
    model.net.reg_token, model.net.cls_token = model.net.cls_token, None
    with pytest.raises(ValueError, match=r"at layers \[\]"):
        check_tokens(model, None, "cls")


def test_unknown_tokens(models, pool):
    with pytest.raises(ValueError, match="tokens='class' .*did you mean 'cls'"):
        compare(*models.values(), pool, tokens="class", **QUICK)


# ── Two image sizes, half precision ───────────────────────────────────────────────────────────────


def test_each_model_sees_its_own_size_and_inversions_come_from_the_references(pool):
    pt = load_model("vit_pico_patch8_32", seed=0)
    ft = load_model("vit_pico_patch8_32", seed=1, img_size=16)
    found = compare(pt, ft, pool, **QUICK).sel(seed=0, estimator="debiased")
    drawn = pool.sample(6, 0)
    big, small = drawn.tensor(32), drawn.tensor(16)
    for name, expected in {
        "stir_ft_pt": stir(ft, pt, big, 3, 2, size=16),
        "stir_pt_ft": stir(pt, ft, small, 3, 2, size=32),
        "stir_ft_ft": stir(ft, ft, small, 3, 2),
    }.items():
        value = float(found[name].sel(ref_layer=2, layer=3))
        assert value == pytest.approx(expected, abs=1e-6), name
    with torch.no_grad():
        a, b = pt.prefix(big, 2), ft.prefix(small, 3)
    cka = float(linear_cka(a, b, debiased=True))
    assert float(found.cka_ft_pt.sel(ref_layer=2, layer=3)) == pytest.approx(cka, abs=1e-6)
    with torch.no_grad():
        a, b = (ft.prefix(z, 1) for z in (small, start_images(small, "noise", 0)))
    control = float(linear_cka(a, b, debiased=True))
    assert float(found.stir_control_ft.sel(layer=1)) == pytest.approx(control, abs=1e-6)
    parameters = json.loads(found.attrs["parameters"])
    assert (parameters["img_size"], parameters["img_size_ft"]) == (32, 16)
    assert found.example_inverted_ft.sizes["x"] == 32  # as the pretrained model's


def test_a_tensor_has_the_size_of_a_model(pool):
    pt = load_model("vit_pico_patch8_32", seed=0)
    ft = load_model("vit_pico_patch8_32", seed=1, img_size=16)
    both = [compare(pt, ft, pool.tensor(size), stir=False, **QUICK) for size in (16, 32)]
    assert not np.allclose(both[0].cka_ft_pt, both[1].cka_ft_pt)
    with pytest.raises(ValueError, match="images are .*24"):
        compare(pt, ft, pool.tensor(24), stir=False, **QUICK)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_has_distances_and_similarities_in_single(pool, dtype):
    pt, ft = (load_model("vit_pico_patch8_32", seed=seed) for seed in (0, 1))
    whole = compare(pt, ft, pool, **QUICK).sel(seed=0, estimator="debiased")
    found = compare(pt.to(dtype), ft.to(dtype), pool, **QUICK)
    found = found.sel(seed=0, estimator="debiased")
    np.testing.assert_allclose(found.inversion_loss_pt, whole.inversion_loss_pt, atol=0.03)
    np.testing.assert_allclose(found.stir_ft_pt, whole.stir_ft_pt, atol=0.1)
    assert abs(found.cka_ft_pt - whole.cka_ft_pt).max() < 0.02


def test_gradients_do_not_vanish_in_half_precision():
    """One channel carries the norm, as in real networks: relative to it all gradients are small."""
    model = load_model("vit_pico_patch8_32", seed=0)
    with torch.no_grad():
        model.net.blocks[2].mlp.fc2.bias[7] = 6e4
        model.net.patch_embed.proj.weight.mul_(0.1)
    images = load_images("digits", "test", n=4).tensor(32)
    found = invert(model.half(), images, layers=[3], iterations=10, optimizer="fast")
    assert (found.best < 0.2 * found.loss[:, :1]).all()  # 0.9 where they vanish


# ── Large sets ────────────────────────────────────────────────────────────────────────────────────


def test_a_large_set_is_compared_in_minibatches(models, monkeypatch):
    """2,003 images: three batches of 500 and one of 503, since three are too few for a batch."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (2_003, 8, 8, 3), dtype=np.uint8)
    pool = ImageSet(images, np.arange(2_003) % 2, ("a", "b"), "noise", "test")
    fetched, tensor = [], ImageSet.tensor
    keep = lambda part, *size: fetched.append(len(part)) or tensor(part, *size)  # noqa: E731
    monkeypatch.setattr(ImageSet, "tensor", keep)
    found = compare(*models.values(), pool, n=2_003, seeds=[5], stir=False)
    monkeypatch.undo()
    assert max(fetched) == 503  # so memory is flat: no more images, nor larger Grams, at a time
    assert set(found) == {"cka_ft_pt", "cka_pt_pt"}
    assert found.estimator.values.tolist() == ["debiased"]
    assert json.loads(found.attrs["parameters"])["minibatch"] == 500
    parts = pool.sample(2_003, 5).tensor(32).split([500, 500, 500, 503])
    with torch.no_grad():
        a = [models["pt"].prefix(part, 2) for part in parts]
        b = [models["ft"].prefix(part, 4) for part in parts]
    value = float(found.cka_ft_pt.sel(seed=5, ref_layer=2, layer=4).squeeze())
    assert value == pytest.approx(float(minibatch_cka(a, b)), abs=1e-9)
    assert float(found.cka_pt_pt.sel(seed=5, ref_layer=1, layer=1).squeeze()) == pytest.approx(1)


def test_one_batch_is_the_debiased_estimator(models, pool):
    whole = compare(*models.values(), pool, stir=False, **QUICK).sel(estimator="debiased")
    batch = compare(*models.values(), pool, stir=False, minibatch=6, **QUICK)
    np.testing.assert_allclose(batch.cka_ft_pt.squeeze("estimator"), whole.cka_ft_pt, atol=1e-10)


@pytest.mark.parametrize("options", [dict(minibatch=3, stir=False), dict(minibatch=10)])
def test_minibatches_are_for_similarity_alone(models, pool, options):
    with pytest.raises(ValueError, match="minibatch=.* at least 4, and is for stir=False"):
        compare(*models.values(), pool, **QUICK | options)
