"""What computing any section needs: checks, the device, writing and reading results."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache, wraps
from typing import TYPE_CHECKING

import torch
import xarray as xr

from invlib import load_images, load_model
from invlib.data.decoded import ImageFiles
from invlib.data.sources import EMBEDDED, find_source
from invlib.files import atomic
from invlib.paths import datasets_root, training_folder
from invlib.results.netcdf import open_results, save_results
from invlib.results.provenance import parameters_text, provenance
from invlib.training.run import TrainingRun
from papers.code import code_digest
from papers.parameters import ParameterError
from papers.section import Section, section_class

if TYPE_CHECKING:
    from IPython.display import HTML, Markdown

__all__ = ["best_device", "check", "html_of", "kept", "markdown_of", "results_of", "written"]

Compute = Callable[[Section], xr.Dataset]


def best_device() -> str:
    """Return ``"cuda"`` if there is a GPU, else ``"cpu"``."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def written(
    kind: str,
    *,
    seeds: Callable[[Section], Iterable[int]] = lambda section: section.seeds,
    device: str | None = None,
    keep: Iterable[str] = (),
) -> Callable[[Compute], Compute]:
    """Decorate a function so that its Dataset is written to the section's `output`.

    Provenance is added, and the result is returned as read back from the file. `seeds` are those of
    its trainings or images. Its device is `device`, that of the Dataset's attributes, or the best
    one. `keep` names other attributes to keep.
    """

    def decorate(compute: Compute) -> Compute:
        @wraps(compute)
        def dataset(section: Section) -> xr.Dataset:
            started = time.perf_counter()
            try:
                ds = compute(section)
            except FloatingPointError as error:  # of a training, which it names
                runs = [run for run in _trainings(section) if f"Run {run.id}" in str(error)]
                words = [section.name, *(_said(section, run.lr) for run in runs), str(error)]
                raise FloatingPointError(": ".join(words)) from None
            made = provenance(
                parameters=section,
                seeds=seeds(section),
                device=device or ds.attrs.get("device", best_device()),
                command=section.command,
                wall_time=time.perf_counter() - started,
            )
            made["trained_on"] = json.dumps(_trained_on(section))
            ds.attrs = {name: ds.attrs[name] for name in keep} | {"kind": kind} | made
            save_results(ds, section.output)
            return open_results(section.output)

        dataset.kind = kind
        return dataset

    return decorate


def kept(compute: Callable[[Section, str], xr.Dataset]) -> Callable[[Section, str], xr.Dataset]:
    """Decorate a function that computes one of a section's `pieces`, so that it may be kept.

    It is if ``INVLIB_PIECES`` is set, as by ``python -m papers gpu sections``, for the same device,
    parameters and code.
    """

    @wraps(compute)
    def piece(section: Section, name: str) -> xr.Dataset:
        if not os.environ.get("INVLIB_PIECES"):
            return compute(section, name)
        said = f"{code_digest()} {best_device()} {name} {parameters_text(section)}"
        key = hashlib.sha256(said.encode()).hexdigest()[:24]
        path = section.output.parent / "pieces" / f"{section.name}-{key}.pickle"
        if path.is_file():
            seal, blob = (whole := path.read_bytes())[:32], whole[32:]
            if hashlib.sha256(blob).digest() == seal:  # a damaged piece is made again
                return pickle.loads(blob)
        ds = compute(section, name).load()
        blob = pickle.dumps(ds)
        with atomic(path) as unfinished:
            unfinished.write_bytes(hashlib.sha256(blob).digest() + blob)
        return ds

    return piece


def results_of(section: Section, name: str) -> xr.Dataset:
    """Return the results of section `name` with the parameters of `section`.

    They are computed if there are none.

    Raises
    ------
    ParameterError
        If there are results with other parameters.
    """
    cls = section_class(name)
    own = section.model_dump(mode="json")
    other = cls.from_parameters({k: v for k, v in own.items() if k in cls.model_fields})
    for problem in _other_results(other):
        raise ParameterError(f"{section.name} needs {problem}")
    return open_results(other.output) if other.output.is_file() else other.dataset()


def html_of(text: str) -> HTML:
    """Return HTML for a notebook to show."""
    from IPython.display import HTML  # a borrowed GPU computes without notebooks

    return HTML(text)


def markdown_of(text: str) -> Markdown:
    """Return Markdown for a notebook to show."""
    from IPython.display import Markdown  # as above

    return Markdown(text)


# ── Checks before any work ───────────────────────────────────────────────────────────────────────


def check(section: Section) -> None:
    """Find before any work what would stop it later, or overwrite what others made.

    Raises
    ------
    ParameterError
        A line for each problem: results with other parameters in the same place, a model or a data
        set that there is not, more images than it has. At most three lines.
    """
    problems = [*_other_results(section), *_images(section)]
    for run in _trainings(section):
        if not (training_folder(run.id, section.training_root) / "done.json").is_file():
            problems += [f"{section.name}: {problem}" for problem in _problems(section, run)]
    lines = list(dict.fromkeys(problems))
    if lines:
        more = [f"and {len(lines) - 2} more"] if len(lines) > 3 else []
        raise ParameterError("\n".join(lines[: 2 if more else 3] + more))


def _other_results(section: Section) -> Iterator[str]:
    """Yield in words how the results in the section's place differ in parameters, if they do."""
    try:
        made = json.loads(open_results(section.output).attrs["parameters"])
    except (OSError, ValueError):  # none, or damaged ones, which nobody misses
        return
    here = json.loads(parameters_text(section))
    other = [f"{k}={v!r}" for k, v in made.items() if k in here and v != here[k]]
    if other:
        others = ", ".join(other[:3]) + (", …" if len(other) > 3 else "")
        yield (
            f"{section.name}: {section.output.parent.name}/{section.output.name} was made with "
            f"{others:.200}; another scale=NAME keeps both, deleting that file replaces it"
        )


def _images(section: Section) -> Iterator[str]:
    for name, dataset, most in section.samples():
        value = getattr(section, name)
        try:
            size = _size(dataset, "test")
        except (OSError, ValueError) as error:
            yield f"{section.name}: {_said(section, dataset)}: {error}"
            continue
        size = size if most is None else min(size, most)
        if value > size:
            yield f"{section.name}: {name}={value}: there are {size} test images of {dataset}"


def _problems(section: Section, run: TrainingRun) -> Iterator[str]:
    """Yield in words why `run` cannot be done. Its data set and its model are looked at."""
    try:
        for split, n in (("train", run.n_train), ("test", run.n_test)):
            endless = run.dataset.removeprefix("embedded:").startswith("shapes")
            size, skip = _size(run.dataset, split), run.skip if split == "train" else 0
            if n is not None and n + skip > size and not endless:
                seen = f", {skip} of them for another training" if skip else ""
                there = f"there are {size} {split} images of {run.dataset}{seen}"
                yield f"{_said(section, n)}: {there}"
    except (OSError, ValueError) as error:
        yield f"{_said(section, run.dataset)}: {error}"
    try:
        file = isinstance(run.weights, str) and run.weights != "timm"
        _build(run.model, run.weights if file else None, run.img_size)
    except (OSError, ValueError) as error:
        yield f"{_said(section, run.model)}: {error}"


@cache
def _size(dataset: str, split: str) -> int:
    """Return the number of images, of image files without reading them."""
    if dataset.removeprefix("embedded:") not in EMBEDDED:
        source = find_source(dataset, split, datasets_root())
        if isinstance(source, ImageFiles):
            return len(source.labels)
    return len(load_images(dataset, split))


@cache
def _build(model: str, weights: str | None, img_size: int | None) -> None:
    load_model(model, weights=weights, img_size=img_size)


def _trainings(section: Section) -> list[TrainingRun]:
    """Return the runs of a section and those that they start from."""
    runs = list(section.runs().values())
    for run in runs:  # also those that are added on the way
        runs += [run.parent] if run.parent and run.parent not in runs else []
    return runs


def _said(section: Section, value: object) -> str:
    """Return the parameters that have or hold a value, such as ``finetuning_lr=0.1``."""
    own = section.model_dump()
    names = [k for k, v in own.items() if v == value or isinstance(v, tuple) and value in v]
    return " or ".join(f"{name}={value!r}" for name in names) or repr(value)


def _trained_on(section: Section) -> dict[str, int]:
    """Return how many of the section's trainings were done on each device, threads included."""
    folders = [training_folder(run.id, section.training_root) for run in _trainings(section)]
    logs = [folder / "log.nc" for folder in dict.fromkeys(folders)]
    return dict(Counter(open_results(log).attrs["device"] for log in logs if log.is_file()))
