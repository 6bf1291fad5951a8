"""The folder of a training run, ``<root>/<run.id>/``. Every file in it is whole or absent.

=======================  ==========================================================================
``run.json``             the settings of the run
``epoch_000.safetensors``  weights under timm's names, before any step; then one file per epoch
``state.pt``             optimiser and log after the last epoch, to continue from there
``log.nc``               loss and accuracy over epochs
``done.json``            written last, when the run is finished
=======================  ==========================================================================
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors

from invlib.files import atomic
from invlib.models.loading import load_model
from invlib.models.staged import StagedModel
from invlib.results.netcdf import open_results
from invlib.training.run import TrainingRun

__all__ = ["Trained"]


@dataclass(frozen=True)
class Trained:
    """A training run and its folder on disk, finished or not."""

    run: TrainingRun
    path: Path

    @property
    def epochs(self) -> list[int]:
        """The epochs whose weights are stored; 0 is before any step."""
        files = self.path.glob("epoch_*.safetensors")
        return sorted(int(file.stem.removeprefix("epoch_")) for file in files)

    @property
    def complete(self) -> bool:
        """Whether the run is finished and all weights that it should keep are there."""
        written = (self.path / "done.json").is_file() and (self.path / "log.nc").is_file()
        return written and self._has_weights_to(self.run.epochs)

    @property
    def log(self) -> xr.Dataset:
        """Loss and accuracy over epochs, a Dataset of kind ``"training"``."""
        return open_results(self.path / "log.nc")

    def checkpoint(self, epoch: int = -1) -> Path:
        """Return the safetensors file of `epoch`; -1 is the last one stored.

        Raises
        ------
        ValueError
            If no weights of that epoch are stored.
        """
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
        """Remove unfinished files of a killed process, and write ``run.json``."""
        for leftover in self.path.glob(".*.tmp"):
            leftover.unlink()
        _write(self.path / "run.json", self.run.to_json().encode() + b"\n")

    def store(self, epoch: int, model: StagedModel, state: dict[str, Any]) -> None:
        """Write the weights after `epoch`, then `state`. With both written, the epoch is finished.

        With ``keep="ends"`` the weights of the epoch before are removed only then. So there is
        always a complete pair to continue from.
        """
        settings = {
            "run": self.run.id,
            "epoch": epoch,
            "model": self.run.model,
            "img_size": model.img_size,
            "task": model.task,
            "num_classes": model.net.num_classes if model.task == "classification" else None,
        }
        # One key, because safetensors writes several keys in random order.
        weights = {k: v.detach().cpu().contiguous() for k, v in model.net.state_dict().items()}
        _write(self._file(epoch), to_safetensors(weights, {"invlib": json.dumps(settings)}))
        buffer = io.BytesIO()
        torch.save({"run": self.run.id, "epoch": epoch} | state, buffer)
        _write(self.path / "state.pt", buffer.getvalue())
        self._drop_before(epoch)

    def resume(self, model: StagedModel) -> dict[str, Any] | None:
        """Load the weights of the last finished epoch into `model`; return its state, or None."""
        if not (self.path / "state.pt").is_file():
            return None
        state = torch.load(self.path / "state.pt", weights_only=True, map_location="cpu")
        if not self._has_weights_to(state["epoch"]):
            return None  # weights were deleted: train again
        model.net.load_state_dict(load_file(self._file(state["epoch"])))
        self._drop_before(state["epoch"])  # a killed process may not have come to it
        return state

    def _drop_before(self, epoch: int) -> None:
        """With ``keep="ends"``, remove the weights between the first epoch and this one."""
        for old in self.epochs if self.run.keep == "ends" else ():
            if 0 < old < epoch:
                self._file(old).unlink()

    def finish(self) -> None:
        """Write ``done.json``."""
        weights = hashlib.sha256(self.checkpoint().read_bytes()).hexdigest()
        done = {"run": self.run.id, "epochs": self.run.epochs, "weights_sha256": weights}
        _write(self.path / "done.json", json.dumps(done, indent=2).encode() + b"\n")

    def _file(self, epoch: int) -> Path:
        return self.path / f"epoch_{epoch:03d}.safetensors"

    def _has_weights_to(self, epoch: int) -> bool:
        needed = range(epoch + 1) if self.run.keep == "all" else (0, epoch)
        return set(needed) <= set(self.epochs)


def _write(path: Path, content: bytes) -> None:
    with atomic(path) as unfinished:
        unfinished.write_bytes(content)
