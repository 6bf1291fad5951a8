"""Section 4.4 of paper A: forgetting and robustness in trainings of several kinds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from invlib.training.run import AUGMENTATIONS, OPTIMIZERS, TrainingRun
from papers.merlin2023.dynamics import Dynamics
from papers.parameters import Name, Positive, Several

if TYPE_CHECKING:
    import xarray as xr


__all__ = ["Robustness"]


def _trainings(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        optimizer, lr, augmentation = [*value.split(":"), "", ""][:3]
        try:
            fine = float(lr) > 0
        except ValueError:
            fine = False
        if optimizer not in OPTIMIZERS or not fine or augmentation not in ("", *AUGMENTATIONS):
            raise ValueError(
                f"{value!r} is not optimiser:learning rate[:augmentation], such as 'sgd:0.001' or "
                f"'adam:0.0001:none'; optimisers are {', '.join(OPTIMIZERS)}, augmentations "
                f"{', '.join(AUGMENTATIONS)}"
            )
    return values


class Robustness(Dynamics):
    """Section 4.4 and appendix E.1: does the spread of forgetting tell robustness?

    The correlation scan reads the results of `Dynamics`; Figures 6 and 15 need more trainings.

    Parameters
    ----------
    trainings : tuple of str
        ``"optimiser:learning rate[:augmentation]"`` of the trainings that are compared.
    trainings_epochs, trainings_n
        How long, and on how many images (null: as `finetuning_n`).

    Examples
    --------
    >>> list(Robustness.from_parameters({"trainings": ["sgd:0.01", "adam:0.001:none"]}).runs())
    ['sgd:0.01', 'adam:0.001:none']
    """

    name = "robustness"
    uses = ("dynamics",)

    trainings: Annotated[tuple[Name, ...], *Several, AfterValidator(_trainings)] = (
        "sgd:0.05",
        "sgd:0.01",
        "adam:0.0005",
    )
    trainings_epochs: Positive = 6
    trainings_n: Positive | None = 400

    @property
    def own_trainings(self) -> bool:
        """Whether the notebook does the trainings: on so few images each is done in seconds."""
        return self.trainings_n is not None and self.trainings_n * self.trainings_epochs <= 5_000

    def runs(self) -> dict[str, TrainingRun]:
        """Return the fine-tunings to the first data set, by what they are called in `trainings`."""
        runs = {}
        for name in self.trainings:
            optimizer, lr, *augmentation = name.split(":")
            runs[name] = self.finetuning_run(
                self.datasets[0],
                n_train=self.trainings_n or self.finetuning_n,
                epochs=self.trainings_epochs,
                optimizer=optimizer,
                lr=float(lr),
                augmentation=augmentation[0] if augmentation else self.augmentation,
            )
        return runs

    def dataset(self) -> xr.Dataset:
        """Follow forgetting and corrupted accuracy through every training; dim optimizer."""
        from invlib import train
        from invlib.comparison.compare import stack

        started = time.perf_counter()
        pretrained = self.pretrained_model()
        parts = {}
        for name, run in self.runs().items():
            trained = train(run, root=self.training_root)
            parts[name] = self.trajectory(pretrained, trained, inverted=("pt",))
        ds = stack(parts, "optimizer", shared=True).assign_coords(dataset=self.datasets[0])
        return self.finish(ds, kind="comparison", device=pretrained.device, started=started)
