"""What pages say in passing about the known invariances is what the reference results say."""

import json
import re

import pytest

from invlib.paths import results_root
from invlib.results.netcdf import open_results
from papers.engine.truth_tables import error_table
from tests.workspace import ROOT


@pytest.fixture(scope="module")
def worst():
    table = error_table(open_results(results_root("cifar") / "known_invariances.nc"))
    return abs(table.filter(like="error")).max(axis=1).round(2)


@pytest.mark.parametrize(
    "page", ["book/method.md", "notebooks/how_inverted.ipynb", "notebooks/your_models.ipynb"]
)
def test_the_error_of_adam_is_the_one_that_was_measured(page, worst):
    text = (ROOT / page).read_text(encoding="utf-8")
    if page.endswith(".ipynb"):
        text = "".join(line for cell in json.loads(text)["cells"] for line in cell["source"])
    [said] = re.findall(r"off\s+by\s+up\s+to\s+(0\.\d+)", text)
    assert float(said) == worst.filter(like="anytime").max()


def test_the_error_of_lbfgs_is_the_one_that_was_measured(worst):
    text = (ROOT / "book/method.md").read_text(encoding="utf-8")
    [said] = re.findall(r"`lbfgs`, started at other images, by (0\.\d+)", text)
    assert float(said) == worst["lbfgs:50:images"]
