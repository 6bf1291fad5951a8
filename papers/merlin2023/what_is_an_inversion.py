"""The introduction: images and what a network takes for them."""

from pydantic import Field

from invlib.training.run import TrainingRun
from papers.merlin2023.base import MerlinSection
from papers.parameters import Positive


class WhatIsAnInversion(MerlinSection):
    """The introduction's pictures: images inverted at every layer, seen by an untrained model too.

    Examples
    --------
    >>> list(WhatIsAnInversion.from_parameters({}).runs())
    ['pretraining on shapes']
    """

    name = "what_is_an_inversion"

    # enough for a page, few enough for seconds
    gallery: Positive = Field(8, description="images")

    def runs(self) -> dict[str, TrainingRun]:
        """Return the pretraining, where there is one."""
        return self.pretraining_by_name()
