"""Paper C, Figures 3 to 6 and Grad-CAM: what is left of the first task after the second."""

from typing import Annotated

from pydantic import AfterValidator, Field

from invlib.training.run import TrainingRun
from papers.masarczyk2023.base import SQUARES, Ratio, SquaresSection
from papers.parameters import Name, Positive, Several


class CollapseAndPlasticity(SquaresSection):
    """One network learns three tasks: CKA, probes, ranks, relearning, and ratios of squares.

    `square_ratios` are shares of the images of task 2 that have a square (Figure 6). At 0, the
    control, the second task is the same as the first. The ratio 1 is always added. Probes are
    fitted to `probe_n` training images. Their accuracies, and the ranks, are computed on
    `probe_test_n` test images.

    Examples
    --------
    >>> section = CollapseAndPlasticity.from_parameters({"square_ratios": [0.1]})
    >>> for name in section.runs():
    ...     print(name)
    seed 0: original
    seed 0: squares
    seed 0: original again
    seed 0: squares on 0.1
    """

    name = "collapse_and_plasticity"
    long = True
    notes = {"seeds": "each draws the images that CKA compares"}

    collapse_model: Name = Field("vgg11_bn_cifar_w8", description="the network")
    square_ratios: Annotated[
        tuple[Ratio, ...], *Several, AfterValidator(lambda values: tuple(sorted(values)))
    ] = Field((0.0, 0.05, 0.25), description="and 1; 0 is the control")
    cka_n: Positive = Field(100, description="test images, without squares")
    probe_n: Positive | None = Field(400, description="images that probes are fitted to; None: all")
    probe_test_n: Positive | None = Field(
        200, description="test images of probes and ranks; None: all"
    )
    cam_n: Positive = Field(64, description="test images whose Grad-CAM is averaged")
    cam_shown: Positive = Field(4, description="of these, kept as pictures")

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return the images that CKA compares."""
        return [("cka_n", self.erosion_dataset, self.erosion_test_n)]

    def ratio_runs(self, seed: int) -> dict[float, TrainingRun]:
        """Return the run of the second task for each ratio of squares, 1 included."""
        ratios = dict.fromkeys((*self.square_ratios, 1.0))
        return {r: self.sequence(self.collapse_model, seed, ratio=r)[SQUARES] for r in ratios}

    def runs(self) -> dict[str, TrainingRun]:
        """Return, for each seed, the three tasks and the second task at every other ratio."""
        runs = {}
        for seed in self.train_seeds:
            for task, run in self.sequence(self.collapse_model, seed).items():
                runs[f"seed {seed}: {task}"] = run
            for ratio, run in self.ratio_runs(seed).items():
                if ratio < 1:
                    runs[f"seed {seed}: squares on {ratio:g}"] = run
        return runs
