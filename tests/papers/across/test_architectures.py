"""Architectures: starts of the same kind, claims that can hold and fail, networks of any depth."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from invlib.results.netcdf import open_results, save_results
from papers.across.architectures import Architectures
from papers.across.work.architectures import dataset, findings, flows, networks, table
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.settings import settings
from papers.parameters import ParameterError, load_scale
from papers.sections import SECTIONS
from tests.synthetic import everywhere, stamped, verdicts

LAYERS = {"vit_tiny_patch16_224:64": 13, "resnet18_cifar_w32:32": 9, "convnext_atto:64": 13}
NAMES = dict(zip(LAYERS, ["vit", "resnet", "convnext"], strict=True))
SMALL = load_scale("cifar", "notebooks/scales/overrides/cpu_questions.yaml")


def results(case: str = "", **changes: list[float] | float) -> xr.Dataset:
    """Three networks as expected, but for `changes` of one: values at depths 0, 1/2 and 1."""
    parts = []
    for name, count in LAYERS.items():
        made = dict(learning=[0.35, 0.1, 0.6], forgetting=[0.3, 0.35, 0.6])
        made |= dict(cka_divergence=[0.0, 0.1, 0.3], flow=0.1)
        made |= changes if name == case else {}
        place, depth = np.arange(13), np.linspace(0, 1, count)
        padded = np.append(depth, np.full(13 - count, np.nan))
        curves = {
            quantity: ("place", np.interp(padded, [0, 0.5, 1], made[quantity]))
            for quantity in ("learning", "forgetting", "cka_divergence")
        }
        below = np.tril(np.ones((13, 13)), -1)
        there = (place[:, None] < count) & (place < count)
        flow = np.where(there, made["flow"] * (below - below.T), np.nan)
        dims = ("ref_place", "place")
        curves |= {"flow": (dims, flow), "flow_before": (dims, 0 * flow)}
        grid = {"place": place, "ref_place": place}
        one = xr.Dataset({k: everywhere(v) for k, v in xr.Dataset(curves, grid).items()})
        left = 0.1 + 0 * one["learning"].isel(estimator=0, drop=True)
        one = one.assign(distance_before=left, distance_after=left)
        parts.append(one.assign(layer_depth=("place", padded), accuracy=("train_seed", [0.8] * 3)))
    ds = xr.concat(parts, xr.Variable("case", list(LAYERS)))
    return stamped(ds.assign_coords(dataset="cifar10"), "lens")


def judged(*ids: str, case: str = "", **changes: object) -> dict[str, str]:
    """The verdicts on the claims with these ids, or on all."""
    ((_, part),) = settings(results(case, **changes))
    claims = [c for c in CLAIMS["architectures"] if not ids or c.id[4:] in ids]
    return {k[4:]: v for k, v in verdicts(tuple(claims), part).items()}


REFUTED = {
    "late-above-early-learning": dict(learning=[0.35, 0.1, 0.2]),
    "late-above-early-forgetting": dict(forgetting=[0.6, 0.35, 0.3]),
    "u-shape": dict(learning=[0.1, 0.35, 0.6]),
    "forgetting-rises": dict(forgetting=[0.6, 0.35, 0.3]),
    "cka-early-near-zero": dict(cka_divergence=[0.3, 0.3, 0.3]),
    "similarity-is-not-invariance": dict(cka_divergence=[0.3, 0.3, 0.3]),
    "compression": dict(flow=-0.1),
}


def test_all_claims_hold_on_what_was_expected():
    found = judged()
    assert set(found.values()) == {"reproduced"}, found
    assert set(found) == {f"{name}-{claim}" for name in NAMES.values() for claim in REFUTED}


@pytest.mark.parametrize(
    ("claim", "case"), [(claim, list(LAYERS)[i % 3]) for i, claim in enumerate(REFUTED)]
)
def test_each_claim_can_fail_in_its_own_network(claim, case):
    ids = [f"{name}-{claim}" for name in NAMES.values()]
    found = judged(*ids, case=case, **REFUTED[claim])
    fallen = [id for id, verdict in found.items() if verdict == "not reproduced"]
    assert fallen == [f"{NAMES[case]}-{claim}"]


def test_results_of_other_networks_decide_nothing():
    ds = results().isel(case=[0])
    assert set(verdicts(CLAIMS["architectures"], ds).values()) == {"not testable here"}


def test_results_can_be_stored_and_shorter_networks_end_in_nothing(tmp_path):
    save_results(results(), tmp_path / "a.nc")
    shown = {"this run": open_results(tmp_path / "a.nc")}
    debiased = {title: ds.sel(estimator="debiased") for title, ds in shown.items()}
    numbers = table(shown)
    assert numbers.shape[1] == 3 and numbers.loc["compression"].tolist() == ["0.100"] * 3
    assert numbers.loc["CKA divergence by third"].str.count("nan").sum() == 0
    sizes = {title.split("\n")[1]: flow.shape for title, flow in flows(debiased).items()}
    assert sizes == {name: (n, n) for name, n in LAYERS.items()}


# --- the section ----------------------------------------------------------------------------------


def test_every_network_starts_from_its_own_training_on_the_same_images():
    section = Architectures.from_parameters(SMALL)
    for (network, seed), run in section.trainings().items():
        name, _, side = network.partition(":")
        assert (run.model, run.img_size, run.seed) == (name, int(side), seed)
        assert run.dataset == "cifar10" and run.parent.dataset == "cifar100"
    others = [run.model_dump(exclude={"model", "img_size", "weights"})
              for run in section.trainings().values() if run.seed == 0]  # fmt: skip
    assert len(others) == 3 and all(one == others[0] for one in others)


def test_the_usual_trainings_are_those_of_the_other_pages():
    found = Architectures.from_parameters(SMALL).trainings()["vit_tiny_patch16_224:64", 0]
    pool = SECTIONS["pretraining_dataset"].from_parameters(
        SMALL | {"scratch_n": 12000, "scratch_epochs": 6}
    )
    assert found == pool.run_from("cifar100", "cifar10")
    laptop = SECTIONS["finetuning_task"]().finetuning_run("digits")
    assert list(Architectures().trainings().values()) == [laptop]


def test_the_results_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    section = Architectures.from_parameters(load_scale("smoke") | {"train_seeds": [0, 1]})
    ds = dataset(section)
    for case, layers in {"vit_pico_patch8_32": 4, "conv4_w8:16": 5}.items():
        one = ds.sel(case=case)
        assert one["layer_depth"].dropna("place").values[[0, -1]].tolist() == [0, 1]
        there = one["forgetting"].notnull()
        assert (there.sum("place") == layers).all() and there.isel(place=slice(layers)).all()
        for left in (one["distance_before"], one["distance_after"]):
            assert ((left > 0) == there.isel(estimator=0)).all()
    assert (ds["forgetting"].isel(train_seed=0) != ds["forgetting"].isel(train_seed=1)).any()
    assert networks(section)["pixels"].tolist() == [32, 16]
    assert len(findings(ds)) == 2


@pytest.mark.parametrize("given", ["conv4:", ":64", "conv4:x", "conv4:0"])
def test_what_is_refused(given):
    with pytest.raises(ParameterError, match="is not network"):
        Architectures.from_parameters({"architectures": [given]})


def test_sentences_say_the_numbers():
    first, *_ = findings(results())
    assert "*vit_tiny_patch16_224:64*: test accuracy 0.80 [0.80, 0.80]; forgetting 0.32" in first
    assert "compression beyond the start 0.10 [0.10, 0.10]" in first
