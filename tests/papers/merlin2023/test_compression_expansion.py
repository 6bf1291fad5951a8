"""Claims of section 4.3 about the flow matrix: each can hold, can fail and can be untestable."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from invlib.comparison.stacking import stack
from invlib.metrics.invariance import compression, diagonals, invariance_flow
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import check_claims
from papers.merlin2023.compression_expansion import ITSELF as ITSELF_SHOWN
from papers.merlin2023.work.compression_expansion import flows, flows_by_data_set, table
from tests.synthetic import LAYERS, UNTESTABLE, comparison, everywhere, reasons, verdicts

CLAIMS_4_3 = CLAIMS["compression_expansion"]
CLS, REC, ITSELF = "classification", "reconstruction", "pretrained to itself"
BEYOND = "-beyond-pretrained"

# Blocks below the diagonal, (pretrained layers, fine-tuned layers): compression where positive.
# The early one is the mirror image of pretrained 1-2 to fine-tuned 2-6: expansion where negative.
DEEP = (range(6, 13), range(4, 9))
TEXT = (range(4, 12), range(3, 7))
CAPTION = (range(6, 13), range(3, 7))
EARLY = (range(2, 7), range(1, 3))
FIRST, LAST = (range(4, 6), range(3, 7)), (range(12, 13), range(3, 7))  # of TEXT, of CAPTION only

# What section 4.3 and Figure 4 describe.
PAPER = {
    CLS: {DEEP: 0.2},
    REC: {TEXT: 0.2, CAPTION: 0.2, EARLY: -0.1},
    ITSELF: {},
}
ELSEWHERE = {CLS: 0.05, REC: 0.05, ITSELF: 0.002}


def flow(blocks: dict[tuple[range, range], float], elsewhere: float) -> xr.DataArray:
    """An antisymmetric matrix with these values in blocks below its diagonal."""
    rows, columns = np.meshgrid(LAYERS, LAYERS, indexing="ij")
    below = np.full(rows.shape, elsewhere)
    for (pretrained, finetuned), value in blocks.items():
        below[np.isin(rows, pretrained) & np.isin(columns, finetuned)] = value
    below[rows <= columns] = 0.0
    return xr.DataArray(below - below.T, {"ref_layer": LAYERS, "layer": LAYERS})


def results(*, elsewhere: dict[str, float] | None = None, **changes: dict) -> xr.Dataset:
    """STIR matrices with the paper's flow, changed in `cls`, `rec` or `itself`: block -> value."""
    other = ELSEWHERE | (elsewhere or {})
    new = {CLS: changes.get("cls", {}), REC: changes.get("rec", {}), ITSELF: changes.get("itself")}
    matrices = {
        name: 0.5 + flow(PAPER[name] | (new[name] or {}), other[name]) / 2 for name in PAPER
    }
    finetuned = xr.concat([matrices[CLS], matrices[REC]], xr.Variable("task", [CLS, REC]))
    return comparison(
        {"stir_ft_pt": everywhere(finetuned), "stir_pt_pt": everywhere(matrices[ITSELF])},
        dataset="cifar10",
    )


# For every claim one thing that would refute it, and the other claims that fall with it. A block
# that is not there is not there beyond the pretrained model either.
REFUTED = {
    "compression-classification-overall": (dict(elsewhere={CLS: -0.005}), set()),
    "compression-reconstruction-overall": (dict(elsewhere={REC: -0.005}), set()),
    "compression-classification": (
        dict(cls={DEEP: 0.0}), {"compression-classification" + BEYOND},
    ),
    "compression-reconstruction-text": (
        dict(rec={TEXT: 0.0, CAPTION: 0.0, LAST: 0.5}),
        {"compression-reconstruction-text" + BEYOND},
    ),
    "compression-reconstruction-caption": (
        dict(rec={TEXT: 0.5, CAPTION: 0.0}),
        {"compression-reconstruction-caption" + BEYOND},
    ),
    "expansion-reconstruction": (
        dict(rec={EARLY: 0.05}), {"expansion-reconstruction" + BEYOND},
    ),
    "no-expansion-classification": (
        dict(cls={EARLY: -0.1}), {"no-expansion-classification" + BEYOND},
    ),
    # The pretrained model shows the same by itself.
    "compression-classification" + BEYOND: (dict(itself={DEEP: 0.2}), set()),
    "compression-reconstruction-text" + BEYOND: (
        dict(itself={TEXT: 0.2}, rec={LAST: 0.6}), set(),
    ),
    "compression-reconstruction-caption" + BEYOND: (
        dict(itself={CAPTION: 0.2}, rec={FIRST: 0.5}), set(),
    ),
    "expansion-reconstruction" + BEYOND: (dict(itself={EARLY: -0.1}), set()),
    "no-expansion-classification" + BEYOND: (dict(itself={EARLY: 0.2}), set()),
}  # fmt: skip
REFUTED = {
    f"A-4.3-{id}": (changes, {f"A-4.3-{other}" for other in others})
    for id, (changes, others) in REFUTED.items()
}


def test_every_claim_has_a_counterexample():
    assert set(REFUTED) == {claim.id for claim in CLAIMS_4_3}
    judged_twice = {id.removesuffix(BEYOND) for id in REFUTED if id.endswith(BEYOND)}
    assert judged_twice == {id for id in REFUTED if not id.endswith(("overall", BEYOND))}


def test_claims_hold_where_the_results_are_the_papers():
    assert verdicts(CLAIMS_4_3, results()) == dict.fromkeys(REFUTED, "reproduced")


def test_the_synthetic_results_have_the_flow_they_are_made_of():
    found = invariance_flow(results()).isel(estimator=0, train_seed=0, seed=0)
    expected = flow(PAPER[REC], ELSEWHERE[REC])
    np.testing.assert_allclose(found.sel(task=REC), expected, atol=1e-12)
    assert expected.sel(ref_layer=1, layer=5) == 0.1  # pretrained 1 to fine-tuned 5: expanded


@pytest.mark.parametrize("id", REFUTED)
def test_a_claim_fails_where_they_contradict_it_and_its_neighbours_hold(id):
    changes, others = REFUTED[id]
    found = verdicts(CLAIMS_4_3, results(**changes))
    assert {name for name, verdict in found.items() if verdict == "not reproduced"} == {id, *others}


def test_trainings_that_disagree_are_undecided():
    yes, no = results(), results(cls={DEEP: 0.0, EARLY: -0.1}, rec={EARLY: 0.05})
    parts = [yes.isel(train_seed=[0]), no.isel(train_seed=[1])]
    both = xr.concat(parts, "train_seed", data_vars="minimal")
    mixed = {id for id, verdict in verdicts(CLAIMS_4_3, both).items() if verdict == "undecided"}
    names = (
        "compression-classification",
        "expansion-reconstruction",
        "no-expansion-classification",
    )
    # what both say, but one by far more than the other, is undecided as well
    more = {f"A-4.3-compression-{task}-overall" for task in (CLS, REC)}
    assert mixed == more | {f"A-4.3-{name}{end}" for name in names for end in ("", BEYOND)}


def test_a_model_that_did_not_change_moves_nothing_beyond_itself():
    """Whatever the pretrained matrix shows: the same one, as fine-tuned, adds nothing to it."""
    steep = flow({DEEP: 0.2, CAPTION: 0.2, TEXT: 0.2, EARLY: -0.1}, 0.05)
    ds = results()
    ds["stir_pt_pt"] = everywhere(0.5 + steep / 2)
    ds["stir_ft_pt"] = ds["stir_pt_pt"].broadcast_like(ds["stir_ft_pt"])
    found = verdicts(CLAIMS_4_3, ds)
    for id in REFUTED:
        if id.endswith(BEYOND):
            held = id.startswith("A-4.3-no-")
            assert found[id] == ("reproduced" if held else "not reproduced"), id
    assert found["A-4.3-compression-classification"] == "reproduced"  # which is why they are there


# --- not testable here ----------------------------------------------------------------------------


def test_diagonals_are_not_enough():
    assert set(reasons(CLAIMS_4_3, diagonals(results())).values()) == {
        "these results have no whole stir_ft_pt"
    }


def test_matrices_without_an_image_give_an_interval():
    ds = results()
    images = xr.DataArray([-1e-3, 1e-3], dims="left_out")
    for name in ("stir_ft_pt", "stir_pt_pt"):
        # an image that counts below the diagonal only: elsewhere it would cancel
        below = ds["layer"] < ds["ref_layer"]
        ds[f"{name}_left_out"] = ds[name] + images * below * (1 if name == "stir_ft_pt" else 0)
    out = check_claims(CLAIMS_4_3, ds)
    # of n = 2 values x ± 0.001, in D draws: SE² = (1/D)(1/2)(2 · 0.001²)
    half = 1.96 * 1e-3 / np.sqrt(ds.sizes["seed"])
    for id in (f"A-4.3-compression-classification{end}" for end in ("", BEYOND)):
        one = out.sel(claim=id)
        np.testing.assert_allclose(one.images_high - one.images_low, 2 * half, rtol=1e-6)
        np.testing.assert_allclose(one.images_low + half, one.value_mean, rtol=1e-6)


def test_diagonals_with_images_left_out_are_not_mistaken_for_matrices():
    ds = results()
    images = xr.DataArray([-1e-3, 1e-3], dims="left_out")
    ds["stir_ft_pt_jackknife"] = diagonals(ds)["stir_ft_pt_diagonal"] + images
    ds["stir_pt_pt_jackknife"] = diagonals(ds)["stir_pt_pt_diagonal"] + images
    assert verdicts(CLAIMS_4_3, ds) == dict.fromkeys(REFUTED, "reproduced")


def test_without_the_pretrained_models_own_matrix():
    for id, reason in reasons(CLAIMS_4_3, results().drop_vars("stir_pt_pt")).items():
        wanted = "these results have no whole stir_pt_pt" if id.endswith(BEYOND) else ""
        assert reason == wanted, id


def test_a_task_that_was_not_run():
    for id, reason in reasons(CLAIMS_4_3, results().sel(task=[REC])).items():
        wanted = "these results have no task classification" if CLS in id else ""
        assert reason == wanted, id


def test_another_networks_layers():
    ds = results().sel(layer=slice(0, 6), ref_layer=slice(0, 6))
    ds = ds.assign_coords(depth=("layer", LAYERS[:7] / 6))
    assert set(reasons(CLAIMS_4_3, ds).values()) == {
        "the paper's network has layers 0–12, these results have 7 layers, 0–6"
    }


@pytest.mark.parametrize(
    "where", [dict(task=CLS), dict(task=CLS, train_seed=0, ref_layer=0, layer=12)]
)
def test_an_entry_that_is_missing(where):
    """One is as bad as all: a mean over the others is another number."""
    ds = results()
    ds["stir_ft_pt"].loc[where] = np.nan
    found, why = verdicts(CLAIMS_4_3, ds), reasons(CLAIMS_4_3, ds)
    for id in REFUTED:
        assert found[id] == (UNTESTABLE if CLS in id else "reproduced"), id
        assert ("a run is missing" in why[id]) == (CLS in id), id


# --- the figures and the table of the page --------------------------------------------------------


def test_flows_have_a_matrix_for_each_task_and_one_for_the_model_with_itself():
    ds = results()
    found = flows(ds, "debiased")
    assert list(found) == [CLS, REC, ITSELF_SHOWN]
    one = ds.sel(estimator="debiased")
    xr.testing.assert_identical(found[REC], invariance_flow(one.sel(task=REC)))
    xr.testing.assert_identical(found[ITSELF_SHOWN], invariance_flow(one, target="pt"))


def test_the_small_figure_and_the_table_have_every_setting():
    one = results().reset_coords("dataset", drop=True)
    both = stack({"cifar10": one, "cifar100": results(elsewhere={CLS: -0.05})
                  .reset_coords("dataset", drop=True)}, "dataset")  # fmt: skip
    ds = stack({"fast:50": both, "ngd:50": both}, "recipe")
    rows = flows_by_data_set(ds, "biased")
    assert list(rows) == ["cifar10", "cifar100"]
    columns = [f"{r}\n{t}" for r in ("fast:50", "ngd:50") for t in (CLS, REC, "nothing")]
    assert all(list(row) == columns for row in rows.values())

    numbers = table({"mine": ds}, {"6–12 → 4–8": ("compression", *DEEP)})
    assert len(numbers) == 2 * 2 * 3 * 2  # data sets, recipes, CKA, tasks and the model itself
    at = numbers.loc["mine, cifar10, ngd:50, biased", CLS]
    assert at["6–12 → 4–8"] == pytest.approx(
        float(compression(rows["cifar10"][f"ngd:50\n{CLS}"], *DEEP).mean())
    )
    assert (
        numbers.loc["mine, cifar100, ngd:50, biased", CLS]["share compressed"]
        < at["share compressed"]
    )
