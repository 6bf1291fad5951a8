"""Notebooks: committed without outputs, holding no algorithm, and each runs by itself."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from invlib.data.images import load_images
from papers.jupyter_kernels import FOLDER
from papers.parameters import ParameterError
from papers.run import run_notebook
from papers.sections import SECTIONS
from tests.workspace import ROOT, copy_project, environment

NOTEBOOKS = sorted(Path(ROOT, "notebooks").glob("*.ipynb"))
QUIET = {"JUPYTER_PREFER_ENV_PATH": "1", "TQDM_DISABLE": "1"}
HOSTILE = "<img src=x onerror=alert(1)>"
each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]


def python(cell: nbformat.NotebookNode) -> ast.Module:
    lines = [line for line in cell.source.splitlines() if not line.startswith(("%", "!"))]
    return ast.parse("\n".join(lines))


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy to run notebooks in, so that nothing is left in the project."""
    folder = copy_project(tmp_path_factory.mktemp("project"), "notebooks")
    shutil.copytree(ROOT / "data" / "papers", folder / "data" / "papers")
    if (ROOT / "data" / "results").is_dir():
        shutil.copytree(ROOT / "data" / "results", folder / "data" / "results")
    # The smallest scale on a data set of the reader's own, with a name that is not friendly.
    digits = [load_images("digits", split, n=100) for split in ("train", "test")]
    (folder / "data" / "datasets" / HOSTILE).mkdir(parents=True)
    for images in digits:
        file = folder / "data" / "datasets" / HOSTILE / f"{images.split}.npz"
        np.savez(file, images=images.images, labels=images.labels)
    smoke = yaml.safe_load((folder / "notebooks" / "scales" / "smoke.yaml").read_text())
    own = json.loads(json.dumps(smoke).replace('"digits"', json.dumps(HOSTILE)))
    assert own["datasets"] == [HOSTILE]
    (folder / "smoke.yaml").write_text(json.dumps(own))
    return folder


def take_ledgers(project: Path) -> None:
    """Let notebooks find the ledgers of reference results that other tests computed before."""
    own = project / "data" / "runs" / "ledgers"
    own.mkdir(parents=True, exist_ok=True)
    for file in (ROOT / "data" / "runs" / "ledgers").glob("*.nc"):
        if not (own / file.name).exists():
            shutil.copy2(file, own)


def papermill(
    project: Path, path: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "papermill", str(path.relative_to(ROOT)), "out.ipynb"]
    environ = environment(project) | QUIET | variables
    return subprocess.run(
        [*command, "--no-progress-bar", *arguments],
        cwd=project, env=environ, capture_output=True, text=True,
    )  # fmt: skip


def test_there_are_notebooks():
    assert NOTEBOOKS


@each
def test_it_is_valid_and_committed_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert "papermill" not in notebook.metadata
    for cell in code_cells(path):
        assert not cell.outputs and cell.execution_count is None
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


@each
def test_its_parameters_are_the_defaults_of_its_section(path):
    tagged = [c for c in code_cells(path) if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1, "one cell with the tag 'parameters'"
    values = {}
    for statement in python(tagged[0]).body:
        assert isinstance(statement, ast.Assign | ast.AnnAssign), ast.unparse(statement)
        target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
        values[target.id] = ast.literal_eval(statement.value)
    section = SECTIONS[path.stem]
    assert section.from_parameters(values) == section()
    # papermill says nothing is known of a parameter that the cell does not name
    assert set(values) == set(section.model_fields)


@each
def test_parameters_are_checked_before_anything_else(path):
    cells = code_cells(path)
    (tagged,) = [i for i, c in enumerate(cells) if "parameters" in c.metadata.get("tags", [])]
    before, after = cells[:tagged], cells[tagged + 1]
    assert not before, "code before the parameters runs unchecked"
    assert ".from_namespace(globals())" in after.source


@each
def test_it_defines_no_function(path):
    for cell in code_cells(path):
        for node in ast.walk(python(cell)):
            kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.While)
            assert not isinstance(node, kinds), f"an algorithm in a notebook:\n{cell.source}"


@pytest.fixture(scope="module")
def kernels(project, tmp_path_factory):
    """The environment of the project, with the process that forks kernels as for `make`."""
    if sys.platform != "linux":  # there make has none, either
        yield environment(project) | QUIET
        return
    folder = str(tmp_path_factory.mktemp("kernels"))
    environ = environment(project) | QUIET
    command = [sys.executable, "-m", "papers.jupyter_kernels", folder]
    with subprocess.Popen(command, cwd=project, env=environ) as server:
        while server.poll() is None and not os.listdir(folder):
            time.sleep(0.05)
        yield environ | {FOLDER: folder}
        assert server.poll() is None  # it did not fail, which would only be slow
        server.terminate()


@each
def test_it_runs_by_itself(path, project, kernels, monkeypatch):
    for name, value in kernels.items():
        monkeypatch.setenv(name, value)
    parameters = json.loads((project / "smoke.yaml").read_text()) | {"seeds": [1]}
    monkeypatch.chdir(project)
    take_ledgers(project)
    run_notebook(path.relative_to(ROOT), project / "out.ipynb", parameters)
    ran_well(path, project)


def ran_well(path: Path, project: Path) -> None:
    assert (project / "data" / "runs" / "smoke" / f"{path.stem}.nc").is_file()
    outputs = [o for cell in code_cells(project / "out.ipynb") for o in cell.outputs]
    said = [o.text for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    assert not said  # neither warnings nor progress bars
    for cell in code_cells(project / "out.ipynb"):  # a name is one figure's
        figures = [o for o in cell.outputs if {"image/png", "image/svg+xml"} & {*o.get("data", ())}]
        named = "name" in cell.metadata.get("mystnb", {}).get("figure", {})
        assert not named or len(figures) <= 1, cell.id
    shown = [o.data for o in outputs if o.output_type in ("display_data", "execute_result")]
    for output in shown:  # a page shows the first of these that there is; text it escapes itself
        for kind in ("text/html", "text/markdown", "text/latex", "image/svg+xml"):
            assert "<img src=x" not in output.get(kind, "")


def test_so_it_does_from_a_terminal(project):
    """The command of a reader, and a process of its own for the kernel."""
    path = ROOT / "notebooks" / "what_is_an_inversion.ipynb"
    done = papermill(project, path, "-f", "smoke.yaml", "-y", "seeds: [1]")
    assert done.returncode == 0, done.stderr[-4000:]
    ran_well(path, project)


# What papermill makes of `-p sedes 3` and `-p seeds '[0,1]'`, and what the notebook says.
BAD = {
    "misspelt": (
        ["-p", "sedes", "3"],
        {"sedes": 3},
        "unknown parameter 'sedes'; did you mean 'seeds'?",
    ),
    "text": (
        ["-p", "seeds", "[0,1]"],
        {"seeds": "[0,1]"},
        "pass lists with -y 'seeds: [0,1]'",
    ),
}


@each
@pytest.mark.parametrize("kind", BAD)
def test_bad_parameters_stop_it_at_once(path, kind):
    """The cells up to the one that checks, as papermill injects the parameters; no kernel."""
    _, parameters, said = BAD[kind]
    injected = parameterize_notebook(load_notebook_node(str(path)), parameters)
    cells = [c for c in injected.cells if c.cell_type == "code"]
    assert "injected-parameters" in cells[1].metadata.tags
    namespace = {"__name__": "__main__"}
    for cell in cells[:2]:
        exec(cell.source, namespace)
    with pytest.raises(ParameterError) as caught:
        exec(cells[2].source, namespace)
    assert str(caught.value).startswith(f"{path.stem}: ") and said in str(caught.value)


@pytest.mark.parametrize("kind", BAD)
def test_papermill_shows_one_line(kind, project):
    path = ROOT / "notebooks" / "finetuning_task.ipynb"
    arguments, _, said = BAD[kind]
    done = papermill(project, path, *arguments)
    assert done.returncode != 0
    assert f"ParameterError: {path.stem}: " in done.stderr and said in done.stderr
    ran = [cell for cell in code_cells(project / "out.ipynb") if cell.execution_count]
    shown = [o for cell in ran for o in cell.outputs if o.output_type == "error"]
    assert len(ran) == 3  # the defaults, the injected ones, and the one that refuses
    assert len(shown) == 1 and len(shown[0].traceback) == 1


# ── Which Python runs a notebook ──────────────────────────────────────────────────────────────────


@pytest.fixture
def other_python(tmp_path):
    """A kernel called python3 in JUPYTER_PATH, of a Python in another place."""
    python = tmp_path / "elsewhere" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    folder = tmp_path / "jupyter" / "kernels" / "python3"
    folder.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    packages = os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")])
    kernel = {"argv": argv, "display_name": "x", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(kernel | {"env": {"PYTHONPATH": packages}}))
    return {"JUPYTER_PATH": str(tmp_path / "jupyter")}


IN_PLACE_OF_A_SECTION = """
import papermill
from papers.__main__ import main
run = papermill.execute_notebook
def instead(notebook, out, **options):
    return run("asks.ipynb", out, **options | {"parameters": {}})
papermill.execute_notebook = instead
main(["run", "finetuning_task", "--scale", "smoke"])
"""


def test_the_workflow_runs_notebooks_in_its_own_python(project, other_python):
    cells = [nbformat.v4.new_code_cell("import sys; print(sys.executable)")]
    asks = nbformat.read(ROOT / "notebooks" / "finetuning_task.ipynb", as_version=4)
    asks.cells = cells
    nbformat.write(asks, project / "asks.ipynb")
    command = [sys.executable, "-c", IN_PLACE_OF_A_SECTION]
    environ = environment(project) | other_python
    done = subprocess.run(command, cwd=project, env=environ, capture_output=True, text=True)
    assert "ended without writing" in done.stderr
    *_, cell = code_cells(project / "data/runs/smoke/failed/finetuning_task.ipynb")
    assert cell.outputs[0].text.strip() == sys.executable


def test_notebooks_are_started_in_one_place():
    """So that the report, too, runs in this Python."""
    files = [file for folder in ("workflow", "papers") for file in (ROOT / folder).rglob("*.py")]
    starting = [file.name for file in files if "execute_notebook" in file.read_text()]
    assert starting == ["run.py"]


def test_a_kernel_of_another_python_stops_before_any_work(project, other_python):
    path = ROOT / "notebooks" / "finetuning_task.ipynb"
    done = papermill(project, path, "-p", "scale", "elsewhere", **other_python)
    assert done.returncode != 0 and "but started the kernel of" in done.stderr
    assert not (project / "data/runs/elsewhere").exists()
