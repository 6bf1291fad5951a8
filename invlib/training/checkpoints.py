"""The folder of a training run, ``<root>/<run.id>/``. Every file in it is whole or absent.

=========================  ========================================================================
``run.json``               the settings of the run
``epoch_000.safetensors``  weights under timm's names, before any step; then one file per epoch
``state_000.safetensors``  optimiser and log after that epoch, to continue from there; the last two
``log.nc``                 loss and accuracy over epochs
``done.json``              written last, when the run is finished
=========================  ========================================================================

Weights and states have a seal: a digest of the file in its own header, see `invlib.files.seal`.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
from torch import Tensor

from invlib.files import atomic, content, read_sealed, write_sealed
from invlib.models.loading import load_model
from invlib.models.staged import StagedModel
from invlib.results.netcdf import open_results
from invlib.training.run import TrainingRun

__all__ = ["Trained"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A training run and its folder on disk, finished or not."""

    run: TrainingRun
    path: Path

    @property
    def epochs(self) -> list[int]:
        """The epochs whose weights are stored; 0 is before any step."""
        return self._stored("epoch")

    @property
    def complete(self) -> bool:
        """Whether the run is finished, and every file that a reader will open is whole and its own.

        Weights of older versions have no seal. Of these, only the last are compared with a digest.
        """
        return self.problem is None

    @property
    def problem(self) -> str | None:
        """What keeps the run from being complete, in words; None if nothing does."""
        last, id = self.run.epochs, self.run.id
        try:
            done = json.loads((self.path / "done.json").read_bytes())
            if (done["run"], done["epochs"]) != (id, last):
                raise ValueError(f"{self.path / 'done.json'} belongs to another run")
            stored = TrainingRun.from_json((self.path / "run.json").read_text())
            places = {"weights": self.run.weights, "dataset": self.run.dataset}  # may have moved
            if stored.model_copy(update=places) != self.run:
                raise ValueError(f"{self.path / 'run.json'} describes another run")
            self._check_weights_to(last)
            if content(self._file(last)) != f"file:{done['weights_sha256']}":
                raise ValueError(f"{self._file(last)} is not what done.json says it is")
            if len(self.log["epoch"]) != last + 1:
                raise ValueError(f"{self.path / 'log.nc'} is the log of another run")
        except (OSError, ValueError, TypeError, KeyError) as error:
            return str(error)
        return None

    @property
    def log(self) -> xr.Dataset:
        """Loss and accuracy over epochs, a Dataset of kind ``"training"``."""
        return open_results(self.path / "log.nc")

    def checkpoint(self, epoch: int = -1) -> Path:
        """Return the safetensors file of `epoch`, or ValueError; -1 is the last one stored."""
        stored = self.epochs
        if epoch == -1 and stored:
            epoch = stored[-1]
        if epoch not in stored:
            raise ValueError(
                f"epoch={epoch!r} of run {self.run.id} is not stored; stored are "
                f"{', '.join(map(str, stored)) or 'none'} (keep={self.run.keep!r}); -1 is the last"
            )
        return self._file(epoch)

    def model(self, epoch: int = -1) -> StagedModel:
        """Return the model after `epoch`, with its own head, in evaluation mode on the CPU."""
        return load_model(self.run.model, weights=self.checkpoint(epoch))

    # ── Writing: only `train` calls this, and holds the lock of the folder ───────────────────────

    def begin(self) -> None:
        """Remove unfinished files (also of safetensors) of a killed process; write ``run.json``."""
        if (self.path / "done.json").exists():
            logger.warning("run %s was finished, but %s", self.run.id, self.problem)
        for leftover in [*self.path.glob(".*tmp*"), self.path / "done.json"]:
            leftover.unlink(missing_ok=True)
        _write(self.path / "run.json", self.run.to_json())

    def store(self, epoch: int, model: StagedModel, state: dict[str, Any]) -> None:
        """Write the weights after `epoch`, then `state`. With both written, the epoch is finished.

        What the two last epochs need to continue from them is kept, so one of them may be damaged.
        """
        head = model.net.num_classes if model.task == "classification" else None
        settings = {"model": self.run.model, "img_size": model.img_size, "task": model.task}
        self._save("epoch", epoch, model.net.state_dict(), settings | {"num_classes": head})
        slots = state["optimizer"]["state"]
        tensors = {
            f"{parameter} {name}": value
            for parameter, values in slots.items()
            for name, value in values.items()
            if value is not None  # SGD without momentum has nothing to keep
        }
        rest = {"groups": state["optimizer"]["param_groups"], "log": state["log"]}
        self._save("state", epoch, tensors, rest)
        self._drop(epoch - 1, epoch)

    def resume(self, model: StagedModel) -> dict[str, Any] | None:
        """Load the last epoch whose weights and state are whole; return its state, or None.

        The weights go into `model`. Warnings name what is damaged, and a run that starts again.
        """
        for epoch in reversed(self._stored("state")):
            try:
                self._check_weights_to(epoch)
                tensors, settings = self._load("state", epoch)
                weights, _ = self._load("epoch", epoch)
            except (OSError, ValueError) as error:
                logger.warning("run %s cannot go on from epoch %d: %s", self.run.id, epoch, error)
                continue
            model.net.load_state_dict(weights)
            self._drop(epoch - 1, epoch)  # a killed process may not have come to it
            slots: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                parameter, name = key.split(" ")
                slots.setdefault(int(parameter), {})[name] = value
            optimizer = {"state": slots, "param_groups": settings["groups"]}
            return {"optimizer": optimizer, "log": settings["log"]}
        if self.epochs:
            said = "run %s has no epoch with both weights and state whole: it starts again"
            logger.warning(said, self.run.id)
        self._drop()
        return None

    def finish(self) -> None:
        """Write ``done.json``."""
        self._drop(self.run.epochs, *([self.run.epochs - 1] if self.run.keep == "all" else []))
        digest = content(self.checkpoint()).removeprefix("file:")
        done = {"run": self.run.id, "epochs": self.run.epochs, "weights_sha256": digest}
        _write(self.path / "done.json", json.dumps(done, indent=2))

    def _save(self, kind: str, epoch: int, tensors: dict[str, Tensor], rest: dict) -> None:
        tensors = {name: x.detach().cpu().contiguous() for name, x in tensors.items()}
        settings = {"run": self.run.id, "epoch": epoch} | rest
        write_sealed(tensors, self._file(epoch, kind), settings)

    def _drop(self, *going_on: int) -> None:
        """Remove states but of these epochs; with ``keep="ends"`` weights but of these and of 0."""
        for epoch in set(self._stored("state")) - set(going_on):
            self._file(epoch, "state").unlink()
        for epoch in set(self.epochs) - {0, *going_on} if self.run.keep == "ends" else ():
            self._file(epoch).unlink()

    def _file(self, epoch: int, kind: str = "epoch") -> Path:
        return self.path / f"{kind}_{epoch:03d}.safetensors"

    def _stored(self, kind: str) -> list[int]:
        files = self.path.glob(f"{kind}_*.safetensors")
        return sorted(int(file.stem.removeprefix(f"{kind}_")) for file in files)

    def _check_weights_to(self, epoch: int) -> None:
        """Raise OSError or ValueError unless all weights up to `epoch` that are kept are whole."""
        for needed in range(epoch + 1) if self.run.keep == "all" else {0, epoch}:
            self._load("epoch", needed, tensors=False)

    def _load(self, kind: str, epoch: int, *, tensors: bool = True) -> tuple[dict, dict]:
        """Read a file; raise OSError or ValueError unless it is whole, and this run's `epoch`."""
        path = self._file(epoch, kind)
        loaded, settings = read_sealed(path, tensors=tensors)
        if (settings.get("run"), settings.get("epoch")) != (self.run.id, epoch):
            raise ValueError(f"{path} is not of epoch {epoch} of run {self.run.id}")
        return loaded, settings


def _write(path: Path, text: str) -> None:
    with atomic(path) as unfinished:
        unfinished.write_text(text + "\n")
