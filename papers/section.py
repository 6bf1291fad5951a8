"""`Section`: the parameters of one notebook, checked before any work starts, and what it needs.

Papermill may pass a list as text, and it only logs an unknown name. Both mistakes would show up
minutes later, or never. So the first cell after the injected one builds a `Section`.
"""

from __future__ import annotations

import json
import reprlib
import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self

import psutil
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from invlib.fields import explain
from invlib.names import choices, nearest, unknown
from invlib.paths import results_root, runs_root
from papers.parameters import (
    ParameterError,
    Seeds,
    _is_plain,
    _may_be_parameter,
    usual_parameters,
)

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from IPython.display import HTML

    from invlib.training.run import TrainingRun

    Shown = Mapping[str, xr.Dataset]

__all__ = ["REFERENCE_SCALE", "Inverted", "Piece", "Section", "section_class"]

# The committed results of this scale are shown beside a reader's own run.
REFERENCE_SCALE = "cifar"

# Every section by its name. It is filled when the classes are defined, by importing `papers`.
_BY_NAME: dict[str, type[Section]] = {}

# Set in a namespace that was checked once, see `Section.from_namespace`.
_CHECKED = "_invlib_parameters_checked"


class Inverted(NamedTuple):
    """A model to invert: weights of `run` after `epoch`; `seed` draws test images and noise."""

    run: TrainingRun
    epoch: int
    seed: int


class Piece(NamedTuple):
    """What one of `Section.pieces` takes: a training, comparisons, inverted images x steps.

    If it is not `kept` itself, its inversions are, and the section compares once more.
    """

    run: TrainingRun
    comparisons: int
    image_steps: int
    kept: bool = True


class Section(BaseModel):
    """The parameters of one notebook, and the training runs it needs.

    A subclass adds parameters as fields, and defines `name` and `runs`. It imports neither torch
    nor xarray. The module of the same name in the folder ``work`` beside it computes the results.
    Defaults are those of the laptop scale and are written nowhere else. A field's description is
    its comment in the notebook. Types are strict: a list becomes a tuple, but text never becomes a
    number.

    `scale` names the workload, a file of ``notebooks/scales``. Results are kept in a folder of that
    name, and figures show it.

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
    long: ClassVar[bool] = False  # half a minute or more at the laptop scale: it begins early
    own_trainings: ClassVar[bool] = False  # the notebook does its many short trainings itself
    uses: ClassVar[tuple[str, ...]] = ()  # sections whose results it reads; they run first
    beside: ClassVar[tuple[str, ...]] = ()  # sections whose reference results its page shows, too
    compared: ClassVar[Mapping[str, str]] = {}  # parameter -> its label in the table of settings
    notes: ClassVar[Mapping[str, str]] = {}  # parameter -> its comment, if not the description

    scale: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] = Field(
        "laptop", description="the workload; also names the folder of the results"
    )
    seeds: Seeds = Field(
        (0, 1), description="each draws the images and the noise the inversions start from"
    )
    cache: bool = Field(True, description="reuse inversions kept on disk")

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        if "name" in vars(cls):
            _BY_NAME[cls.name] = cls

    def runs(self) -> dict[str, TrainingRun]:
        """Return the training runs of this section, by readable names. Imports no torch."""
        return {}

    @classmethod
    def reads(cls, parameters: Mapping[str, Any]) -> tuple[str, ...]:
        """Return those of `uses` whose results a run with these parameters reads."""
        return cls.uses

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return what is drawn of test images: a parameter, the data set, of how many (None: all).

        So that too large a number is refused before any work.
        """
        return []

    def to_invert(self) -> list[Inverted]:
        """Return the inversions of this section that can be jobs of their own. Imports no torch."""
        return []

    def pieces(self) -> dict[str, Piece]:
        """Return the pieces of the results by name; `work.piece` computes one. Imports no torch.

        They may be kept, see `papers.work.kept`. Then `dataset` only puts them together.
        """
        return {}

    def invert(self, part: int, parts: int) -> None:
        """Put one of `parts` shares of `to_invert` into the cache; `part` counts from 1."""
        base = import_module(f"{type(self).__module__.rpartition('.')[0]}.work.base")
        base.fill_cache(self, self.to_invert()[part - 1 :: parts])

    @property
    def work(self) -> ModuleType:
        """The module in ``work`` that computes this section. It may import torch."""
        package, _, name = type(self).__module__.rpartition(".")
        return import_module(f"{package}.work.{name}")

    @classmethod
    def measures(cls) -> ModuleType | None:
        """Load ``claims/<section>.py`` beside the section, its own measures; None if it has none.

        Examples
        --------
        >>> from papers.sections import SECTIONS
        >>> SECTIONS["dynamics"].measures().__name__, SECTIONS["finetuning_task"].measures()
        ('papers.merlin2023.claims.dynamics', None)
        """
        package = import_module(cls.__module__.rpartition(".")[0])
        if not Path(package.__path__[0], "claims", f"{cls.name}.py").is_file():
            return None
        return import_module(f"{package.__name__}.claims.{cls.name}")

    def dataset(self) -> xr.Dataset:
        """Compute the section's results and write them to `output`."""
        return self.work.dataset(self)

    def beside_reference(self, ds: xr.Dataset, name: str | None = None) -> dict[str, xr.Dataset]:
        """Return this run's Dataset and the reference results, see `papers.pages`."""
        return self._pages.beside_reference(self, ds, name)

    def setup(self, shown: Shown) -> pd.DataFrame:
        """Return a table of the settings of the paper and of each run, see `papers.pages`."""
        return self._pages.setup(self, shown)

    def rows(self, shown: Shown, **select: object) -> Iterator[tuple[str, xr.Dataset]]:
        """Yield a title and a Dataset for each row of a figure, see `papers.pages`."""
        return self._pages.rows(shown, **select)

    def first(self, shown: Shown) -> dict[str, xr.Dataset]:
        """Return every run with its first data set alone, see `papers.pages`."""
        return self._pages.first(shown)

    def further(self, shown: Shown) -> dict[str, xr.Dataset]:
        """Return the further data sets of the runs that have some, see `papers.pages`."""
        return self._pages.further(shown)

    def by_task(self, shown: Shown, **select: object) -> Iterator[tuple[str, xr.Dataset]]:
        """Yield a title and a Dataset of all data sets for each task, see `papers.pages`."""
        return self._pages.by_task(shown, **select)

    def verdicts(self, shown: Shown, *, of: str | None = None) -> HTML:
        """Return the verdicts on this section's claims, see `papers.pages`."""
        return self._pages.verdicts(of or self.name, shown)

    def made_with(self, *shown: Shown) -> HTML:
        """Return where the numbers of a page come from, see `papers.pages`."""
        return self._pages.made_with(*shown)

    @property
    def _pages(self) -> ModuleType:
        return import_module("papers.pages")  # imports xarray, pandas and all claims

    @classmethod
    def from_namespace(cls, namespace: dict[str, Any]) -> Self:
        """Build the section from a notebook's ``globals()``.

        Modules, functions, arrays and IPython's names are ignored. If the cell is run again by
        hand, all names that are no parameters are ignored, because the notebook has defined
        variables. A kernel of another Python than papermill's is refused. Models, data sets and
        numbers of images are checked as well, see `papers.work.check`.
        """
        if other := _other_python():
            raise ParameterError(
                f"{cls.name}: papermill runs in {other}, but started the kernel of {sys.prefix}; "
                "start it as `JUPYTER_PATH= JUPYTER_PREFER_ENV_PATH=1 papermill …`"
            )
        known = _every_parameter(cls)
        again = _CHECKED in namespace
        shell = namespace.get("get_ipython", lambda: None)()
        before = getattr(shell, "user_ns_hidden", ())  # with what a reader's PYTHONSTARTUP defines
        given = {
            name: value
            for name, value in namespace.items()
            if name in known
            or (not again and name not in before and _may_be_parameter(name, value))
        }
        section = cls.from_parameters(given)
        import_module("papers.work").check(section)  # imports torch, as all work does
        namespace[_CHECKED] = True
        return section

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Build the section from a mapping, which may have parameters of other sections too."""
        known = _every_parameter(cls)
        listed = f"; python -m papers parameters {cls.name} lists those there are"
        problems = [
            f"unknown parameter {name!r}{nearest(name, known) or listed}"
            for name in parameters
            if name not in known
        ]
        own = {name: value for name, value in parameters.items() if name in cls.model_fields}
        problems = problems or [
            f"{name}={reprlib.repr(value):.80} is a {type(value).__name__}; plain numbers, text "
            "and lists only, at most 10,000 of them"
            for name, value in own.items()
            if not _is_plain(value)
        ]
        if not problems:
            try:
                # Through JSON, because a strict tuple accepts a list only from there.
                section = cls.model_validate_json(json.dumps(own))
                section.runs()  # raises what a training run refuses, before any work
                return section
            except ValidationError as error:
                problems = list(map(_refusal, error.errors()))
            except (TypeError, ValueError) as error:
                problems = str(error).splitlines()
        raise ParameterError("\n".join(f"{cls.name}: {problem}" for problem in problems))

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return the section with the parameters in `update`, checked as by `from_parameters`."""
        own = type(self).model_fields
        if other := [name for name in update or {} if name not in own]:
            lines = [f"{self.name}: {unknown('parameter', name, own)}" for name in other]
            raise ParameterError("\n".join(lines))
        return self.from_parameters(self.model_dump(mode="json") | dict(update or {}))

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
        """Folder of the trainings, which all scales share: they are found by their id."""
        return runs_root("training")

    @property
    def inversions(self) -> Path | bool:
        """Folder of the cached inversions; False without a cache."""
        return self.cache and self.output.parent / "inversions"

    @property
    def command(self) -> str:
        """The papermill command that repeats this run from the root of the project."""
        base = usual_parameters(self.scale)
        file = ["-f", f"notebooks/scales/{base['scale']}.yaml"] if base else []
        usual = type(self).from_parameters(base).model_dump(mode="json")
        other = {k: v for k, v in self.model_dump(mode="json").items() if usual[k] != v}
        # YAML's own writer, because YAML reads JSON's 1e-05 as text
        text = yaml.safe_dump(other, default_flow_style=True, sort_keys=False, width=10**6)
        words = ["papermill", str(self.notebook), "out.ipynb", *file]
        return shlex.join(words + (["-y", text.strip()] if other else []))


def _other_python() -> Path | None:
    """Return the folder of the papermill that started this kernel, if it is another Python's."""
    parent = psutil.Process().parent()
    words = parent.cmdline() if parent else []
    at = [Path(word) for word in words[:3]]
    if not any(path.name == "papermill" for path in at):
        return None  # a server may well start kernels of other environments: one chooses them
    own = {Path(sys.executable).parent, Path(sys.prefix, "bin"), Path(sys.prefix, "Scripts")}
    mine = {folder.resolve() for folder in own}
    folders = [path.parent.resolve() for path in at if path.is_absolute()]
    return folders[0] if folders and not mine & set(folders) else None


def section_class(name: str) -> type[Section]:
    """Return the class of section `name`."""
    return _BY_NAME[choices("section", name, _BY_NAME)]


def _refusal(error: Mapping[str, Any]) -> str:
    """Return one of pydantic's errors as a line; for a list, how to pass it on a command line."""
    name, value = (*error["loc"], "")[0], error["input"]
    advice = ""
    if error["type"] in ("list_type", "tuple_type") and isinstance(value, str):
        example = value if value.startswith("[") else f"[{value}]"
        advice = f"; pass lists with -y '{name}: {example}'"
    return explain(error) + advice


def _every_parameter(cls: type[Section]) -> set[str]:
    """Return the parameters of all sections, because a scale's file has them all."""
    return set().union(cls.model_fields, *(section.model_fields for section in _BY_NAME.values()))
