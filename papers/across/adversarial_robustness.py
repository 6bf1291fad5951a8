"""An open question of paper A: what goes with robustness to adversarial attacks?"""

from typing import Annotated

from pydantic import AfterValidator, Field

from invlib.names import choices
from invlib.training.run import TrainingRun
from papers.across.base import Pool
from papers.parameters import Name, Positive, PositiveFloat, Several

__all__ = ["ADVERSARIAL", "NORMS", "AdversarialRobustness", "split_attack"]

ADVERSARIAL = "adversarial"  # the setting of the models that are fine-tuned against changes
NORMS = ("linf", "l2")


def split_attack(attack: str) -> tuple[str, float]:
    """Return the norm of a change and its bound; ValueError if `attack` does not say both.

    Examples
    --------
    >>> split_attack("l2:0.25")
    ('l2', 0.25)
    """
    norm, _, text = attack.partition(":")
    choices("attacks", norm, NORMS)
    try:
        bound = float(text)
    except ValueError:
        bound = 0.0
    if not bound > 0:
        raise ValueError(f"attacks={attack!r} is not norm:bound, such as 'linf:0.01'")
    return norm, bound


def _attacks(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        split_attack(value)
    return values


class AdversarialRobustness(Pool):
    """Forgetting, and accuracy under attack, of trainings with several settings.

    An attack changes every image so that the loss rises, within a bound on the change: the largest
    change of a value (``linf``), or the root of the sum of squares (``l2``), pixels in [0, 1]. The
    first of `other_settings` is also looked at epoch by epoch, and repeated against attacks.

    Examples
    --------
    >>> list(AdversarialRobustness.from_parameters({"adversary": 0.1}).runs())[1:]
    ['adamw:0.0005, 0', 'adversarial, 0']
    """

    name = "adversarial_robustness"
    dims = ("setting", "train_seed")
    uses = ("finetuning_task",)  # at the same scale its training is among these

    attacks: Annotated[tuple[Name, ...], *Several, AfterValidator(_attacks)] = Field(
        ("linf:0.01", "l2:0.3"), description="norm:bound of the change, pixels in [0, 1]"
    )
    attacked_n: Positive = Field(32, description="test images that are attacked")
    attack_steps: Positive = Field(5, description="gradient steps of an attack")
    attack_starts: Positive = Field(1, description="random starts of the stronger attack")
    attack_every: Positive = Field(8, description="epochs from one look to the next")
    adversary: PositiveFloat | None = Field(
        None, description="bound of changes that the first setting is also trained against"
    )

    def trainings(self) -> dict[tuple[str, int], TrainingRun]:
        """Return the fine-tunings of every setting and seed."""
        runs = self.in_pool(self.datasets[0])
        if self.adversary is None:
            return runs
        first = {seed: runs[self.other_settings[0], seed] for seed in self.train_seeds}
        against = {"adversary": self.adversary}
        return runs | {(ADVERSARIAL, s): r.model_copy(update=against) for s, r in first.items()}

    def samples(self) -> list[tuple[str, str, int | None]]:
        """Return those that are inverted, and those that are attacked."""
        return [(name, self.datasets[0], None) for name in ("n", "attacked_n")]

    def epochs(self, setting: str, last: int) -> list[int]:
        """Return the epochs that are looked at: of all settings but the first, only the last."""
        earlier = range(0, last, self.attack_every) if setting == self.other_settings[0] else ()
        return [*earlier, last]
