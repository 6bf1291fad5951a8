"""What pages show: runs side by side, verdicts and provenance."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest
import yaml

from invlib import learning
from invlib.paths import results_root
from invlib.results.netcdf import open_results, save_results
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.kept import kept_ledger
from papers.claims.settings import named, settings
from papers.claims.tables import claims_html
from papers.pages import _duration, made_with, provenance_html
from papers.parameters import load_scale
from papers.sections import SECTIONS
from tests.invlib.results.datasets import comparison
from tests.workspace import ROOT


@pytest.fixture(scope="module")
def section():
    return SECTIONS["finetuning_task"]()


@pytest.fixture(scope="module")
def shown(section):
    ds = open_results(section.reference)
    return section.beside_reference(ds)


def test_the_reference_stands_beside_a_run(section, shown):
    assert list(shown) == ["this run: laptop", "reference: cifar"]
    assert shown["reference: cifar"].equals(open_results(section.reference))


def test_a_row_for_every_run_and_data_set(section, shown):
    rows = list(section.rows(shown, estimator="debiased"))
    titles = [title for title, _ in rows]
    datasets = [named(label) for label in shown["reference: cifar"]["dataset"].values]
    assert titles == [f"{run}\n{dataset}" for run in shown for dataset in datasets]
    assert all(ds["estimator"].item() == "debiased" for _, ds in rows)


def test_the_first_data_set_stands_alone_and_the_further_ones_together(section, shown):
    first, further = section.first(shown), section.further(shown)
    names = shown["reference: cifar"]["dataset"].values.tolist()
    for title in shown:
        parts = [one[title]["dataset"].values.tolist() for one in (first, further)]
        assert parts == [names[:1], names[1:]]
    assert section.further(first) == {}
    rows = dict(section.rows(first, estimator="debiased"))
    assert list(rows) == [f"{title}\n{names[0]}" for title in shown]


def test_a_row_for_every_task_has_all_data_sets(section, shown):
    reference = {"reference: cifar": shown["reference: cifar"]}
    rows = dict(section.by_task(reference, estimator="debiased"))
    assert list(rows) == ["reference: cifar\nclassification", "reference: cifar\nreconstruction"]
    for title, together in rows.items():
        task = title.partition("\n")[2]
        for (_, alone), label in zip(
            section.rows(reference, estimator="debiased", task=task),
            together["dataset"].values,
            strict=True,
        ):
            ours, theirs = (learning(one).mean("seed") for one in (together, alone))
            np.testing.assert_allclose(ours.sel(dataset=label), theirs)


def test_a_run_with_one_data_set_stands_beside_no_run_with_several(section, shown):
    ds = shown["reference: cifar"]
    runs = {"one": ds.isel(dataset=[0]), "several": ds}
    assert [title.split("\n")[0] for title, _ in section.by_task(runs)] == ["several"] * 2
    alone = {"one": runs["one"]}
    assert [title.split("\n")[0] for title, _ in section.by_task(alone)] == ["one"] * 2


def test_the_setup_stands_beside_the_papers(section, shown):
    table = section.setup(shown)
    assert list(table.columns) == ["the paper", *shown]
    assert table.loc["model", "the paper"] == "vit_base_patch32_224"
    assert table.loc["training images", "the paper"] == "all"


def test_verdicts_are_a_table_for_each_row_under_an_escaped_title(section, shown):
    page = section.verdicts({"<b>mine</b>": shown["reference: cifar"]}).data
    count = shown["reference: cifar"].sizes["dataset"]
    assert page.count("<h3>") == page.count("<table") == count
    assert page.count("<h3>&lt;b&gt;mine&lt;/b&gt;\n") == count and "<b>mine" not in page


def test_verdicts_of_further_data_sets_are_folded_under_their_counts(section, shown):
    ds = shown["reference: cifar"].isel(dataset=[0, 1])
    page = section.verdicts({"reference": ds}).data
    before, folded = page.split("<details class='further'>")
    assert "<details" not in before and folded.endswith("</table></details>")
    (_, _), (_, second) = settings(ds)
    ledger = kept_ledger(CLAIMS["finetuning_task"], second)
    said = ledger["verdict"].sel(estimator="debiased", self_term="measured").values.tolist()
    assert f"{said.count('reproduced')} reproduced" in folded.partition("</summary>")[0]


def test_verdicts_of_a_single_training_are_folded(section, shown):
    """It decides nothing, whatever the numbers are."""
    ds = shown["reference: cifar"].isel(dataset=[0])
    for part, folded in ((ds, False), (ds.isel(train_seed=[0]), True)):
        assert section.verdicts({"mine": part}).data.startswith("<details") == folded


def test_no_name_reaches_a_page_as_html(section, shown):
    """Whatever shows a data set's name: verdicts, the box of provenance, the table of settings."""
    hostile = "<img src=x onerror=alert(1)>"
    ds = shown["reference: cifar"].isel(dataset=[0, 1])  # one that is shown and one that is folded
    ds = ds.assign_coords(dataset=[hostile + str(name) for name in ds["dataset"].values])
    parameters = json.loads(ds.attrs["parameters"]) | {"datasets": [hostile], "model": hostile}
    ds.attrs |= {"parameters": json.dumps(parameters), "command": f"papermill -y '{hostile}'"}
    runs = {f"this run: {hostile}": ds}
    pages = (
        section.verdicts(runs).data,
        section.made_with(runs).data,
        section.setup(runs)._repr_html_(),
        *(claims_html(kept_ledger(CLAIMS["finetuning_task"], part), compact=False)
          for _, part in settings(ds)),
    )  # fmt: skip
    for page in pages:
        assert "<img" not in page and "&lt;img" in page


def test_verdicts_of_another_section(section):
    dynamics = SECTIONS["dynamics"]()
    shown = {"": open_results(dynamics.reference)}
    own, other = dynamics.verdicts(shown), SECTIONS["robustness"]().verdicts(shown, of="dynamics")
    assert own.data == other.data != section.verdicts(shown).data


def test_every_run_shown_says_what_made_it(section, shown):
    assert section.made_with(shown).data.count("<aside") == 2
    assert section.made_with(shown, {"": shown["reference: cifar"]}).data.count("<aside") == 3


# --- provenance -----------------------------------------------------------------------------------


def test_the_box_says_it_all_and_escapes_it(tmp_path):
    ds = comparison().assign_attrs(
        git_commit="0123456789abcdef",
        git_dirty=1,
        device="<b>GPU</b>",
        created="2025-01-02T03:04:05+00:00",
        note="joined <later>",
    )
    box = provenance_html(open_results(save_results(ds, tmp_path / "a.nc")))
    for text in (
        "smoke", "2 (0, 1)", "1 min 05 s", "0123456789 with uncommitted changes",
        "&lt;b&gt;GPU&lt;/b&gt;", "2025-01-02 03:04:05 UTC", "comparison, version 1",
        "-y &#x27;seeds: [0, 1]&#x27;", "joined &lt;later&gt;",
    ):  # fmt: skip
        assert text in box, text
    assert "not stated" in provenance_html(ds.assign_attrs(parameters="{}", git_commit="unknown"))


def test_the_command_has_the_threads_and_what_comes_first(tmp_path):
    lens = "papermill notebooks/one_lens_on_three_papers.ipynb out.ipynb"
    ds = comparison().assign_attrs(
        device="cpu: an old one, 2 threads",
        trained_on=json.dumps({"cpu: an old one, 1 thread": 3}),
        git_commit="0123456789abcdef",
        git_dirty=0,
        command=lens,
    )
    box = provenance_html(ds)
    assert f"at commit 0123456789 with</p><pre><code>OMP_NUM_THREADS=2 .venv/bin/{lens}<" in box
    assert "3 on cpu: an old one, 1 thread" in box
    assert "the results of dynamics, unlearning, feature_erosion, collapse_and_plasticity: " in box


@pytest.mark.parametrize("images, reads", [("photos", False), (None, True)])
def test_a_report_on_ones_own_models_reads_no_other_results(images, reads):
    command = "papermill notebooks/your_models.ipynb out.ipynb"
    parameters = json.dumps({"images": images})
    box = provenance_html(comparison().assign_attrs(command=command, parameters=parameters))
    assert ("It reads the results of finetuning_task" in box) == reads


@pytest.mark.parametrize(
    "path", sorted((ROOT / "data/results/cifar").glob("*.nc")), ids=lambda path: path.stem
)
def test_the_command_of_a_reference_result_has_its_parameters(path):
    """As papermill reads it; the scale's file is that of the commit, which the page names."""
    attrs = open_results(path).attrs
    words = shlex.split(attrs["command"])
    given = yaml.safe_load(words[words.index("-y") + 1]) if "-y" in words else {}
    made = json.loads(attrs["parameters"])
    assert given.items() <= made.items()
    known = load_scale("cifar") if "-f" in words else SECTIONS[path.stem]().model_dump(mode="json")
    if words == ["python", "-m", "papers", "bench"]:
        known |= load_scale("cifar", "notebooks/scales/overrides/cpu.yaml") | {"scale": "bench"}
    differs = {k for k, v in (known | given).items() if k in made and made[k] != v}
    used = json.loads(attrs["seeds"])
    if len(used) < len(made["seeds"]) and known["seeds"][: len(used)] == used:
        differs.discard("seeds")  # the section takes the first, whatever follows
    assert not differs


@pytest.mark.parametrize(
    "seconds, text",
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (59.96, "1 min 00 s"), (3600, "1 h 00 min"),
     (3599.9, "1 h 00 min"), (7384, "2 h 03 min")],
)  # fmt: skip
def test_durations(seconds, text):
    assert _duration(seconds) == text


def test_a_reference_result_in_another_folder_is_named_with_it():
    ds = open_results(results_root("cifar_96px") / "convergence.nc")
    box = made_with({"reference in cifar_96px": ds}).data
    assert "<code>data/results/cifar_96px/convergence.nc</code>" in box
