"""``make test-browser``: explorers in Chromium, from ``file://``, without a network.

Keys, a mouse and a finger choose; what the page then says is compared with the results.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import xarray as xr
from ipywidgets import VBox

from invlib import plots
from invlib.metrics.invariance import forgetting, invariance_flow
from invlib.metrics.jackknife import left_one_out
from invlib.paths import results_root
from invlib.results.netcdf import open_results
from papers import explorers
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import check_claims
from papers.claims.settings import by_training
from papers.merlin2023.robustness_scan import correlation_scan
from tests.book import small_book
from tests.book.browser import NARROW, WIDE

pytestmark = pytest.mark.skipif(
    not os.environ.get("BROWSER"), reason="it needs Chromium: make test-browser"
)


def results(name: str) -> xr.Dataset:
    return open_results(results_root("cifar") / f"{name}.nc")


def of(name: str) -> dict[str, xr.Dataset]:
    return {"reference: cifar": results(name)}


def tasks() -> dict[str, xr.Dataset]:
    return of("finetuning_task")


def judged_tasks() -> list:
    ledgers = [check_claims(CLAIMS["finetuning_task"], results("finetuning_task").isel(dataset=0))]
    return [("finetuning_task", Path("finetuning_task.nc"), ledgers, [])]


PAGES = {
    "flow": lambda: explorers.flow(of("compression_expansion")),
    "choices": lambda: explorers.choices("finetuning_task", tasks(), hue="task"),
    "p_value": lambda: explorers.p_value(of("dynamics")),
    "flipbook": lambda: explorers.flipbook(of("finetuning_task")),
    "two_models": lambda: explorers.flipbook(of("what_is_an_inversion")),
    "race": lambda: explorers.race(of("how_inverted")),
    "ledger": lambda: explorers.ledger(judged_tasks()),
}


def turning() -> VBox:
    ds = by_training(results("finetuning_task").isel(dataset=0)).sel(estimator="debiased")
    trainings = {str(seed): forgetting(ds.sel(seed=seed)) for seed in ds["seed"].values}
    figures = {k: plots.layer_curves({"cifar": {"forgetting": v}}) for k, v in trainings.items()}
    return explorers.turn(figures, label="Training")


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> Path:
    pages = {name: make().data for name, make in PAGES.items()} | {"turn": turning()}
    return small_book.build(tmp_path_factory.mktemp("book"), pages, ["flipbook"])


def state(page) -> str:
    return page.locator(".explorer-state").inner_text().replace("−", "-")


def near(text: str, value: float) -> bool:
    """Return whether a number was said: with two digits, and half a digit for its rounding."""
    return any(abs(float(n) - value) <= 0.0051 for n in re.findall(r"-?\d+\.\d\d\b", text))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_page_fits_and_has_a_name_and_a_state(visit, name, viewport):
    page = visit(name, viewport)
    explorer = page.locator("book-explorer")
    assert explorer.get_attribute("role") == "group" and explorer.get_attribute("aria-label")
    assert page.locator("[aria-live=polite]").count() == 1 and state(page)
    assert page.locator("script[type='application/json']").count() == 0  # it was built
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= viewport["width"]
    for details in page.locator("book-explorer details.explorer-table > summary").all():
        details.click()
        page.locator("book-explorer .explorer-table tbody tr").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


@pytest.mark.parametrize("name", PAGES)
def test_without_scripts_a_table_stands_there(visit, name):
    page = visit(name, java_script_enabled=False)
    if name == "ledger":  # all of it is there
        assert page.locator("li[data-paper]").count() == len(CLAIMS["finetuning_task"])
        return
    assert page.locator("book-explorer table").first.is_visible()
    assert "figures of this page" in page.locator("book-explorer").inner_text()


def test_the_flow_matrix_answers_to_keys_mouse_and_finger(visit):
    ds = by_training(results("compression_expansion").isel(dataset=0))
    flow = invariance_flow(ds).mean("seed")
    itself = invariance_flow(ds, target="pt").mean("seed")
    stir = ds["stir_ft_pt"].mean("seed")
    page = visit("flow")

    cell = page.locator("td[data-row='12'][data-column='4']")
    cell.hover()
    at = dict(task="classification", recipe="fast:50", estimator="debiased")
    assert state(page).startswith("M(12, 4)")
    assert near(state(page), float(flow.sel(at).sel(ref_layer=12, layer=4)))

    page.locator("td[tabindex='0']").focus()
    for key in ("ArrowUp", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    assert state(page).startswith("M(11, 6)")
    assert page.evaluate("document.activeElement.dataset.row") == "11"

    page.get_by_label("reconstruction").focus()  # radio buttons: the arrow keys choose
    page.get_by_label("reconstruction").check(force=True)
    page.get_by_label("fast:50").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_label("biased", exact=True).check(force=True)
    at = dict(task="reconstruction", recipe="ngd:50", estimator="biased")
    here = flow.sel(at).sel(ref_layer=11, layer=6)
    assert near(state(page), float(here))
    assert near(state(page), float(stir.sel(at).sel(ref_layer=11, layer=6)))
    assert near(state(page), float(stir.sel(at).sel(ref_layer=6, layer=11)))

    page.get_by_label("minus the baseline").check()
    del at["task"]
    assert near(state(page), float(here - itself.sel(at).sel(ref_layer=11, layer=6)))

    phone = visit("flow", NARROW, has_touch=True)
    phone.locator("td[data-row='3'][data-column='9']").tap()
    assert state(phone).startswith("M(3, 9)") and "expanded" in state(phone)


def test_choices_move_the_curves_and_the_verdicts(visit):
    ds = results("finetuning_task").isel(dataset=0)
    ledger = check_claims(CLAIMS["finetuning_task"], ds)
    page = visit("choices")
    assert "verdicts differ" not in state(page)
    before = page.locator(".explorer-chart polyline").first.get_attribute("points")

    page.get_by_label("debiased").focus()
    page.keyboard.press("ArrowLeft")
    page.get_by_label("taken as 1").check(force=True)
    asked = dict(estimator="biased", self_term="one")
    trusted = dict(estimator="debiased", self_term="measured")
    for claim in ledger["claim"].values:
        said = page.locator(f"[data-claim='{claim}'] strong").inner_text()
        assert said.endswith(str(ledger["verdict"].sel(claim=claim, **asked).values))
    differ = int((ledger["verdict"].sel(asked) != ledger["verdict"].sel(trusted)).sum())
    assert differ > 1 and f"{differ} verdicts differ" in state(page)
    assert page.locator(".explorer-claims .changed").count() == differ
    assert (
        page.locator(".explorer-chart polyline:not(.faint)").first.get_attribute("points") != before
    )

    page.get_by_role("slider", name="Read off at layer").focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    curve = forgetting(by_training(ds), self_term="one").sel(estimator="biased", layer=8)
    for task in ds["task"].values:
        assert near(state(page), float(curve.sel(task=task).mean("seed")))

    page.get_by_role("slider", name="Image left out").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.get_by_role("combobox", name="Training or draw").select_option("2")
    names = ["stir_pt_pt", "stir_ft_pt"]
    without = forgetting(left_one_out(ds, names), self_term="one").isel(left_out=2)
    without = without.sel(train_seed=2, estimator="biased", layer=8).mean("seed")
    for task in ds["task"].values:
        assert near(state(page), float(without.sel(task=task)))

    chart = page.locator(".explorer-chart").nth(1).bounding_box()  # layer 3 under the pointer
    page.mouse.move(chart["x"] + chart["width"] * (44 + 264 * 3 / 12) / 320, chart["y"] + 90)
    assert state(page).startswith("Layer 3:")
    text = page.evaluate(
        "parseFloat(getComputedStyle(document.querySelector('.explorer-chart text')).fontSize)"
    )
    assert text * chart["width"] / 320 >= 10


def test_choices_that_a_further_data_set_lacks_are_said(visit):
    page = visit("choices")
    page.get_by_role("combobox", name="Data set").select_option(label="eurosat")
    assert "no such" not in state(page)
    page.get_by_role("combobox", name="Training or draw").select_option("4")
    page.get_by_role("slider", name="Image left out").focus()
    page.keyboard.press("ArrowRight")
    assert "eurosat has no such training and no such image left out here" in state(page)
    ds = by_training(results("finetuning_task").sel(dataset="eurosat", train_seed=[0, 1, 2]))
    curve = forgetting(ds).sel(estimator="debiased", layer=12).mean("seed")
    for value in curve.values:
        assert near(state(page), float(value))


def test_the_reader_finds_a_p_value(visit):
    ds = results("dynamics")
    page = visit("p_value")
    page.get_by_label("cifar100").check(force=True)
    page.get_by_label("debiased").focus()
    page.keyboard.press("ArrowRight")  # the last one: round to the first
    page.get_by_role("combobox", name="Quantity", exact=True).select_option("learning")
    page.get_by_label("max").check(force=True)
    page.get_by_role("slider", name="Layers").focus()
    page.keyboard.press("Home")
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    page.get_by_label("without epoch 0").check(force=True)
    scan = correlation_scan(ds, epochs=slice(1, None))
    one = scan.sel(dataset="cifar100", hypothesis="max of learning, layers 1-8")
    one = one.sel(estimator="biased")
    said = state(page)
    assert said.startswith("max of learning, layers 1–8, without epoch 0")
    assert f"r = {float(one.correlation):.3f}" in said
    family = scan.sel(dataset="cifar100", estimator="biased")
    family = abs(family.correlation.sel(hypothesis=family.n_hypotheses == 352))
    assert f"{int((family >= abs(float(one.correlation))).sum())} of the 352" in said


@pytest.mark.parametrize("name", ["flipbook", "intro"])  # a page of text can show it, too
def test_the_flipbook_turns(visit, name):
    ds = results("finetuning_task").isel(dataset=0, train_seed=0).sel(estimator="debiased")
    page = visit(name, NARROW, has_touch=True)
    picture = page.locator(".explorer-picture[role=img]").nth(1)
    before = picture.get_attribute("style")
    page.get_by_role("slider", name="Layer").focus()
    page.keyboard.press("End")
    assert picture.get_attribute("style") != before
    assert near(state(page), float(ds["inversion_loss_pt"].sel(ref_layer=12).mean("seed")))
    gone = forgetting(ds).sel(layer=12, task="reconstruction").mean("seed")
    assert near(state(page), float(gone))
    page.get_by_role("combobox", name="Inverted model", exact=True).select_option(
        "fine-tuned: classification"
    )
    page.locator("fieldset label").filter(has_text="2").tap()
    assert (
        picture.get_attribute("aria-label")
        == "X′ of image 2 for layer 12, fine-tuned: classification"
    )
    left = ds["inversion_loss_ft"].sel(ref_layer=12, task="classification").mean("seed")
    assert near(state(page), float(left))


def test_a_flipbook_of_two_models_names_the_other(visit):
    page = visit("two_models")
    forgotten = forgetting(results("what_is_an_inversion")).sel(estimator="debiased")
    value = float(forgotten.sel(layer=6).mean("seed"))
    assert "the fine-tuned model" in state(page) and near(state(page), value)
    page.get_by_label("fine-tuned", exact=True).check(force=True)
    assert "Layer 6, fine-tuned: " in state(page) and "the pretrained model" in state(page)


def test_the_race_is_run_at_a_layer(visit):
    best = results("how_inverted")["race_best"]
    page = visit("race")
    page.get_by_role("slider", name="Layer").focus()
    page.keyboard.press("Home")
    page.get_by_role("combobox", name="Recipe", exact=True).select_option("adam:50")
    assert state(page).startswith("Layer 0: adam:50 leaves")
    assert near(state(page), float(best.sel(recipe="adam:50", race_layer=0)))
    assert page.locator(".explorer-picture[role=img]").count() == 2


def test_the_ledger_is_filtered(visit):
    verdict = judged_tasks()[0][2][0]["verdict"]
    trusted = verdict.sel(estimator="debiased", self_term="measured")
    hangs = trusted != verdict.sel(estimator="biased", self_term="measured")
    page = visit("ledger", NARROW)
    assert page.evaluate("document.documentElement.scrollHeight") < 2500
    page.get_by_role("button", name="Open all").click()
    page.get_by_label("not reproduced").check(force=True)
    page.get_by_label("estimator").check(force=True)
    wanted = int((hangs & (trusted == "not reproduced")).sum())
    assert wanted and page.locator("li[data-paper]:visible").count() == wanted
    assert state(page).startswith(f"{wanted} of {trusted.size} verdicts")
    assert page.get_by_role("heading", name="Paper A: finetuning task").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
def test_a_widget_turns_without_a_kernel(visit, viewport):
    ds = by_training(results("finetuning_task").isel(dataset=0)).sel(estimator="debiased", layer=12)
    ends = [f"to {float(end):.2f} at layer 12" for end in forgetting(ds.sel(task="classification"))]
    page = visit("turn", viewport)
    picture = page.locator(".cell_output img")
    picture.wait_for()
    seen = [picture.evaluate(PICTURE)]
    page.get_by_role("combobox", name="Training", exact=True).focus()
    for _ in ends[1:]:
        page.keyboard.press("ArrowDown")
        seen.append(picture.evaluate(PICTURE))
    assert picture.count() == 1 and len({one["src"] for one in seen}) == len(ends) == 5
    for one, end in zip(seen, ends, strict=True):
        assert end in one["alt"] and one["loaded"]
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


PICTURE = "one => ({src: one.src, alt: one.alt, loaded: one.complete && one.naturalWidth > 0})"


def test_what_draws_widgets_is_on_pages_with_widgets_alone(visit):
    loaded = "script[src*='widgets/embed.js']"
    assert visit("turn").locator(loaded).count() == 1
    assert visit("flow").locator(loaded).count() == 0
