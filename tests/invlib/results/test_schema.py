"""Kinds of results belong to packages: the library opens its own, and names the others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from invlib.results.schema import COORDS, KINDS, Kind, register
from tests.invlib.results.datasets import assert_agrees
from tests.workspace import ROOT, environment

CIFAR = ROOT / "data" / "results" / "cifar"
OPEN = """
import sys
from invlib.results.netcdf import open_results
from invlib.results.schema import KINDS
from invlib.results.validation import ResultError
print(*KINDS)
for path in sys.argv[1:]:
    try:
        print(open_results(path).attrs["kind"])
    except ResultError as error:
        print(error)
assert "papers" not in sys.modules
"""


def alone(*names: str) -> list[str]:
    """Open committed results in a process that has not imported papers; return what is printed."""
    command = [sys.executable, "-c", OPEN, *(str(CIFAR / name) for name in names)]
    out = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return out.stdout.splitlines()


def test_the_library_alone_opens_its_own_kinds_and_names_the_owner_of_others():
    known, *said = alone(
        "finetuning_task.nc", "pretraining_dataset.nc", "placebo.nc", "robustness.nc",
        "how_inverted.nc", "what_it_costs.nc", "unlearning.nc",
    )  # fmt: skip
    assert known.split() == ["comparison", "training", "probes", "benchmark"]
    assert said[:6] == ["comparison"] * 4 + ["benchmark"] * 2
    assert "kind='drift' is not one of 'comparison', 'training', 'probes', 'benchmark'" in said[6]
    assert said[7].endswith("import papers, in a checkout of the book") and len(said) == 8


def test_a_name_is_registered_once():
    register({"probes": KINDS["probes"]}, {"layer": COORDS["layer"]})  # again: no contradiction
    with pytest.raises(ValueError, match="'probes' is registered already"):
        register({"probes": Kind(None)}, {})
    with pytest.raises(ValueError, match="'layer' is registered already"):
        register({}, {"layer": COORDS["depth"]})


def test_the_tables_agree_with_themselves():
    for kind in KINDS.values():
        assert_agrees(kind)
    for name, field in COORDS.items():
        assert field.dims in COORDS and field.long_name, name


def test_the_variables_of_the_design_are_there_with_their_dims():
    square, control = "estimator seed ref_layer layer", "estimator seed layer"
    expected = {
        **dict.fromkeys(["stir_ft_pt", "stir_pt_ft", "stir_pt_pt", "stir_ft_ft"], square),
        **dict.fromkeys(["cka_ft_pt", "cka_pt_pt"], square),
        **dict.fromkeys(["stir_control_pt", "stir_control_ft"], control),
        **dict.fromkeys(["inversion_loss_pt", "inversion_loss_ft"], "seed ref_layer"),
        "subspace_ft_pt": "seed ref_layer layer",
    }
    fields = KINDS["comparison"].variables
    assert {name: fields[name].dims for name in expected} == expected
