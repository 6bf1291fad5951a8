"""Section 3 of paper B (Goerttler & Obermayer 2022): training on labels without structure.

Every network is compared with its own start. Repeats of the whole training are dim train_seed.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from invlib.training.run import TrainingRun
from papers.goerttler2022.base import GoerttlerSection, _rising
from papers.parameters import Positive, Several


class LearningFromRandomLabels(GoerttlerSection):
    """Section 3: change from the random start, for labels with less and less structure (Fig. 1–3).

    The largest of `labels_randomness` gives completely random labels.

    Examples
    --------
    >>> section = LearningFromRandomLabels.from_parameters({"labels_seeds": [0]})
    >>> for name in section.runs():
    ...     print(name)
    seed 0: d = 0 on 100 images
    seed 0: d = 3 on 100 images
    seed 0: d = 9 on 100 images
    seed 0: d = 9 on 25 images
    """

    name = "learning_from_random_labels"

    memorised_n: Annotated[tuple[Positive, ...], *Several, AfterValidator(_rising)] = Field(
        (25, 100), description="images with completely random labels (Figure 3b)"
    )

    def runs(self) -> dict[str, TrainingRun]:
        """Return a training for each seed and randomness, and for each number of images."""
        last = self.labels_randomness[-1]
        cells = [(d, self.labels_n) for d in self.labels_randomness]
        cells += [(last, n) for n in self.memorised_n if n != self.labels_n]
        return {
            f"seed {seed}: d = {d} on {n} images": self.scratch_run(seed, d, n)
            for seed in self.labels_seeds
            for d, n in cells
        }
