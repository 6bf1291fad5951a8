"""What explorers show is what the library computes from the results."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from invlib.metrics.invariance import cka_divergence, forgetting, invariance_flow, learning
from invlib.metrics.jackknife import left_one_out
from invlib.paths import results_root
from invlib.results.netcdf import open_results
from papers import explorers
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import check_claims, judge
from papers.claims.claim import numbers as computed
from papers.claims.settings import by_training
from papers.merlin2023.robustness_scan import correlation_scan, forgetting_spread

LARGEST = 500_000  # bytes of one explorer's data


def reference(name: str) -> dict[str, xr.Dataset]:
    return {"reference: cifar": open_results(results_root("cifar") / f"{name}.nc")}


def data_of(element) -> dict:
    text = re.search(r"<script type='application/json'>(.*?)</script>", element.data, re.DOTALL)[1]
    assert len(text) < LARGEST and "<" not in text
    return json.loads(text)


def unpacked(array: dict) -> xr.DataArray:
    """Read an array as the script of the page does."""
    kind = {"Int16": "<i2", "Float32": "<f4"}[array["type"]]
    values = np.frombuffer(base64.b64decode(array["data"]), kind).astype(float)
    values[(values == -32768) & (array["type"] == "Int16")] = np.nan
    shape = [len(labels) for labels in array["dims"].values()]
    return xr.DataArray((values * array["factor"]).reshape(shape), array["dims"], array["dims"])


@pytest.mark.parametrize("exact", [False, True])
def test_a_packed_array_is_read_again(exact):
    array = xr.DataArray([[0.25, -3.0, np.nan], [np.inf, 1e-4, 0.0]], dims=("layer", "seed"))
    read = unpacked(json.loads(json.dumps(explorers.packed(array, exact=exact))))
    wanted = array if exact else array.where(np.isfinite(array))
    np.testing.assert_allclose(read, wanted, atol=1e-8 if exact else 3 / 65000)


def test_text_cannot_leave_its_element():
    made = explorers.element("flow", "a 'name' & <b>", {"title": "</script><b>"}).data
    assert "</script><b>" not in made and "<b>" not in made
    assert json.loads(re.search(r"json'>(.*?)</script>", made)[1]) == {"title": "</script><b>"}


def test_the_flow_matrix_and_its_terms():
    shown = reference("compression_expansion")
    data = data_of(explorers.flow(shown))
    ds = by_training(shown["reference: cifar"].isel(dataset=0, drop=True))
    flow, beyond, stir = (unpacked(data[name]) for name in ("flow", "beyond", "stir"))
    flow, beyond, stir = (a.isel(dataset=0, drop=True) for a in (flow, beyond, stir))
    *tasks, itself = flow["task"].values
    wanted = invariance_flow(ds).mean("seed")
    baseline = invariance_flow(ds, target="pt").mean("seed")
    close = dict(atol=5e-5, rtol=0)
    for name, array in {"flow": wanted, "beyond": wanted - baseline}.items():
        one = dict(flow=flow, beyond=beyond)[name].sel(task=tasks)
        xr.testing.assert_allclose(one.transpose(*array.dims).drop_vars(one.coords),
                                   array.drop_vars(array.coords), **close)  # fmt: skip
    np.testing.assert_allclose(flow.sel(task=itself).transpose(*baseline.dims), baseline, **close)
    first = stir.rename(ref_layer="i", layer="j")
    second = stir.rename(ref_layer="j", layer="i")
    matrix = flow.rename(ref_layer="i", layer="j")
    np.testing.assert_allclose((first - second).transpose(*matrix.dims), matrix, atol=1e-4)


def repeated(ds: xr.Dataset) -> xr.Dataset:
    """Take the draws of a result for trainings, each with one draw."""
    ds = ds.rename(seed="train_seed")
    drawn = {k: v.expand_dims(seed=[0]) for k, v in ds.items() if "train_seed" in v.dims}
    return ds.assign(drawn)


def first_training(ds: xr.Dataset) -> xr.Dataset:
    return ds.isel(train_seed=0, drop=True) if "train_seed" in ds.dims else ds


def three_draws(ds: xr.Dataset) -> xr.Dataset:
    """A single training with three draws: the first, or trainings of one draw taken for draws."""
    if ds.sizes["seed"] > 1:
        return first_training(ds)
    return ds.isel(seed=0, drop=True).rename(train_seed="seed").isel(seed=slice(3))


@pytest.mark.parametrize("trainings", [1, 3])
@pytest.mark.parametrize(
    "section, hue, part",
    [("finetuning_task", "task", "cifar10"), ("pretraining_dataset", "pretraining", "cifar100")],
)
def test_choices_are_the_curves_and_verdicts_of_the_library(section, hue, part, trainings):
    ((title, whole),) = reference(section).items()
    whole = three_draws(whole.sel(dataset=[part]))
    whole = whole.dropna(hue, how="all")  # a start that is its own target has no curve
    shown = {title: whole if trainings == 1 else repeated(whole)}
    ds = shown[title].sel(dataset=part)
    data = data_of(explorers.choices(section, shown, hue=hue))
    read = {name: unpacked(array) for name, array in data["parts"][part].items()}
    ledger = check_claims(CLAIMS[section], ds)
    codes, numbers, curves = read["verdicts"], read["numbers"], read["curves"]
    assert codes.round().sel(left_out="none").size == 4 * 4 * len(CLAIMS[section])
    assert [claim["id"] for claim in data["claims"]] == ledger["claim"].values.tolist()

    def said(seed: str, left_out: str) -> np.ndarray:
        code = codes.sel(seed=seed, left_out=left_out).round().astype(int)
        return np.array(data["verdicts"])[code.transpose(*ledger["verdict"].dims).values]

    assert (said("all", "none") == ledger["verdict"]).all()
    assert ("reproduced" in said("all", "none")) == (trainings > 1)
    each = numbers.sel(left_out="none", seed=["0", "1", "2"]).values
    np.testing.assert_allclose(each.ravel(), ledger["value"].values.ravel(), rtol=1e-6)
    # without an image the interval moves with the number; one training or draw decides nothing
    values, without = computed(CLAIMS[section], ds)
    moved = without.isel(left_out=6, drop=True).assign_coords(drawn=values["drawn"])
    wanted = judge(CLAIMS[section], moved, without)["verdict"].transpose(*ledger["verdict"].dims)
    known = said("all", "7") != data["verdicts"][-1]
    assert known.any() and (said("all", "7") == wanted.values)[known].all()
    assert not {"reproduced", "not reproduced"} & set(said("2", "7").ravel())

    ds = whole.sel(dataset=part)
    stir = ["stir_ft_ft", "stir_pt_ft", "stir_pt_pt", "stir_ft_pt", "cka_ft_pt", "cka_pt_pt"]
    without = left_one_out(ds, stir).isel(left_out=6)
    for name, measure in {"learning": learning, "forgetting": forgetting}.items():
        for term in ("measured", "one"):
            for result, label in ((ds, "none"), (without, "7")):
                wanted = measure(result, self_term=term).mean("seed", skipna=False)
                one = curves.sel(measure=name, self_term=term, seed="all", left_out=label)
                np.testing.assert_allclose(one.transpose(*wanted.dims), wanted, atol=1e-4)
    wanted = cka_divergence(without).sel(seed=1)
    one = read["divergence"].sel(seed="1", left_out="7").transpose(*wanted.dims)
    np.testing.assert_allclose(one, wanted, atol=1e-4)


def test_choices_have_the_condition_of_each_column():
    ((title, whole),) = reference("finetuning_task").items()
    shown = {title: first_training(whole.sel(dataset=["cifar10"]))}
    data = data_of(explorers.choices("finetuning_task", shown, hue="task"))
    texts = {claim["id"]: claim for claim in data["claims"]}
    for claim in CLAIMS["finetuning_task"]:
        by_column = texts[claim.id]["condition"]
        assert by_column["debiased"]["measured"] == claim.condition.split(" (")[0]
        words = {text for of_one in by_column.values() for text in of_one.values()}
        assert (len(words) > 1) == (" (" in claim.condition)


def test_only_the_first_data_set_has_choices_with_an_image_left_out():
    section = "pretraining_dataset"
    ((title, whole),) = reference(section).items()
    both = data_of(explorers.choices(section, {title: whole}, hue="pretraining"))["parts"]
    labels = [unpacked(part["curves"])["left_out"].values.tolist() for part in both.values()]
    assert len(labels) == 2 and len(labels[0]) > 1 and labels[1] == ["none"]
    alone = {title: whole.isel(dataset=[1])}
    alone = data_of(explorers.choices(section, alone, hue="pretraining"))["parts"]
    for (name, part), array in itertools.product(alone.items(), ("verdicts", "numbers", "curves")):
        xr.testing.assert_allclose(  # curves are stored in steps of 0.0001 or less
            unpacked(part[array]).sel(left_out=["none"]), unpacked(both[name][array]), atol=1e-4
        )


def test_p_values_are_those_of_the_scan():
    shown = reference("dynamics")
    data = data_of(explorers.p_value(shown))
    name = "std of forgetting, layers 2-12"
    assert data["hypotheses"][name] == ["forgetting", "2-12", "std"]
    assert len(data["hypotheses"]) == 352 + 2 * 88 and data["family"]["forgetting"] == 352
    for label, epochs in {"with epoch 0": None, "without epoch 0": slice(1, None)}.items():
        scan = correlation_scan(shown["reference: cifar"], epochs=epochs)
        at = dict(dataset="cifar100", estimator="biased")
        one = scan.sel(at)
        ours = one.sel(hypothesis=one["n_hypotheses"] == 352)
        for key in ("correlation", "p_value", "p_value_autocorrelation_bonferroni"):
            read = unpacked(data[key]).sel(at, drop=True).sel(epochs=label)
            np.testing.assert_allclose(read, one[key], rtol=1e-6)
        as_good = unpacked(data["as_good"]).sel(at).sel(epochs=label, hypothesis=name)
        wanted = (abs(ours["correlation"]) >= abs(ours["correlation"].sel(hypothesis=name))).sum()
        assert int(as_good) == int(wanted) > 1
    spread = forgetting_spread(shown["reference: cifar"]).sel(dataset="cifar10", estimator="biased")
    series = unpacked(data["series"]).sel(dataset="cifar10", estimator="biased", hypothesis=name)
    np.testing.assert_allclose(series, spread, atol=1e-4)


def test_the_flipbook_has_each_picture_and_its_numbers():
    shown = reference("finetuning_task")
    data = data_of(explorers.flipbook(shown))
    ds = first_training(shown["reference: cifar"].isel(dataset=0)).sel(estimator="debiased")
    models = ["pretrained", *(f"fine-tuned: {task}" for task in ds["task"].values)]
    assert list(data["models"]) == models and list(data["pictures"]) == ["X", *models]
    one, two = data["models"][models[0]], data["models"][models[2]]
    at = dict(task="reconstruction")
    for read, wanted in (
        (one["distance"], ds["inversion_loss_pt"]),
        (one["change: reconstruction"], forgetting(ds.sel(at))),
        (two["distance"], ds["inversion_loss_ft"].sel(at)),
        (two["change: pretrained"], learning(ds.sel(at))),
    ):
        np.testing.assert_allclose(unpacked(read), wanted.mean("seed"), atol=1e-4)
    file = data["pictures"][models[2]][1].partition(",")[2]
    strip = np.asarray(Image.open(io.BytesIO(base64.b64decode(file))).convert("RGB")).mean(
        -1
    )  # grey: WebP halves colour
    drawn, size = ds["example_inverted_ft"].sel(at).mean("channel"), ds.sizes["x"]
    wanted, another = drawn.isel(example=1).values, drawn.isel(example=0)[0].values
    assert strip.shape == (size, 13 * size)
    wrong = [abs(strip[:, size * k : size * (k + 1)] - wanted[k]).mean() for k in range(13)]
    other = abs(strip[:, :size] - another).mean()
    assert wrong[0] < other / 2 and max(wrong) < 60


def test_a_flipbook_of_two_models_without_a_task():
    data = data_of(explorers.flipbook(reference("what_is_an_inversion")))
    assert list(data["models"]) == ["pretrained", "fine-tuned"]


def test_the_race_is_that_of_the_results():
    shown = reference("how_inverted")
    data, ds = data_of(explorers.race(shown)), shown["reference: cifar"]
    loss = unpacked(data["loss"])
    np.testing.assert_allclose(loss, ds["race_loss"].sel(evaluation=loss["evaluation"]), rtol=1e-6)
    assert data["budgets"]["fast:50"] == 50 and 500 in loss["evaluation"]
    assert set(data["pictures"]) == set(ds["recipe"].values) and {0, 12} < set(data["layers"])


def test_the_ledger_has_every_verdict_once():
    ds = reference("finetuning_task")["reference: cifar"].isel(dataset=0)
    ledgers = [check_claims(CLAIMS["finetuning_task"], ds)]
    made = explorers.ledger([("finetuning_task", Path("a<b>.nc"), ledgers, ["<i>"])]).data
    assert "<b>.nc" not in made and "<i>" not in made
    verdict = ledgers[0]["verdict"]
    trusted = verdict.sel(estimator="debiased", self_term="measured").values.tolist()
    assert re.findall(r"data-verdict='([^']*)'", made) == trusted
    biased = verdict.sel(estimator="biased", self_term="measured").values.tolist()
    hangs = re.findall(r"data-hangs='([^']*)'", made)
    assert ["estimator" in one for one in hangs] == [a != b for a, b in zip(trusted, biased)]  # noqa: B905
    assert any(hangs) and "" in hangs
