"""Section 4.4 of paper A: forgetting and robustness in several kinds of training."""

from typing import Annotated

from pydantic import AfterValidator, Field

from invlib.names import AUGMENTATIONS, OPTIMIZERS
from invlib.training.run import TrainingRun
from papers.merlin2023.dynamics import Dynamics
from papers.parameters import Name, Positive, Several
from papers.section import Inverted, Piece


def check_trainings(values: tuple[str, ...]) -> tuple[str, ...]:
    """Return `values` if each is optimiser:learning rate[:augmentation]; else ValueError."""
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


def fields_of(setting: str) -> dict[str, str | float]:
    """Return the fields of a `TrainingRun` that a checked setting names.

    Examples
    --------
    >>> fields_of("adam:0.0001:none")
    {'optimizer': 'adam', 'lr': 0.0001, 'augmentation': 'none'}
    """
    optimizer, lr, *augmentation = setting.split(":")
    fields = dict(optimizer=optimizer, lr=float(lr))
    return fields | (dict(augmentation=augmentation[0]) if augmentation else {})


SettingNames = Annotated[tuple[Name, ...], *Several, AfterValidator(check_trainings)]


def are_short(n: int | None, epochs: int) -> bool:
    """Return whether trainings take only seconds each, so that a notebook does them itself."""
    return n is not None and n * epochs <= 5_000


class Robustness(Dynamics):
    """Section 4.4 and appendix E.1: does the spread of forgetting predict robustness?

    The correlation scan uses the results of `Dynamics`. Figures 6 and 15 need more trainings.

    Examples
    --------
    >>> list(Robustness.from_parameters({"trainings": ["sgd:0.01", "adam:0.001:none"]}).runs())
    ['sgd:0.01', 'adam:0.001:none']
    """

    name = "robustness"
    uses = ("dynamics",)

    trainings: SettingNames = Field(
        ("sgd:0.05", "sgd:0.01", "adam:0.0005"),
        description="optimiser:learning rate[:augmentation]",
    )
    trainings_epochs: Positive = Field(4, description="epochs of each training")
    trainings_n: Positive | None = Field(400, description="None: as `finetuning_n`")

    @property
    def own_trainings(self) -> bool:
        """Whether the notebook does the trainings itself."""
        return are_short(self.trainings_n, self.trainings_epochs)

    def repeats(self) -> dict[str, dict[int, TrainingRun]]:
        """Return the fine-tunings to the first data set, by their names in `trainings` and seed."""
        size = dict(n_train=self.trainings_n or self.finetuning_n, epochs=self.trainings_epochs)
        return {
            name: {
                seed: self.finetuning_run(self.datasets[0], seed=seed, **size, **fields_of(name))
                for seed in self.finetuning_seeds
            }
            for name in self.trainings
        }

    def to_invert(self) -> list[Inverted]:
        """Return those of the one start, because forgetting needs no others."""
        return [] if self.own_trainings else self.inverted_at(self.runs().values(), lambda _: [])

    def pieces(self) -> dict[str, Piece]:
        """Return the trajectory of each training; forgetting needs no inversion of it."""
        return {name: piece._replace(image_steps=0) for name, piece in super().pieces().items()}
