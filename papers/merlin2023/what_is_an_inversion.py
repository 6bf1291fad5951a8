"""The introduction to inversions: images, and images that a network cannot tell from them."""

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Positive


class WhatIsAnInversion(MerlinSection):
    """Pictures for the introduction: inversions at every layer, and an untrained model beside.

    Examples
    --------
    >>> list(WhatIsAnInversion.from_parameters({}).runs())
    ['pretraining on shapes']
    """

    name = "what_is_an_inversion"

    # enough for a page, few enough for seconds
    gallery: Positive = Field(8, description="images")

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return the images of the gallery."""
        return [("gallery", self.datasets[0], None)]

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, if there is one."""
        return self.pretraining_by_name()
