"""The comparison: its values against a plain loop, its schema, refusals, rules of one's own."""

import json
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr

from invlib.comparison.compare import compare
from invlib.comparison.representations import layer_grams
from invlib.comparison.stacking import stack
from invlib.data.images import load_images
from invlib.inversion.invert import invert, start_images
from invlib.inversion.rules import adam
from invlib.metrics.cka import linear_cka
from invlib.metrics.distances import at_distance
from invlib.metrics.invariance import forgetting
from invlib.metrics.similarities import similarity_from_grams
from invlib.metrics.subspaces import subspace_similarity
from invlib.models.hooked import wrap_model
from invlib.models.loading import load_model
from invlib.results.netcdf import open_results, save_results
from invlib.results.validation import conform, validate

QUICK = dict(n=6, iterations=4, optimizer="adam", subspace_k=3, cache=False)


@pytest.fixture(scope="module")
def models():
    return tuple(load_model("vit_pico_patch8_32", seed=seed) for seed in (0, 1))


@pytest.fixture(scope="module")
def pool():
    return load_images("digits", "test", n=20)


@pytest.fixture(scope="module")
def ds(models, pool):
    return compare(*models, pool, seeds=[0, 3], **QUICK)


@pytest.mark.parametrize("estimator", ["biased", "debiased"])
def test_every_value_is_the_definition(models, pool, ds, estimator):
    """Eq. 1 written out: one inversion and one pair of full passes for each pair of layers."""
    debiased = estimator == "debiased"
    here = ds.sel(seed=3, estimator=estimator)
    images = pool.sample(6, 3).tensor(32)
    by_name = dict(zip(("pt", "ft"), models, strict=True))
    for reference, m1 in by_name.items():
        for j in (0, 2, 3):
            x = invert(m1, images, layers=[j], iterations=4, optimizer="adam", seed=3).images[0]
            for target, m2 in by_name.items():
                for i in (0, 1, 3):
                    with torch.no_grad():
                        expected = linear_cka(
                            m2.prefix(images, i), m2.prefix(x, i), debiased=debiased
                        )
                    value = here[f"stir_{target}_{reference}"].sel(ref_layer=j, layer=i)
                    assert float(value) == pytest.approx(float(expected), abs=1e-6)
    start = start_images(images, "noise", 3)
    pt, ft = models
    with torch.no_grad():
        for i in range(4):
            a, b = ft.prefix(images, i), pt.prefix(images, 1)
            control = linear_cka(a, ft.prefix(start, i), debiased=debiased)
            assert float(here.stir_control_ft.sel(layer=i)) == pytest.approx(
                float(control), abs=1e-6
            )
            cka = linear_cka(b, a, debiased=debiased)
            assert float(here.cka_ft_pt.sel(ref_layer=1, layer=i)) == pytest.approx(
                float(cka), abs=1e-6
            )
            overlap = subspace_similarity(b, a, k=3)
            found = here.subspace_ft_pt.sel(ref_layer=1, layer=i)
            assert float(found) == pytest.approx(float(overlap), abs=1e-6)


def test_the_loss_left_is_the_mean_over_images_of_their_best(models, pool, ds):
    images = pool.sample(6, 3).tensor(32)
    for short, model in zip(("pt", "ft"), models, strict=True):
        found = invert(model, images, iterations=4, optimizer="adam", seed=3)
        assert found.best.std(1).min() > 1e-4  # so that a median or a maximum were another number
        loss = ds[f"inversion_loss_{short}"].sel(seed=3)
        np.testing.assert_allclose(loss, found.best.double().mean(1), rtol=1e-6)
        history = ds[f"inversion_history_{short}"].sel(seed=3)
        np.testing.assert_allclose(history, found.loss, rtol=1e-6)


@pytest.mark.parametrize("estimator", ["biased", "debiased"])
def test_the_jackknife_is_the_comparison_without_an_image(models, pool, ds, estimator):
    """Inversions are image by image, so the rest is what it was: only CKA sees one image less."""
    images = pool.sample(6, 3).tensor(32)
    here, by_name = (
        ds.sel(seed=3, estimator=estimator),
        dict(zip(("pt", "ft"), models, strict=True)),
    )
    inverted = {
        reference: invert(m1, images, iterations=4, optimizer="adam", seed=3).images
        for reference, m1 in by_name.items()
    }

    def expected(m2, a, m1, b, layer, left_out):
        keep = torch.arange(6) != left_out
        with torch.no_grad():
            x, y = m2.prefix(a, layer), m1.prefix(b, layer)
        return float(linear_cka(x[keep], y[keep], debiased=estimator == "debiased"))

    for layer, left_out in [(0, 5), (1, 0), (3, 2)]:
        at = dict(layer=layer, left_out=left_out)
        for target, m2 in by_name.items():
            value = here[f"cka_{target}_pt_jackknife"].sel(at)
            again = expected(m2, images, models[0], images, layer, left_out)
            assert float(value) == pytest.approx(again, abs=1e-6)
            for reference, xs in inverted.items():
                value = here[f"stir_{target}_{reference}_jackknife"].sel(at)
                again = expected(m2, images, m2, xs[layer], layer, left_out)
                assert float(value) == pytest.approx(again, abs=1e-6)


@pytest.mark.parametrize("estimator", ["biased", "debiased"])
def test_whole_matrices_without_an_image(models, pool, ds, estimator):
    found = compare(*models, pool, seeds=[3], inverted=["pt"], jackknife="matrix", **QUICK)
    validate(conform(found))
    assert "stir_ft_pt_left_out" not in ds
    here, images = found.sel(seed=3, estimator=estimator), pool.sample(6, 3).tensor(32)
    inverted = invert(models[0], images, iterations=4, optimizer="adam", seed=3).images
    for ref_layer, layer, left_out in [(0, 3, 5), (3, 1, 0), (2, 2, 4)]:
        keep = torch.arange(6) != left_out
        for target, model in zip(("pt", "ft"), models, strict=True):
            with torch.no_grad():
                x, y = (model.prefix(z[keep], layer) for z in (images, inverted[ref_layer]))
            again = float(linear_cka(x, y, debiased=estimator == "debiased"))
            value = here[f"stir_{target}_pt_left_out"]
            value = float(value.sel(ref_layer=ref_layer, layer=layer, left_out=left_out))
            assert value == pytest.approx(again, abs=1e-6)


@pytest.mark.parametrize("jackknife", ["diagonal", "matrix"])
def test_images_too_few_to_leave_one_out(models, pool, jackknife):
    ds = compare(*models, pool, seeds=[0], jackknife=jackknife, **QUICK | dict(n=4))
    assert not [name for name in ds if "jackknife" in name or "left_out" in name]
    assert "left_out" not in ds.dims
    validate(conform(ds))


def test_what_is_left_out_is_one_of_two(models, pool):
    with pytest.raises(ValueError, match="jackknife='matrices'.*matrix"):
        compare(*models, pool, seeds=[0], jackknife="matrices", **QUICK)


@pytest.mark.parametrize("jackknife", ["diagonal", "matrix"])
def test_a_snapshot_is_the_comparison_after_so_many_steps(models, pool, tmp_path, jackknife):
    options = QUICK | dict(optimizer="ngd", seeds=[0, 3], jackknife=jackknife)
    looks = compare(*models, pool, snapshots=(2, 5), **options | dict(iterations=5))
    assert looks.snapshot.values.tolist() == [2, 5] and "snapshot" not in looks.cka_ft_pt.dims
    for steps in (2, 5):
        alone = compare(*models, pool, **options | dict(iterations=steps))
        here = looks.sel(snapshot=steps, drop=True)
        for name in set(alone) - {"inversion_history_pt", "inversion_history_ft"}:
            if steps == 5 or not name.startswith("example_inverted"):  # pictures are of the last
                xr.testing.assert_identical(alone[name].drop_attrs(), here[name].drop_attrs())
    again = open_results(save_results(looks, tmp_path / "looks.nc"))
    assert again.stir_ft_pt.dims == ("snapshot", "estimator", "seed", "ref_layer", "layer")
    between = float(again.inversion_loss_pt.sel(seed=3, ref_layer=2).mean())
    assert forgetting(at_distance(again, between)).sel(seed=3, layer=2).notnull().all()


def test_with_snapshots_an_inversion_is_kept_layer_by_layer(models, pool, tmp_path, counted):
    options = QUICK | dict(seeds=[0], cache=tmp_path, snapshots=(1, 4), inverted=["pt"])
    first = compare(*models, pool, layers=[0, 1], **options)
    assert len(counted) == 2
    more = compare(*models, pool, layers=[1, 3], **options)
    assert len(counted) == 3  # layer 1 was there
    cells = dict(ref_layer=1, layer=1)
    xr.testing.assert_identical(first.stir_ft_pt.sel(cells), more.stir_ft_pt.sel(cells))
    compare(*models, pool, layers=[1], **options | dict(tolerance=0.9))
    compare(*models, pool, layers=[1], **options | dict(snapshots=(2, 4)))
    assert len(counted) == 5  # other arguments, other inversions


def test_an_image_that_has_arrived_is_left_alone(models, pool):
    options = QUICK | dict(seeds=[0], iterations=30, optimizer="fast")
    plain, near = (compare(*models, pool, tolerance=t, **options) for t in (None, 0.4))
    assert (near.inversion_loss_pt >= plain.inversion_loss_pt).all()
    assert (near.inversion_loss_pt > plain.inversion_loss_pt).any()
    assert json.loads(near.attrs["parameters"])["tolerance"] == 0.4


def test_it_follows_the_schema(ds):
    validate(conform(ds))
    assert ds.stir_ft_pt.dims == ("estimator", "seed", "ref_layer", "layer")
    assert ds.inversion_history_pt.sizes["iteration"] == 5
    assert ds.stir_pt_ft_jackknife.dims == ("estimator", "seed", "layer", "left_out")
    assert list(ds.left_out.values) == list(range(6)) and ds.stir_pt_ft_jackknife.dtype == "float32"
    assert list(ds.layer.values) == [0, 1, 2, 3] and list(ds.seed.values) == [0, 3]
    assert ds.example_images.dtype == np.uint8 and ds.example_images.sizes["example"] == 6


def test_a_seed_is_its_own_comparison(models, pool, ds):
    alone = compare(*models, pool, seeds=[3], **QUICK)
    for name in ("stir_ft_pt", "cka_ft_pt", "inversion_loss_pt"):
        xr.testing.assert_identical(
            alone[name].sel(seed=3).reset_coords(drop=True),
            ds[name].sel(seed=3).reset_coords(drop=True),
        )


def test_some_layers_are_the_same_as_all(models, pool, ds):
    some = compare(*models, pool, seeds=[3], layers=[3, 1], **QUICK)
    assert list(some.layer.values) == [1, 3]
    np.testing.assert_allclose(
        some.stir_pt_ft.sel(seed=3), ds.stir_pt_ft.sel(seed=3, layer=[1, 3], ref_layer=[1, 3])
    )
    np.testing.assert_allclose(
        some.stir_pt_ft_jackknife.sel(seed=3), ds.stir_pt_ft_jackknife.sel(seed=3, layer=[1, 3]),
        rtol=1e-6,
    )  # fmt: skip


def test_a_model_and_itself_share_everything(models, pool):
    ds = compare(models[0], models[0], pool, seeds=[0], **QUICK)
    np.testing.assert_allclose(ds.stir_ft_pt, ds.stir_pt_pt)
    np.testing.assert_allclose(ds.cka_ft_pt, ds.cka_ft_pt.transpose(*_swapped(ds.cka_ft_pt)))


def _swapped(matrix):
    return [{"layer": "ref_layer", "ref_layer": "layer"}.get(d, d) for d in matrix.dims]


def test_without_stir_nothing_is_inverted(models, pool, monkeypatch):
    monkeypatch.setattr("invlib.inversion.cache.invert", None)  # calling it would fail
    ds = compare(*models, pool, seeds=[0], n=6, stir=False, subspace_k=3)
    assert set(ds) == {
        "cka_ft_pt", "cka_pt_pt", "subspace_ft_pt", "cka_ft_pt_jackknife", "cka_pt_pt_jackknife"
    }  # fmt: skip


def test_a_tensor_serves_as_pool(models):
    pool = torch.rand(9, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    a, b = (compare(*models, pool, seeds=[0, 1], **QUICK) for _ in range(2))
    np.testing.assert_array_equal(a.stir_ft_pt, b.stir_ft_pt)
    assert not np.array_equal(a.cka_pt_pt.sel(seed=0), a.cka_pt_pt.sel(seed=1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(n=3), "n=3 images"),
        (dict(n=21), "there are 20 in the pool"),
        (dict(seeds=[]), "at least one, and distinct"),
        (dict(seeds=[1, 1]), "at least one, and distinct"),
        (dict(subspace_k=9), "k=9"),
    ],
)
def test_refusals(models, pool, change, message):
    with pytest.raises(ValueError, match=message):
        compare(*models, pool, **(dict(seeds=[0]) | QUICK | change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(optimizer="adma"), "optimizer='adma' .*did you mean 'adam'"),
        (dict(init="nosie"), "did you mean 'noise'"),
        (dict(iterations=0), "iterations=0"),
        (dict(step=-1.0), "step=-1.0"),
        (dict(chunk=0), "chunk=0"),
        (dict(subspace_k=9), "k=9"),
        (dict(subspace_k=5, n=5), "subspace_k=5 .*1 to 4, with 5 images"),
        (dict(subspace_k=0), "subspace_k=0"),
        (dict(examples=-1), "examples=-1"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_inverted(
    models, pool, tmp_path, counted, change, message
):
    with pytest.raises(ValueError, match=message):
        compare(*models, pool, **dict(seeds=[0]) | QUICK | dict(cache=tmp_path) | change)
    assert not counted and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(pool=[1] * 9), "an item is of type int"),
        (dict(pool="digits"), "pool is of type str.*load_images"),
        (dict(pretrained="vit_pico_patch8_32"), "pretrained is of type str.*load_model"),
        (dict(finetuned=torch.nn.Linear(1, 1)), "finetuned is of type Linear.*wrap_model"),
        (
            dict(finetuned=load_model("vit_pico_patch8_32").double()),
            "finetuned is torch.float64.*float32",
        ),
        (dict(seeds=[1.7]), r"seeds=\[1.7\] must be a list of whole numbers"),
        (dict(seeds="01"), "seeds=.*'0', '1'.* whole numbers"),
        (dict(seeds=3), "seeds=3 must be a list of whole numbers"),
        (dict(layers=[1.0]), r"layers=\[1.0\] must be a list of whole numbers"),
        (dict(n="5"), "n='5' is not a whole number"),
        (dict(subspace_k=2.0), "subspace_k=2.0 is not a whole number"),
        (dict(examples=1.5), "examples=1.5 is not a whole number"),
        (dict(minibatch=4.0, stir=False), "minibatch=4.0 is not a whole number"),
    ],
)
def test_what_is_of_the_wrong_type_is_said_before_any_work(
    models, pool, monkeypatch, change, message
):
    monkeypatch.setattr("invlib.comparison.pairs.layer_grams", None)  # calling it would fail
    arguments = dict(pretrained=models[0], finetuned=models[1], pool=pool, seeds=[0])
    with pytest.raises(TypeError, match=message):
        compare(**arguments | QUICK | change)


def test_seeds_and_layers_may_be_numpy_integers(models, pool, ds, tmp_path):
    options = QUICK | dict(seeds=np.array([3]), layers=np.array([1, 3]), cache=tmp_path)
    some = compare(*models, pool, **options)
    np.testing.assert_allclose(
        some.stir_pt_ft.sel(seed=3), ds.stir_pt_ft.sel(seed=3, layer=[1, 3], ref_layer=[1, 3])
    )


def test_a_model_that_is_not_finite_is_found_before_the_other_is_inverted(models, pool, counted):
    broken = load_model("vit_pico_patch8_32", seed=5)
    with torch.no_grad():
        broken.net.blocks[1].mlp.fc2.bias.fill_(torch.nan)
    with pytest.raises(ValueError, match="layer 2 .*block 2.* is not finite"):
        compare(models[0], broken, pool, seeds=[0], **QUICK)
    assert not counted


@pytest.mark.parametrize("init", ["same-noise", "white", "black"])
def test_one_start_for_all_has_no_control(models, pool, init):
    found = conform(compare(*models, pool, seeds=[0, 1], init=init, **QUICK))
    validate(conform(stack({"a": found, "b": found}, "task", shared=True)))
    assert found.stir_control_pt.isnull().all() and found.stir_control_ft.isnull().all()
    assert found.stir_ft_pt.notnull().all()


# ── The cache, and rules of one's own ─────────────────────────────────────────────────────────────


@pytest.fixture
def counted(monkeypatch):
    calls = []

    def count(*args, **kwargs):
        calls.append(kwargs)
        return invert(*args, **kwargs)

    monkeypatch.setattr("invlib.inversion.cache.invert", count)
    return calls


def test_the_pretrained_model_is_inverted_once_for_many_finetuned(models, pool, tmp_path, counted):
    for seed in (1, 2):
        ft = load_model("vit_pico_patch8_32", seed=seed)
        compare(models[0], ft, pool, seeds=[0], **QUICK | dict(cache=tmp_path))
    assert len(counted) == 3  # pt, ft 1, ft 2


RULES = {
    "a function": (adam, "invlib.inversion.rules.adam"),
    "a partial": (partial(adam, step=0.1), "invlib.inversion.rules.adam(step=0.1)"),
    "a lambda": (lambda *args, **kwargs: adam(*args, **kwargs), "<lambda>"),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kept", [True, False])
def test_a_rule_of_ones_own_is_named_and_never_kept(
    models, pool, ds, tmp_path, counted, rule, kept
):
    rule, said = RULES[rule]
    cache = tmp_path if kept else False
    found = compare(*models, pool, seeds=[3], **QUICK | dict(optimizer=rule, cache=cache))
    validate(conform(found))
    np.testing.assert_array_equal(found.stir_ft_pt.sel(seed=3), ds.stir_ft_pt.sel(seed=3))
    assert json.loads(found.attrs["parameters"])["optimizer"].endswith(said)
    assert len(counted) == 2 and not list(tmp_path.iterdir())


def test_few_images_need_no_setting_of_their_own(models, pool):
    """The default of `subspace_k` adapts; a value that was asked for is refused before any work."""
    ds = compare(*models, pool, n=8, seeds=[0], stir=False)
    explicit = compare(*models, pool, n=8, seeds=[0], stir=False, subspace_k=7)
    np.testing.assert_array_equal(ds.subspace_ft_pt, explicit.subspace_ft_pt)
    assert json.loads(ds.attrs["parameters"])["subspace_k"] == 7
    with pytest.raises(ValueError, match="subspace_k=10 must be from 1 to 7, with 8"):
        compare(*models, pool, n=8, seeds=[0], stir=False, subspace_k=10)


def test_layers_with_few_numbers_need_no_setting_of_their_own(pool):
    pair = [load_model("conv4_w4", seed=seed) for seed in (0, 1)]
    how = dict(n=8, seeds=[0], stir=False, tokens="mean")
    assert "subspace_ft_pt" not in compare(*pair, pool, **how)  # layer 0 has 3 numbers, others 4
    ds = compare(*pair, pool, layers=[1, 2], **how)
    assert json.loads(ds.attrs["parameters"])["subspace_k"] == 4 and "subspace_ft_pt" in ds
    with pytest.raises(ValueError, match="subspace_k=5 must be from 1 to 4, .* of 4 numbers"):
        compare(*pair, pool, layers=[1, 2], subspace_k=5, **how)


def test_images_that_are_the_same_are_named(models):
    same = torch.full((6, 3, 32, 32), 0.5)
    with pytest.raises(ValueError, match="subspace_k=5: layer 0 of .* are some of them the same"):
        compare(*models, same, n=6, seeds=[0])


def test_a_result_tells_how_its_weights_were_read(models, pool, tmp_path):
    torch.save(
        {f"module.{k}": v for k, v in models[1].net.state_dict().items()}, tmp_path / "w.pth"
    )
    read = load_model("vit_pico_patch8_32", weights=tmp_path / "w.pth")
    ds = compare(models[0], read, pool, n=5, seeds=[0], stir=False)
    parameters = json.loads(ds.attrs["parameters"])
    assert parameters["notes_ft"] == ["prefix 'module.' stripped"] and "notes_pt" not in parameters


def test_what_holds_images_serves_as_a_pool(models, pool):
    """The same images, out of a tensor's order, an array's, a data set's and a loader's."""
    floats, options = pool.tensor(), dict(n=20, seeds=[0], stir=False)
    expected = compare(*models, floats, **options)
    data_set = torch.utils.data.TensorDataset(floats, torch.from_numpy(pool.labels))
    loader = torch.utils.data.DataLoader(data_set, batch_size=3, shuffle=True)
    for source in (pool.images, floats.numpy(), data_set, loader):
        ds = compare(*models, source, **options)
        np.testing.assert_allclose(ds.cka_ft_pt, expected.cka_ft_pt, atol=1e-4)


def test_other_similarities_join_the_estimators(models, pool, monkeypatch):
    pt, ft = models
    options = dict(n=12, seeds=[0], iterations=3, snapshots=[1, 3], cache=False, subspace_k=3)
    ds = compare(pt, ft, pool, similarities=["procrustes", "trimmed"], **options)
    assert ds.estimator.values.tolist() == ["biased", "debiased", "procrustes", "trimmed"]
    plain = compare(pt, ft, pool, **options)
    xr.testing.assert_equal(ds.sel(estimator=["biased", "debiased"])[list(plain)], plain)
    extra = ds.sel(estimator=["procrustes", "trimmed"])
    assert extra.stir_ft_pt.notnull().all() and extra.stir_ft_pt_jackknife.isnull().all()
    images = pool.sample(12, 0).tensor(pt.img_size)
    grams = [layer_grams(model, images, [1, 2])[0] for model in (pt, ft)]
    expected = similarity_from_grams("procrustes", grams[0][0], grams[1][1])
    found = ds.cka_ft_pt.sel(estimator="procrustes", seed=0, ref_layer=1, layer=2)
    assert float(found) == pytest.approx(float(expected))
    with pytest.raises(ValueError, match="similarities='procrustse'.*did you mean 'procrustes'"):
        compare(pt, ft, pool, similarities=["procrustse"], **options)
    monkeypatch.setattr("invlib.comparison.compare.cached_invert", None)  # calling it would fail
    with pytest.raises(ValueError, match="n=4 images; similarities='trimmed' .* needs 5"):
        compare(pt, ft, pool, similarities=["trimmed"], **options | dict(n=4))
    with pytest.raises(ValueError, match="similarities=.*need the Grams of all images"):
        compare(pt, ft, pool, n=12, stir=False, minibatch=6, similarities=["trimmed"], subspace_k=3)


def test_the_centred_distance_is_relative_to_that_of_two_images(models, pool):
    pt, ft = models
    ds = compare(pt, ft, pool, n=6, seeds=[0], layers=[2], iterations=2, subspace_k=3, cache=False)
    images = pool.sample(6, 0).tensor(pt.img_size)
    found = invert(pt, images, layers=[2], iterations=2, seed=0)
    with torch.no_grad():
        (x,), (other,) = (
            [h.flatten(1).double() for h in pt.features(some, [2])]
            for some in (images, found.images[0])
        )
    pairs = torch.cdist(x, x)[~torch.eye(6, dtype=bool)]
    expected = (x - other).norm(dim=1).mean() / pairs.square().mean().sqrt()
    assert ds.inversion_loss_centred_pt.item() == pytest.approx(float(expected), rel=1e-4)


def test_each_model_may_be_driven_from_what_the_other_sees(models, pool):
    options = QUICK | dict(seeds=[0], iterations=30, optimizer="ngd")
    ways = {w: compare(*models, pool, against=w, **options) for w in (0.6, None, -0.6)}
    for name in ("stir_ft_pt", "stir_pt_ft"):
        last = [float(ds[name].sel(estimator="debiased")[0, 3, 3]) for ds in ways.values()]
        assert last == sorted(last) and last[2] > last[0] + 0.1
    said = {w: json.loads(ds.attrs["parameters"]).get("against") for w, ds in ways.items()}
    assert said == {0.6: 0.6, None: None, -0.6: -0.6}


def test_other_networks_cannot_be_driven_from_one_another(models, pool):
    with pytest.raises(ValueError, match="against=0.3 is for equal networks"):
        compare(models[0], load_model("vit_nano_patch8_32"), pool, against=0.3, **QUICK)


def test_a_single_word_is_a_list_of_one(models, pool):
    several = dict(layers=["block 1"], inverted=["pt"], similarities=["procrustes"])
    single = {name: value for name, (value,) in several.items()}
    one, other = (compare(*models, pool, seeds=[0], **QUICK | how) for how in (single, several))
    xr.testing.assert_equal(one, other)


def test_what_stops_the_second_inversion_is_said_before_the_first(models, pool, monkeypatch):
    class Detached(torch.nn.Sequential):
        def forward(self, x):
            return super().forward(x.detach())

    net = Detached(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    blind = wrap_model(net, ["0"], img_size=32, mean=[0.5] * 3, std=[0.5] * 3)
    monkeypatch.setattr("invlib.comparison.pairs.layer_grams", None)  # calling it would fail
    with pytest.raises(ValueError, match="Detached gives the pixels no gradient"):
        compare(models[0], blind, pool, seeds=[0], **QUICK | dict(subspace_k=None))
