"""The section that races recipes of inversion, and shows how they change the measures."""

from typing import Annotated

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Natural, Positive, Recipes, Several


class HowInverted(MerlinSection):
    """How far each recipe gets at each layer, and whether that changes learning and forgetting.

    `race` names recipes whose loss is followed, `measured` those for which learning and
    forgetting are measured.

    Examples
    --------
    >>> HowInverted.from_parameters({"race": ["fast:50", "ngd:500"]}).race
    ('fast:50', 'ngd:500')
    """

    name = "how_inverted"
    long = True

    race: Recipes = Field(
        ("ngd:50", "adam:50", "fast:50", "ngd:100"),
        description="rule:evaluations[:start]",
    )
    race_n: Positive = Field(2, description="images in the race")
    race_layers: Annotated[tuple[Natural, ...], *Several] | None = Field(
        None, description="None: all layers"
    )
    measured: Recipes = Field(
        ("ngd:20", "fast:20", "ngd:80"), description="the last is the yardstick"
    )
    measured_n: Positive = Field(16, description="images per seed that are measured")
    measured_layers: Annotated[tuple[Natural, ...], *Several] | None = Field(
        (0, 4, 8, 12), description="layers that are measured; None: all"
    )
    measured_seeds: Annotated[tuple[Natural, ...], *Several] = Field(
        (0,), description="each draws images and starts"
    )

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return the images of both comparisons."""
        return [(name, self.datasets[0], None) for name in ("race_n", "measured_n")]

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, if there is one, and the first fine-tuning."""
        dataset, task = self.datasets[0], self.tasks[0]
        return self.pretraining_by_name() | {
            f"{dataset}: {task}": self.finetuning_run(dataset, task)
        }
