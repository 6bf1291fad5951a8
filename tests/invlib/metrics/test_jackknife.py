"""Intervals over images: known standard errors, fresh draws, and claims against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from invlib.metrics.cka import cka_from_grams, cka_leave_one_out
from invlib.metrics.grams import gram
from invlib.metrics.invariance import diagonal
from invlib.metrics.jackknife import interval, left_one_out
from invlib.results.netcdf import open_results, save_results
from invlib.results.provenance import provenance
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import Claim, check_claims, claims_html, claims_table, claims_text

CLAIMS_4_1 = CLAIMS["finetuning_task"]
LAYERS, TASKS, SEEDS, N = 13, ["classification", "reconstruction"], 3, 7
ATTRS = {"kind": "comparison"} | provenance(
    parameters={"scale": "smoke"}, seeds=range(SEEDS), wall_time=1.0, command="papermill a b"
)


def of_means() -> tuple[xr.Dataset, dict[str, xr.DataArray]]:
    """A comparison whose every diagonal is a mean over images, and what it is a mean of."""
    rng = np.random.default_rng(0)
    dims = ("task", "estimator", "seed", "layer", "left_out")
    sizes = (2, 2, SEEDS, LAYERS, N)
    level = dict(stir_ft_ft=0.9, stir_pt_ft=0.6, stir_pt_pt=0.9, stir_ft_pt=0.6,
                 cka_pt_pt=0.95, cka_ft_pt=0.7)  # fmt: skip
    images, variables = {}, {}
    for name, mean in level.items():
        values = mean + rng.uniform(-0.05, 0.05, sizes) + rng.uniform(-0.1, 0.1, (*sizes[:-1], 1))
        x = xr.DataArray(values, dims=dims)
        images[name] = x = x if "ft" in name else x.isel(task=0)
        variables[f"{name}_diagonal"] = x.mean("left_out")
        variables[f"{name}_jackknife"] = (x.sum("left_out") - x) / (N - 1)
    for short in ("pt", "ft"):
        variables[f"stir_control_{short}"] = (dims[1:4], np.full(sizes[1:4], 0.1))
        variables[f"inversion_loss_{short}"] = (
            ("seed", "ref_layer"),
            np.full((SEEDS, LAYERS), 0.3),
        )
    coords = dict(
        task=TASKS, estimator=["biased", "debiased"], seed=range(SEEDS), left_out=range(N),
        layer=range(LAYERS), ref_layer=range(LAYERS), depth=("layer", np.linspace(0, 1, LAYERS)),
        layer_name=("layer", [f"layer {k}" for k in range(LAYERS)]),
    )  # fmt: skip
    return xr.Dataset(variables, coords, attrs=ATTRS), images


def claim(measure, **needs) -> Claim:
    return Claim(
        id="A-0-x", paper="A", section="0", figure="", words="Words.", number="a number",
        measure=measure, threshold=0.5, needs=needs,
    )  # fmt: skip


def pretrained(ds, self_term):
    return diagonal(ds, "stir_pt_pt").mean("layer")


# --- the interval ---------------------------------------------------------------------------------


def test_of_a_mean_it_is_the_standard_error_of_a_mean():
    x = xr.DataArray(
        np.random.default_rng(0).normal(size=(2, 5, 40)), dims=("a", "seed", "left_out")
    )
    low, high = interval(x.mean("left_out"), (x.sum("left_out") - x) / 39)
    assert low.dims == high.dims == ("a",)
    error = np.sqrt((x.std("left_out", ddof=1) ** 2 / 40).sum("seed")) / 5
    np.testing.assert_allclose((low + high) / 2, x.mean(["seed", "left_out"]))
    np.testing.assert_allclose(high - low, 2 * 1.96 * error)


@pytest.mark.parametrize("debiased", [False, True], ids=["biased", "debiased"])
def test_it_is_as_wide_as_fresh_images_scatter(debiased):
    """CKA of what many fresh draws of images give, against the jackknife in each."""
    n, draws = 80, 150
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(draws, n, 6, generator=rng)
    y = x + torch.randn(draws, n, 6, generator=rng)
    k, l = (torch.stack([gram(one) for one in z]) for z in (x, y))  # noqa: E741
    values = cka_from_grams(k, l, debiased=debiased)
    without = cka_leave_one_out(k, l, debiased=debiased)
    low, high = interval(
        xr.DataArray(values[:, None], dims=("draw", "seed")),
        xr.DataArray(without[:, None], dims=("draw", "seed", "left_out")),
    )
    assert float(((high - low) / 2 / 1.96).mean()) == pytest.approx(float(values.std()), rel=0.2)


def test_a_missing_value_leaves_no_interval():
    ds, _ = of_means()
    value, without = ds.stir_pt_pt_diagonal, ds.stir_pt_pt_jackknife.copy(deep=True)
    without[0, 1, 2, 3] = np.nan  # estimator, seed, layer, left_out
    for end in interval(value, without):
        assert end.isnull().sum() == 1 and end.isnull().sel(estimator="biased", layer=2)


# --- of claims ------------------------------------------------------------------------------------


def test_the_interval_of_a_claim_is_known():
    ds, images = of_means()
    out = check_claims([claim(pretrained, variables=("stir_pt_pt",))], ds).isel(claim=0)
    of_image = images["stir_pt_pt"].mean("layer")  # the number is its mean over images
    error = np.sqrt((of_image.std("left_out", ddof=1) ** 2 / N).sum("seed")) / SEEDS
    for term in ("measured", "one"):
        here = out.sel(self_term=term)
        np.testing.assert_allclose(here.value, of_image.mean("left_out"))
        middle = here.value.mean("seed").values
        np.testing.assert_allclose(here.value_low, middle - 1.96 * error)
        np.testing.assert_allclose(here.value_high, middle + 1.96 * error)


def test_every_claim_of_the_paper_is_computed_without_each_image():
    """Against whole ledgers, each of results that have an image less."""
    ds, _ = of_means()
    out = check_claims(CLAIMS_4_1, ds)
    names = [str(name) for name in ds if str(name).endswith("_jackknife")]
    ledgers = []
    for i in range(N):
        less = {name.replace("jackknife", "diagonal"): ds[name].sel(left_out=i) for name in names}
        ledgers.append(check_claims(CLAIMS_4_1, ds.drop_vars(names).assign(less)).value)
    theta = np.stack(ledgers)  # (left_out, claim, estimator, self_term, seed)
    error = np.sqrt((theta.var(0) * (N - 1)).sum(-1)) / SEEDS
    assert not out.value.isnull().any() and (error > 0).any((1, 2)).sum() > len(CLAIMS_4_1) - 2
    np.testing.assert_allclose(out.value_high - out.value_low, 2 * 1.96 * error, atol=1e-12)
    middle = (out.value_low + out.value_high) / 2
    np.testing.assert_allclose(middle, out.value.mean("seed"), atol=1e-12)


def test_the_verdict_does_not_depend_on_it():
    ds, _ = of_means()
    without = ds.drop_vars([name for name in ds if str(name).endswith("_jackknife")])
    with_it, none = check_claims(CLAIMS_4_1, ds), check_claims(CLAIMS_4_1, without)
    ends = ["value_low", "value_high"]
    xr.testing.assert_identical(with_it.drop_vars(ends), none.drop_vars(ends))
    assert none[ends].isnull().to_array().all() and with_it[ends].notnull().to_array().all()


def test_claims_without_their_values_have_none_and_others_do():
    ds, _ = of_means()
    out = check_claims(CLAIMS_4_1, ds.drop_vars("cka_ft_pt_jackknife"))
    lost = [one.id for one in CLAIMS_4_1 if "cka_ft_pt" in one.needs["variables"]]
    assert 0 < len(lost) < len(CLAIMS_4_1)
    missing = out.value_low.isnull().all(["estimator", "self_term"])
    assert out.claim[missing].values.tolist() == lost
    assert out.value_low.notnull().sel(claim=~out.claim.isin(lost)).all()


def test_what_is_not_made_of_images_has_no_interval():
    ds, _ = of_means()
    ds["test_accuracy"] = 0.9
    ds["stir_pt_pt"] = ds.stir_pt_pt_diagonal.expand_dims(ref_layer=ds.ref_layer)
    accuracy = claim(lambda ds, term: ds.test_accuracy, variables=("test_accuracy",))
    whole = claim(lambda ds, term: ds.stir_pt_pt.mean(["ref_layer", "layer"]),
                  variables=("stir_pt_pt",), matrices=("stir_pt_pt",))  # fmt: skip
    for one in (accuracy, whole):
        out = check_claims([one], ds)
        assert (out.verdict == "reproduced").all() and out.value_low.isnull().all()
    out = check_claims([whole], ds.drop_vars("stir_pt_pt"))
    assert out.reason.item() == "these results have no whole stir_pt_pt"


def test_a_number_for_each_image_is_no_number():
    ds, _ = of_means()
    with pytest.raises(ValueError, match="a number for each of left_out"):
        check_claims([claim(lambda ds, term: ds.stir_pt_pt_jackknife.mean("layer"))], ds)
    with pytest.raises(ValueError, match="a number for each of layer"):
        check_claims([claim(lambda ds, term: ds.stir_pt_pt_diagonal)], ds)


def test_other_diagonals_without_each_image():
    ds, _ = of_means()
    names = ["stir_ft_pt", "stir_pt_pt"]
    without = left_one_out(
        ds.assign(stir_ft_pt_jackknife=ds.stir_ft_pt_jackknife.astype("f4")), names
    )
    assert set(without) == {"stir_ft_pt_diagonal", "stir_pt_pt_diagonal"}
    assert without.stir_ft_pt_diagonal.dtype == float  # so that the sums of squares keep digits
    assert left_one_out(ds, [*names, "test_loss"]) is None and left_one_out(ds, []) is None


# --- in tables ------------------------------------------------------------------------------------


def test_tables_show_it(tmp_path):
    ds, _ = of_means()
    out = check_claims(CLAIMS_4_1, ds)
    id = "A-4.1-cka-early-near-zero"
    one = out.sel(claim=id, estimator="debiased", self_term="measured")
    bracket = f"[{float(one.value_low):.3g},\N{NO-BREAK SPACE}{float(one.value_high):.3g}]"
    verdict, mean = one.verdict.item(), f"{float(one.value.mean()):.3g}"
    spread = f"{float(one.value.min()):.3g} to {float(one.value.max()):.3g}"
    assert claims_table(out).loc[id, "debiased"] == f"{verdict} ({mean} {bracket}; {spread})"
    assert claims_table(out, compact=True).loc[id, "debiased"] == f"{verdict} ({mean})"
    assert f"<td>{verdict} ({mean})<br><small>{bracket}</small></td>" in claims_html(out)
    assert f"<td>{verdict} ({mean} {bracket}; {spread})</td>" in claims_html(out, compact=False)
    text = claims_text(out)
    block = text[text.index(id) :].split("\n\n")[0]
    assert bracket in " ".join(line[60:84].strip() for line in block.splitlines())
    assert "3 seeds, in brackets the 95 % interval over images</caption>" in claims_html(out)
    assert "in brackets the 95 %" in text
    read = open_results(save_results(out, tmp_path / "claims.nc"))
    assert claims_html(read) == claims_html(out)


def test_tables_without_it_say_nothing_of_it():
    ds, _ = of_means()
    out = check_claims(CLAIMS_4_1, ds.drop_vars([n for n in ds if str(n).endswith("_jackknife")]))
    older = out.drop_vars(["value_low", "value_high"])  # a ledger written before there were any
    for one in (out, older):
        page = claims_html(one) + claims_html(one, compact=False) + claims_text(one)
        assert "bracket" not in page and "<small>" not in page
        assert claims_table(one).equals(claims_table(older))
