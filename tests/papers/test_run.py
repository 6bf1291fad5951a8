"""``python -m papers run``: what it refuses in which words, and one real run of a notebook."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from invlib.results.netcdf import open_results
from papers.__main__ import main
from papers.run import _begin, _Line, _parameter, _place, _remove_empty, _tidy, run_notebook
from papers.sections import SECTIONS
from tests.workspace import ROOT, copy_project, environment

CLS = SECTIONS["finetuning_task"]


@pytest.fixture
def no_kernel(monkeypatch):
    """What is refused here is refused before a kernel is started."""

    def start(*_: object, **__: object) -> None:
        raise AssertionError("a notebook was started")

    monkeypatch.setattr("papers.run.run_notebook", start)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["finetuning_task", "sedes=3"],
            "finetuning_task: unknown parameter 'sedes'; did you mean",
        ),
        (["finetuning_task", "labels_n=3"], "finetuning_task: unknown parameter 'labels_n'"),
        (["finetuning_tsk"], "did you mean 'finetuning_task'?"),
        (["finetuning_task", "--scale", "labtop"], "did you mean 'laptop'?"),
        (["finetuning_task", "n=eight"], "n='eight' is text where a whole number is wanted"),
        (["finetuning_task", "n=3"], "n=3: input should be greater than or equal to 4"),
        (["finetuning_task", "n=8", "subspace_k=50"], "subspace_k=50 with n=8: allowed is 1 to 7"),
        (["finetuning_task", "seeds=0,0"], "seeds=[0, 0]: the same value twice"),
        (["finetuning_task", "seeds=[0"], "'seeds=[0' is no YAML; write lists as [0, 1]"),
        (["finetuning_task", "recipe=fats"], "did you mean 'fast'?"),
        (["finetuning_task", "finetuning_lr=-1"], "finetuning_lr=-1"),
        (["finetuning_task", "scale=../other"], "scale='../other'"),
        (["finetuning_task", "--override", "no.yaml"], "no.yaml"),
    ],
)
def test_bad_input_is_refused_in_three_lines_at_most(words, said, no_kernel, capsys):
    assert main(["run", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("papers: error: ") and error.count("\n") <= 3


def test_a_misspelt_name_in_an_override_is_refused(tmp_path, no_kernel, capsys):
    (tmp_path / "mine.yaml").write_text("sedes: [1]\n")
    assert main(["run", "finetuning_task", "--override", str(tmp_path / "mine.yaml")]) == 2
    assert "unknown parameter 'sedes'; did you mean 'seeds'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n=8", 8),
        ("seeds=[0, 1]", [0, 1]),
        ("seeds=0,1", [0, 1]),
        ("datasets=cifar10", ["cifar10"]),
        ("finetuning_lr=1e-3", 0.001),
        ("finetuning_n=None", None),
        ("cache=false", False),
        ("weights=a=b.safetensors", "a=b.safetensors"),
    ],
)
def test_values_are_read_as_they_are_written(text, value):
    assert _parameter(CLS, text) == (text.partition("=")[0], value)


def test_a_place_is_a_name_that_a_scale_may_have():
    place = _place(
        "laptop", {"trainings": ["sgd:0.05", "adam:0.0005:none"], "n": 8} | {"step": None}
    )
    assert place == "laptop-n-8-step-none-trainings-sgd-0-05-adam-0-0005-none"
    long = _place("laptop", {"trainings": ["sgd:0.05"] * 30})
    assert len(long) <= 80 and CLS.from_parameters({"scale": long}).scale == long
    assert CLS.from_parameters({"scale": place}).command.count("scales/laptop.yaml") == 1


def test_the_line_names_the_cell_and_its_heading():
    line = _Line("dynamics", ROOT / "notebooks" / "dynamics.ipynb")
    cells = [nbformat.v4.new_code_cell("n = 8", metadata={"tags": ["injected-parameters"]})]
    codes = [i for i, cell in enumerate(line.cells) if cell.cell_type == "code"]
    assert line.where(codes[0]).startswith(f"cell 1 of {len(codes)}")
    line.begin(cells[0], codes[0] + 1)  # papermill puts it after the parameters
    line.begin(line.cells[codes[1]], codes[1] + 1)
    assert re.fullmatch(rf"cell 2 of {len(codes)} \(.+\)", line.at)


def test_progress_does_not_stay_in_the_notebook(tmp_path):
    cell = nbformat.v4.new_code_cell("...")
    text = "a warning\nvit (pt), 25 %, 00:01 gone, 00:03 to go\n"
    cell.outputs = [
        nbformat.v4.new_output("stream", name="stderr", text=text),
        nbformat.v4.new_output("stream", name="stderr", text="\rtraining, 1 %, ? gone, ? to go"),
        nbformat.v4.new_output("stream", name="stdout", text="a table\n"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "a.ipynb")
    _tidy(tmp_path / "a.ipynb")
    (tidy,) = nbformat.read(tmp_path / "a.ipynb", as_version=4).cells
    assert [output.text for output in tidy.outputs] == ["a warning\n", "a table\n"]


@pytest.mark.parametrize(
    ("name", "words", "status", "said"),
    [
        ("ParameterError", "dynamics: n=9: there are 8", 2, "dynamics: n=9: there are 8\n"),
        ("FloatingPointError", "lr=9: training diverged", 1, "lr=9: training diverged\nThe note"),
        ("KeyError", "'a'\nb\nc\nd", 1, "): KeyError: 'a'\n… and 3 more lines\nThe notebook as"),
    ],
)
def test_what_stops_a_notebook_is_said_without_frames(
    name, words, status, said, monkeypatch, tmp_path, capsys
):
    def stop(notebook: Path, running: Path, *_: object, **__: object) -> None:
        running.write_text("{}")
        frames = ["\x1b[31mTraceback ...", f"{name}: {words}"]
        raise PapermillExecutionError(5, 3, "1/0", name, words, frames)

    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    monkeypatch.setattr("papers.run.run_notebook", stop)
    assert main(["run", "dynamics", "n=9"]) == status
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error and error.count("\n") <= 3
    # where nothing was done, nothing is left; else the notebook as far as it got
    assert (tmp_path / "laptop-n-9").exists() == (status == 1)
    if status == 1:
        assert (tmp_path / "laptop-n-9/failed/dynamics.ipynb").is_file()
        assert main(["--traceback", "run", "dynamics", "n=9"]) == 1
        assert "error: Traceback ...\n" in capsys.readouterr().err


def test_a_notebook_that_writes_no_results_has_failed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    monkeypatch.setattr("papers.run.run_notebook", lambda *_, **__: None)
    assert main(["run", "dynamics"]) == 1
    assert "dynamics: it ended without writing" in capsys.readouterr().err


def test_runs_that_end_beside_each_other_leave_the_folder_to_those_that_go_on(tmp_path):
    folder = tmp_path / "laptop" / "running"

    def often(name: str) -> None:
        file = folder / name
        for _ in range(500):
            _begin(file)
            assert file.stat().st_size == 0  # it was not taken away
            file.unlink()
            _remove_empty(folder, folder.parent)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(often, ["dynamics.ipynb", "placebo.ipynb", "accuracy.ipynb", "a.ipynb"]))
    assert not folder.parent.exists()


def test_a_kernel_that_dies_is_told_of_once(tmp_path, caplog):
    cell = nbformat.v4.new_code_cell("import os; os._exit(1)", metadata={"tags": ["parameters"]})
    notebook = tmp_path / "dies.ipynb"
    python = {"language_info": {"name": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=python), notebook)
    with pytest.raises(DeadKernelError):
        run_notebook(notebook, tmp_path / "executed.ipynb", {})
    assert not caplog.records  # run_section says it
    with pytest.raises(DeadKernelError):
        run_notebook(notebook, tmp_path / "executed.ipynb", {"n": 8})
    assert [record.message for record in caplog.records] == ["Passed unknown parameter: n"]


# ── A real run ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return copy_project(tmp_path_factory.mktemp("project"), "notebooks")


def run(project: Path, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "papers", "run", "what_is_an_inversion", "--scale", "smoke"]
    return subprocess.run(
        [*command, *words], cwd=project, env=environment(project), capture_output=True, text=True
    )


def test_a_section_runs_into_a_place_of_its_own(project):
    done = run(project, "seeds=1", "gallery=4", "n=8")
    assert done.returncode == 0, done.stderr
    assert "Passed unknown parameter" not in done.stderr and "Traceback" not in done.stderr
    folder = project / "data/runs/smoke-gallery-4-n-8-seeds-1"
    ds = open_results(folder / "what_is_an_inversion.nc")
    assert ds["seed"].values.tolist() == [1]
    assert yaml.safe_load(json.loads(json.dumps(ds.attrs["parameters"])))["gallery"] == 4
    cells = nbformat.read(folder / "what_is_an_inversion.ipynb", as_version=4).cells
    (injected,) = [c for c in cells if "injected-parameters" in c.metadata.get("tags", [])]
    names = re.findall(r"^(\w+) = ", injected.source, re.M)
    assert set(names) <= set(SECTIONS["what_is_an_inversion"].model_fields)
    assert not [o for c in cells for o in c.get("outputs", []) if o.get("name") == "stderr"]
    assert list((project / "data/runs/training").glob("*/done.json"))


def test_an_interrupted_run_ends_in_one_line(project):
    command = [sys.executable, "-m", "papers", "run", "what_is_an_inversion", "--scale", "smoke"]
    command += ["iterations=100000", "--quiet"]
    running = project / "data/runs/smoke-iterations-100000/running/what_is_an_inversion.ipynb"
    pipe, env = subprocess.PIPE, environment(project)

    def heed() -> None:  # a background job of a shell does not heed SIGINT, nor does its child
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        command, cwd=project, env=env, stdout=pipe, stderr=pipe, text=True, start_new_session=True,
        preexec_fn=heed,
    ) as process:  # fmt: skip
        try:
            begun = '"execution_count": 2'  # the first cell holds the parameters
            while process.poll() is None:
                if running.is_file() and begun in running.read_text():
                    break
                time.sleep(0.1)
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert said.strip() == "papers: interrupted; the same command goes on from here"
