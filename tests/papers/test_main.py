"""The command line: its help, what it does, and one line for what it cannot do."""

from __future__ import annotations

import json

import pytest
import xarray as xr

import invlib.paths
from invlib.results.netcdf import save_results
from papers.__main__ import main
from papers.parameters import load_scale
from papers.sections import SECTIONS, runs_of
from tests.papers.merlin2023.test_finetuning_task import as_the_paper, synthetic

COMMANDS = ("train", "claims", "bench", "parameters")


def test_train_lists_the_runs_of_a_scale(capsys):
    assert main(["train", "--scale", "smoke"]) == 0
    lines = capsys.readouterr().out.splitlines()
    parameters = load_scale("smoke")
    runs = runs_of(section.from_parameters(parameters) for section in SECTIONS.values())
    assert [line.split()[0] for line in lines] == list(runs)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["train", "--scale", "labtop"], "did you mean 'laptop'?"),
        (["train", "--scale", "smoke", "--id", "0123"], "id='0123' is no run of scale smoke"),
        (["train", "--id", "0123"], "; python -m papers train --scale laptop lists all"),
        (["plan", "--scale", "smoke", "--parts", "-4"], "parts=-4 must be a whole number"),
        (["claims", "--scale", "labtop"], "did you mean 'laptop'?"),
        (["bench", "--scale", "smoke", "--keep"], "--keep is for the full sizes"),
    ],
)
def test_bad_input_is_one_line_and_exit_status_2(arguments, said, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert error.startswith("papers: error: ") and "Traceback" not in error


@pytest.mark.parametrize(
    "arguments",
    [
        ["trian"],
        ["train", "--id", "a", "--all"],
        ["claim"],
        ["gpu", "run", "--budget", "-5"],
        ["gpu", "run", "--budget", "nan"],
        ["gpu", "sections", "--budget", "inf"],
    ],
)
def test_bad_usage_is_exit_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["claims", "--help"],
        ["bench", "--help"],
        ["parameters", "--help"],
    ],
)
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    assert "usage: python -m papers" in capsys.readouterr().out


def test_a_traceback_for_who_asks():
    with pytest.raises(ValueError, match="no run of scale"):
        main(["--traceback", "train", "--id", "0123"])


# --- claims ---------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(invlib.paths, "project_root", lambda: tmp_path)
    monkeypatch.setattr("papers.__main__.project_root", lambda: tmp_path)
    return tmp_path


def test_the_command_says_what_has_no_results(project, capsys):
    assert main(["claims", "--scale", "cifar"]) == 0
    assert capsys.readouterr().out.startswith(
        "finetuning_task: no results at scale cifar; there is no data/results/cifar/finetuning_task"
    )


@pytest.mark.parametrize("folder", ["results", "runs"])
def test_the_command_prints_a_table_for_each_data_set(project, capsys, folder):
    ds = synthetic([as_the_paper()] * 2)
    both = xr.concat([ds, ds], xr.Variable("dataset", ["cifar10", "digits"]))
    save_results(both, project / "data" / folder / "smoke" / "finetuning_task.nc")
    options = ["--runs"] if folder == "runs" else []
    assert main(["claims", "--scale", "smoke", *options]) == 0
    out = capsys.readouterr().out
    assert f"judged on data/{folder}/smoke/finetuning_task.nc" in out
    for dataset in ("cifar10", "digits"):
        assert f"scale smoke, data set {dataset}" in out and "2 trainings" in out
    assert out.count("A-4.1-u-shape-learning") == 2
    assert json.loads(ds.attrs["parameters"])["scale"] == "smoke"


def test_the_command_refuses_a_scale_that_does_not_exist(capsys):
    assert main(["claims", "--scale", "cifra"]) == 2
    assert "did you mean 'cifar'?" in capsys.readouterr().err
