"""An open question of paper A: which of its findings are about transformers?"""

from typing import Annotated

from pydantic import AfterValidator, Field

from invlib.training.run import TrainingRun
from papers.across.base import OpenQuestion
from papers.parameters import Name, Natural, Positive, Several

__all__ = ["Architectures", "split_network"]


def split_network(network: str) -> tuple[str, int | None]:
    """Return the name of a network and the side of its images, None for its own.

    Examples
    --------
    >>> split_network("convnext_atto:64"), split_network("vit_nano_patch8_32")
    (('convnext_atto', 64), ('vit_nano_patch8_32', None))
    """
    name, colon, side = network.partition(":")
    if not name or (colon and not (side.isdigit() and int(side))):
        raise ValueError(f"{network!r} is not network[:pixels], such as 'convnext_atto:64'")
    return name, int(side) if colon else None


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        split_network(value)
    return values


class Architectures(OpenQuestion):
    """The same start and the same fine-tuning for several networks.

    Weights of all networks from the same pretraining are not to be had without a network, so every
    network is trained on `start_dataset` first, from a random start. The optimiser and its rate are
    those of the pretraining.

    Examples
    --------
    >>> section = Architectures.from_parameters({"architectures": ["conv4", "vit_nano_patch8_32"]})
    >>> list(section.runs())[1:]
    ['conv4, 0', 'vit_nano_patch8_32, 0']
    """

    name = "architectures"
    dims = ("case", "train_seed")
    uses = ("finetuning_task",)  # at the same scale its training and inversions are among these

    architectures: Annotated[tuple[Name, ...], *Several, AfterValidator(_networks)] = Field(
        ("vit_nano_patch8_32",), description="network[:pixels]"
    )
    start_dataset: Name = Field("shapes", description="what every network is trained on first")
    start_n: Positive | None = Field(5000, description="training images of it; None: all")
    start_epochs: Natural = Field(6, description="epochs on it")

    def start_run(self, network: str) -> TrainingRun:
        """Return the training that a network's fine-tunings start from."""
        model, side = split_network(network)
        return self.run_from_scratch(
            self.start_dataset, self.start_n, self.start_epochs, model=model, img_size=side
        )

    def trainings(self) -> dict[tuple[str, int], TrainingRun]:
        """Return the fine-tunings by network and seed."""
        runs = {}
        for network in self.architectures:
            model, side = split_network(network)
            fields = dict(model=model, img_size=side, weights=self.start_run(network))
            for seed in self.train_seeds:
                runs[network, seed] = self.finetuning_run(self.datasets[0], seed=seed, **fields)
        return runs

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return the `n` images of the one data set."""
        return [("n", self.datasets[0], None)]
