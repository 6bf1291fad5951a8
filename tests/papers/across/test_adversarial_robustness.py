"""Adversarial robustness: attacks within their bound, claims that can hold and fail, sentences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from invlib import load_images, load_model
from papers.across.adversarial_robustness import ADVERSARIAL, AdversarialRobustness
from papers.across.work.adversarial_robustness import (
    CHECKS,
    attacked,
    checks,
    dataset,
    examples,
    findings,
    points,
    table,
)
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.settings import settings
from papers.parameters import ParameterError, load_scale
from papers.sections import SECTIONS
from tests.synthetic import LAYERS, comparison, diagonals, verdicts

POOL = ["sgd:0.02", "sgd:0.005", "adam:0.0003", "adam:0.0001"]
EPOCHS, SEEDS = range(5), range(3)
FIRST = np.array([0.1, 0.15, 0.2, 0.25, 0.3])  # the first setting by epoch
# of the settings after the last epoch, the last one adversarial
SPREAD = np.array([0.3, 0.1, 0.2, 0.4, 0.2])
LOST = np.array([0.22, 0.38, 0.32, 0.1, 0.6])
CLEAN = np.array([0.91, 0.88, 0.88, 0.90, 0.8])
UNDER = np.array([0.55, 0.38, 0.43, 0.6, 0.8])  # grows with the spread, and a little with CLEAN
EARLY = np.array([0, 0, 0, 0, 0.5])  # how much more the first half of the layers loses


def results(
    spread: np.ndarray = SPREAD,
    lost: np.ndarray = LOST,
    clean: np.ndarray = CLEAN,
    under: np.ndarray = UNDER,
    early: np.ndarray = EARLY,
    along: np.ndarray = FIRST,
    **checked: float,
) -> xr.Dataset:
    """Five settings of that forgetting and accuracy, in three trainings."""
    grid = {"setting": [*POOL, ADVERSARIAL], "train_seed": SEEDS, "epoch": EPOCHS, "layer": LAYERS}
    shape = [len(labels) for labels in grid.values()]
    alternating = 0.5 * np.where(LAYERS % 2, 1, -1)  # whose spread is that of the layers
    last = lost[:, None] + spread[:, None] * alternating + early[:, None] * (LAYERS < 6)
    whole = np.full(shape, np.nan)
    whole[:, :, -1] = last[:, None]
    whole[0] = (lost[0] + FIRST[:, None] * alternating)[None]
    forgotten = xr.DataArray(whole, grid, list(grid))

    def by_setting(values: np.ndarray, first: np.ndarray) -> xr.DataArray:
        made = xr.full_like(forgotten.isel(layer=0, drop=True), np.nan)
        made[:, :, -1] = values[:, None]
        made[0, :, :-1] = first[None, :-1]
        return made

    curves = diagonals(learning=forgotten, forgetting=forgotten, divergence=forgotten)
    curves = {k: v for k, v in curves.items() if k.startswith("stir") and k[8:10] == "pt"}
    curves["stir_pt_pt_diagonal"] = curves["stir_pt_pt_diagonal"].isel(setting=0, epoch=-1)
    names = ["linf:0.001", "l2:0.1"]
    attack = xr.DataArray([0.01, -0.01], {"attack": names}, ["attack"])
    usual = by_setting(under, under[0] + along - along[-1])
    levels = {"one step": 0.05, "stronger": -0.01, "large bound": 0.0, "other training": 0.1}
    levels |= {name.replace("_", " "): value for name, value in checked.items()}
    by_check = xr.DataArray(list(levels.values()), {"check": list(CHECKS)}, ["check"])
    kept = usual.isel(epoch=-1, drop=True) * (by_check["check"] != "large bound") + by_check
    kept = kept.where(kept["setting"].isin([POOL[0], ADVERSARIAL])) + 0 * attack
    made = {"attacked_accuracy": usual + attack, "checked_accuracy": kept}
    made["test_accuracy"] = by_setting(clean, np.full(5, 0.7))
    return comparison(curves | made, dataset="cifar10")


def judged(*ids: str, **changes: object) -> dict[str, str]:
    """The verdicts on the claims of these ids, or on all."""
    ((_, part),) = settings(results(**changes))
    claims = [c for c in CLAIMS["adversarial_robustness"] if not ids or c.id[4:] in ids]
    return {k[4:]: v for k, v in verdicts(tuple(claims), part).items()}


def test_all_claims_hold_on_what_was_expected():
    found = judged()
    assert set(found.values()) == {"reproduced"} and set(found) == set(REFUTED), found


REFUTED = {
    "stronger-attack": dict(stronger=-0.2),
    "one-step-is-weaker": dict(one_step=-0.1),
    "transfer-is-weaker": dict(other_training=-0.1),
    "large-bound": dict(large_bound=0.2),
    "spread-along-a-training": dict(along=FIRST[::-1]),
    "spread-goes-with-robustness": dict(spread=np.append(0.5 - SPREAD[:4], 0.2)),
    "spread-beyond-clean-accuracy": dict(spread=np.append(0.5 - SPREAD[:4], 0.2)),
    "forgetting-costs-robustness": dict(lost=np.append(0.5 - LOST[:4], 0.6)),
    "forgetting-beyond-clean-accuracy": dict(lost=np.append(0.5 - LOST[:4], 0.6)),
    "clean-goes-with-robustness": dict(clean=np.append(1.7 - CLEAN[:4], 0.8)),
    "adversarial-is-robust": dict(under=np.append(UNDER[:4], UNDER[0])),
    "adversarial-forgets-more": dict(lost=np.append(LOST[:4], 0.2), early=np.zeros(5)),
    "adversarial-forgets-earlier": dict(early=np.zeros(5)),
}


@pytest.mark.parametrize("id", REFUTED)
def test_each_claim_can_fail(id):
    assert judged(id, **REFUTED[id])[id] == "not reproduced"


def test_correlations_leave_out_the_adversarial_trainings():
    far = dict(under=np.append(UNDER[:4], 0.01), spread=np.append(SPREAD[:4], 0.9))
    id = "spread-goes-with-robustness"
    assert judged(id, **far)[id] == "reproduced"
    assert all(ADVERSARIAL not in one["setting"] for one in points(results()).values())


def test_a_correlation_has_an_interval_over_trainings():
    """Each training counts: with one that disagrees, the correlation is undecided."""
    ds, id = results(), "Q-4-spread-goes-with-robustness"
    ds["attacked_accuracy"] = ds["attacked_accuracy"].copy()
    ds["attacked_accuracy"].loc[dict(train_seed=1)] = 0.7 - UNDER[:, None, None] / 2
    claims = tuple(claim for claim in CLAIMS["adversarial_robustness"] if claim.id == id)
    assert verdicts(claims, ds)[id] == "undecided"


def test_a_single_training_has_no_images_of_another_one():
    id = "transfer-is-weaker"
    assert judged(id, other_training=np.nan)[id] == "not testable here"


# --- attacks --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def victim():
    """A network, images and the classes that it gives them, so that all are right at first."""
    model = load_model("vit_pico_patch8_32", num_classes=10, seed=3)
    x = load_images("digits", "test", n=12).tensor(32)
    with torch.no_grad():
        return model, x.numpy(), model.eval()(x).argmax(1).numpy()


def loss(model, x, labels):
    with torch.no_grad():
        return torch.nn.functional.cross_entropy(model(torch.tensor(x)), torch.tensor(labels))


@pytest.mark.parametrize(("attack", "order"), [("linf:0.03", np.inf), ("l2:0.5", 2)])
def test_an_attack_stays_in_its_bound_and_raises_the_loss(victim, attack, order):
    model, x, labels = victim
    section = AdversarialRobustness()
    state = np.random.get_state()[1].copy()
    changed = attacked(model, x, labels, attack, section)
    assert (np.random.get_state()[1] == state).all()
    size = np.linalg.norm((changed - x).reshape(12, -1), order, axis=1)
    bound = float(attack.partition(":")[2])
    assert (size <= bound * 1.0001).all() and size.max() > 0.9 * bound
    assert changed.min() >= 0 and changed.max() <= 1
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(x.shape).astype(np.float32)
    noise *= size.max() / np.linalg.norm(noise.reshape(12, -1), order, axis=1)[:, None, None, None]
    assert loss(model, changed, labels) > loss(model, np.clip(x + noise, 0, 1), labels) + 0.01
    assert np.array_equal(changed, attacked(model, x, labels, attack, section))
    assert not np.array_equal(changed, attacked(model, x, labels, attack, section, seed=1))


def test_images_that_are_wrong_already_are_left_alone(victim):
    model, x, labels = victim
    other = np.where(np.arange(12) < 4, (labels + 1) % 10, labels)
    changed = attacked(model, x, other, "linf:0.03", AdversarialRobustness())
    assert np.array_equal(changed[:4], x[:4]) and (changed[4:] != x[4:]).any(axis=(1, 2, 3)).all()
    assert attacked(model, x[:4], other[:4], "linf:0.03", AdversarialRobustness()) is not None


# --- the section ----------------------------------------------------------------------------------


def test_the_trainings_are_those_of_the_pool_and_their_adversarial_twin():
    parameters = load_scale("cifar", "notebooks/scales/overrides/cpu_questions.yaml")
    parameters |= {"trainings": [*POOL], "trainings_epochs": 8}
    found = AdversarialRobustness.from_parameters(parameters).trainings()
    task = SECTIONS["finetuning_task"].from_parameters(parameters)
    usual = task.finetuning_run("cifar10", seed=1)
    assert found["sgd:0.02", 1] == usual
    assert found[ADVERSARIAL, 1] == usual.model_copy(update={"adversary": 0.004})
    pool = SECTIONS["robustness"].from_parameters(parameters).runs()
    assert {pool[name] for name in POOL} == {found[name, 0] for name in POOL}
    laptop = SECTIONS["finetuning_task"]().finetuning_run("digits")
    assert list(AdversarialRobustness().trainings().values()) == [laptop]


def test_the_results_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    other = {"train_seeds": [0, 1], "other_settings": ["adamw:0.001"], "attacked_n": 30}
    section = AdversarialRobustness.from_parameters(load_scale("smoke") | other)
    ds = dataset(section)
    assert ds["setting"].values.tolist() == ["adamw:0.001", ADVERSARIAL]
    usual, checked = ds["attacked_accuracy"], ds["checked_accuracy"]
    first, twin = usual.isel(setting=0), usual.sel(setting=ADVERSARIAL)
    assert first.notnull().all() and twin.isel(epoch=-1).notnull().all()
    assert twin.isel(epoch=0).isnull().all()  # looked at after the last epoch only
    assert checked.notnull().all()  # two trainings, so each has another one's images
    assert (usual.isel(epoch=-1) <= ds["test_accuracy"].isel(epoch=-1) + 0.3).all()
    for check in ("stronger", "large bound"):
        assert (checked.sel(check=check) <= usual.isel(epoch=-1)).all()
    pictures, classes = examples(section, 3)
    assert [len(row) for row in pictures.values()] == [3, 3] and classes.shape == (3, 3)


@pytest.mark.parametrize(
    ("given", "said"),
    [({"attacks": ["linf"]}, "is not norm:bound"), ({"attacks": ["l2:-1"]}, "is not norm:bound"),
     ({"attacks": ["linff:0.1"]}, "did you mean 'linf'"), ({"attacks": []}, "at least"),
     ({"other_settings": ["sgd"]}, "is not optimiser:learning rate"),
     ({"adversary": 2.0}, "adversary=2.0")],
)  # fmt: skip
def test_what_is_refused(given, said):
    with pytest.raises(ParameterError, match=said):
        AdversarialRobustness.from_parameters(given)


def test_sentences_say_the_numbers():
    first, relation, robust = findings(results())
    assert "*sgd:0.02*: accuracy 0.91 [0.91, 0.91] on clean images and 0.55 [0.55, 0.55]" in first
    assert relation.startswith("Over 12 trainings, accuracy under attack correlates with")
    assert "under attack is 0.80 [0.80, 0.80], clean accuracy 0.80 [0.80, 0.80]" in robust


def test_the_table_of_checks_has_the_two_settings_that_are_checked():
    table = checks(results())
    assert [name for name, _ in table.index] == [POOL[0]] * 5 + [ADVERSARIAL] * 5
    assert table.loc[(POOL[0], "large bound"), "l2:0.1"] == 0


def test_the_table_has_a_column_for_each_setting():
    ds = results()
    shown = table(ds)
    assert list(shown.columns) == ds["setting"].values.tolist()
    assert {"clean", *ds["attack"].values, "forgetting"} < set(shown.index)
    last = ds["attacked_accuracy"].isel(epoch=-1).sel(attack="l2:0.1", setting=POOL[0])
    assert shown.loc["l2:0.1", POOL[0]] == round(float(last.mean()), 3)
