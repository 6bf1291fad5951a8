"""The parameters of a notebook: read from its namespace, checked before any work starts.

Papermill passes text where a list was meant and only logs a name that does not exist; both would
show up minutes later, or never. So the first cell after the injected one builds a `Section`.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from invlib.names import nearest
from invlib.paths import results_root, runs_root
from papers.parameters import (
    ParameterError,
    Seeds,
    _is_plain,
    _may_be_parameter,
    explain,
    load_scale,
)

if TYPE_CHECKING:
    import xarray as xr

    from invlib.training.run import TrainingRun

__all__ = ["Section", "best_device", "section_class"]

# The committed results of one scale stand beside every reader's own run.
REFERENCE_SCALE = "cifar"

# Every section by its name: filled as the classes are defined, which `papers` does at its import.
_BY_NAME: dict[str, type[Section]] = {}

# Left in a namespace that was checked once, see `Section.from_namespace`.
_CHECKED = "_invlib_parameters_checked"


def best_device() -> str:
    """Return ``"cuda"`` where there is one, else ``"cpu"``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class Section(BaseModel):
    """What the notebook of one section of a paper is run with, and what it needs.

    A subclass adds its parameters as fields and says `name`, `runs` and `dataset`. Types are
    those of JSON and strict: a list becomes a tuple, but text never becomes a number.

    Parameters
    ----------
    scale : str
        The workload, a file of ``notebooks/scales``: where results are kept, and what a figure
        says about itself.
    seeds : tuple of int
        Each draws the images that are inverted *and* the noise the inversion starts from.
    cache : bool
        Reuse inversions kept on disk.

    Raises
    ------
    ParameterError
        From `from_namespace` and `from_parameters`, one line for each parameter.

    Examples
    --------
    >>> class Toy(Section):
    ...     name = "toy"
    ...     n: int = 64
    >>> Toy.from_parameters({"seeds": [0, 1], "n": 8})
    Toy(scale='laptop', seeds=(0, 1), cache=True, n=8)
    >>> Toy.from_parameters({"sedes": 3})
    Traceback (most recent call last):
        ...
    papers.parameters.ParameterError: toy: unknown parameter 'sedes'; did you mean 'seeds'?
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    name: ClassVar[str]  # of the notebook, of its results, and in SECTIONS
    alone: ClassVar[bool] = False  # it measures time: the workflow runs nothing beside it
    own_trainings: ClassVar[bool] = False  # many short ones: its notebook does them, in one process
    uses: ClassVar[tuple[str, ...]] = ()  # sections whose results it reads, made before it

    # becomes a folder name
    scale: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] = "laptop"
    seeds: Seeds = (0, 1, 2)
    cache: bool = True

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        if "name" in vars(cls):
            _BY_NAME[cls.name] = cls

    def runs(self) -> dict[str, TrainingRun]:
        """Return the training runs this section needs, by a name for people. Imports no torch."""
        return {}

    @property
    def work(self) -> ModuleType:
        """The module that computes the section, which may import torch: ``work`` beside its own."""
        package, _, name = type(self).__module__.rpartition(".")
        return import_module(f"{package}.work.{name}")

    def dataset(self) -> xr.Dataset:
        """Compute the section's results and write them to `output`."""
        return self.work.dataset(self)

    def results_of(self, name: str) -> xr.Dataset:
        """Return the results of section `name` with this one's parameters, computed if need be."""
        from invlib.results.netcdf import open_results
        from invlib.results.provenance import parameters_text

        cls = section_class(name)
        own = self.model_dump(mode="json")
        other = cls.from_parameters({k: v for k, v in own.items() if k in cls.model_fields})
        if other.output.is_file():
            ds = open_results(other.output)
            if json.loads(ds.attrs["parameters"]) == json.loads(parameters_text(other)):
                return ds
        return other.dataset()

    def finish(
        self,
        ds: xr.Dataset,
        *,
        kind: str,
        device: object,
        started: float,
        seeds: Iterable[int] | None = None,
        **attrs: str,
    ) -> xr.Dataset:
        """Say in `ds` what made it, write it to `output`, return it as it is read back.

        `started` is ``time.perf_counter()`` of when work began; `seeds` are those of the section
        where no others are given; `attrs` are kept besides.
        """
        from invlib.results.netcdf import open_results, save_results
        from invlib.results.provenance import provenance

        ds.attrs = (
            attrs
            | {"kind": kind}
            | provenance(
                parameters=self,
                seeds=self.seeds if seeds is None else seeds,
                device=device,
                command=self.command,
                wall_time=time.perf_counter() - started,
            )
        )
        save_results(ds, self.output)
        return open_results(self.output)

    @classmethod
    def from_namespace(cls, namespace: dict[str, Any]) -> Self:
        """Build the section from a notebook's ``globals()``.

        What notebooks define besides parameters (modules, functions, arrays, IPython's own names)
        is passed over. So is, when the cell is run again by hand, every name that is no
        parameter: by then the notebook's own variables are among them.
        """
        known = _every_parameter(cls)
        again = _CHECKED in namespace
        given = {
            name: value
            for name, value in namespace.items()
            if name in known or (not again and _may_be_parameter(name, value))
        }
        section = cls.from_parameters(given)
        namespace[_CHECKED] = True
        return section

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Build the section from a mapping that may hold other sections' parameters as well."""
        known = _every_parameter(cls)
        problems = [
            f"unknown parameter {name!r}{nearest(name, known) or _list(known)}"
            for name in parameters
            if name not in known
        ]
        if problems:
            raise ParameterError(_lines(cls, problems))
        own = {name: value for name, value in parameters.items() if name in cls.model_fields}
        for name, value in own.items():
            if not _is_plain(value):
                kind = type(value).__name__
                problems.append(f"{name}={value!r} is a {kind}; plain numbers, text and lists only")
        if problems:
            raise ParameterError(_lines(cls, problems))
        try:
            # By way of JSON, where a list stands for a tuple although types are strict.
            section = cls.model_validate_json(json.dumps(own))
            section.runs()  # what a training run refuses shows here, before any work
        except ValidationError as error:
            raise ParameterError(_lines(cls, map(explain, error.errors()))) from None
        except (TypeError, ValueError) as error:
            raise ParameterError(_lines(cls, [str(error)])) from None
        return section

    @property
    def notebook(self) -> Path:
        """Path of the section's notebook, relative to the project."""
        return Path("notebooks", f"{self.name}.ipynb")

    @property
    def output(self) -> Path:
        """Path of the results of a run at this scale."""
        return runs_root(self.scale) / f"{self.name}.nc"

    @property
    def reference(self) -> Path:
        """Path of the reference results, which come with the project."""
        return results_root(REFERENCE_SCALE) / f"{self.name}.nc"

    @property
    def training_root(self) -> Path:
        """Folder of the training runs of this scale."""
        return runs_root(self.scale) / "training"

    @property
    def command(self) -> str:
        """The papermill command that repeats this run from the root of the project."""
        try:
            usual = type(self).from_parameters(load_scale(self.scale))
            file = ["-f", f"notebooks/scales/{self.scale}.yaml"]
        except ParameterError:  # a scale with no file: say every value that is not the default
            usual, file = type(self)(), []
        usual = usual.model_dump(mode="json")
        other = {k: v for k, v in self.model_dump(mode="json").items() if usual[k] != v}
        # YAML's own writer, because YAML reads JSON's 1e-05 as text
        text = yaml.safe_dump(other, default_flow_style=True, sort_keys=False, width=10**6)
        words = ["papermill", str(self.notebook), "out.ipynb", *file]
        return shlex.join(words + (["-y", text.strip()] if other else []))


def section_class(name: str) -> type[Section]:
    """Return the class of section `name`."""
    return _BY_NAME[name]


def _every_parameter(cls: type[Section]) -> set[str]:
    """Names that any section knows: a scale file serves all notebooks."""
    return set().union(cls.model_fields, *(section.model_fields for section in _BY_NAME.values()))


def _list(names: set[str]) -> str:
    return "; known are " + ", ".join(sorted(names))


def _lines(cls: type[Section], problems) -> str:
    return "\n".join(f"{cls.name}: {problem}" for problem in problems)
