"""What a training run says: a frozen record whose id is a hash of its content. Imports no torch."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

from invlib.errors import choices, unknown
from invlib.paths import resolve_weights

__all__ = ["AUGMENTATIONS", "OPTIMIZERS", "SCHEDULES", "TASKS", "TrainingRun"]

TASKS = ("classification", "reconstruction")
OPTIMIZERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine")
AUGMENTATIONS = ("crop", "merlin", "none")
KEEP = ("all", "ends")

# Part of every id. Raise it when `train` would give other weights for the same fields, so that
# checkpoints of the old recipe are left alone instead of being mistaken for the new ones.
RECIPE = 1


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """One training run, complete: the same run gives the same weights, and the same `id`.

    The defaults are the recipe of Merlin et al. 2023 (appendix B, and their scripts where the
    text is silent). Two runs are equal when all their fields are.

    Parameters
    ----------
    model : str
        Name for `load_model`, e.g. ``"vit_tiny_patch16_224"``.
    dataset : str
        Name or path for `load_images`.
    img_size : int, optional
        Side of the images in pixels; None is what the weights were trained at.
    weights : str or TrainingRun, optional
        None (random, from `seed`), ``"timm"`` (the hub), a path to safetensors, or another run,
        whose last epoch is the start. Weights that are given always get a new head, drawn from
        `seed`: what is kept is the representation.
    task : {"classification", "reconstruction"}
        Cross-entropy on the labels, or L1 on the pixels in [0, 1].
    n_train, n_test : int, optional
        Images drawn from the two splits; None is all of them.
    epochs : int
        Passes over the training images. 0 stores the initial weights and their test result.
    batch_size : int
        Images per step. The last, smaller batch of an epoch is used too; a single image, of which
        batch norm has no statistics, joins the batch before it in a network that has batch norm.
    optimizer : {"adam", "adamw", "sgd"}
        torch's; `momentum` is read by ``"sgd"`` only.
    lr, momentum, weight_decay : float
        Weight decay spares biases and norms, as the Hugging Face trainer of the paper does.
    schedule : {"constant", "cosine"}
        After a linear warm-up over `warmup_steps` steps, at most a tenth of all steps.
    warmup_steps : int
        Steps, not epochs.
    clip : float, optional
        Largest global gradient norm; None does not clip.
    augmentation : {"crop", "merlin", "none"}
        ``"merlin"``: random resized crop, flip, rotation by at most 2 degrees, colour jitter
        0.25; ``"crop"``: crops of at least half the image, for digits and short runs;
        ``"none"``: the resized image itself.
    label_smoothing : float
        In [0, 1), classification only.
    seed : int
        Draws the initial weights, the subset of the images, the order and the augmentation.
    keep : {"all", "ends"}
        Keep the weights of all epochs, or of epoch 0 and the last.

    Raises
    ------
    TypeError, ValueError
        Naming the field, its value and what is allowed.

    Examples
    --------
    >>> run = TrainingRun(model="vit_pico_patch8_32", dataset="digits", epochs=2)
    >>> run.describe()
    'vit_pico_patch8_32 on digits: classification, 2 epochs of sgd (lr 0.001), random start, seed 0'
    >>> TrainingRun.from_json(run.to_json()) == run
    True
    >>> TrainingRun(model="vit_pico_patch8_32", dataset="digits", optimizer="sdg")
    Traceback (most recent call last):
        ...
    ValueError: optimizer='sdg' is not one of 'adam', 'adamw', 'sgd'; did you mean 'sgd'?
    """

    model: str
    dataset: str
    img_size: int | None = None
    weights: str | TrainingRun | None = None
    task: str = "classification"
    n_train: int | None = None
    n_test: int | None = None
    epochs: int = 100
    batch_size: int = 256
    optimizer: str = "sgd"
    lr: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 1e-4
    schedule: str = "cosine"
    warmup_steps: int = 100
    clip: float | None = 1.0
    augmentation: str = "merlin"
    label_smoothing: float = 0.0
    seed: int = 0
    keep: str = "all"

    def __post_init__(self) -> None:
        for name in ("model", "dataset"):
            self._text(name, "a name")
        if not isinstance(self.weights, TrainingRun | None):
            self._text("weights", "None, 'timm', a path to safetensors or a TrainingRun")
        for name, allowed in (
            ("task", TASKS),
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("augmentation", AUGMENTATIONS),
            ("keep", KEEP),
        ):
            self._text(name, "one of " + ", ".join(map(repr, allowed)))
            choices(name, getattr(self, name), allowed)
        for name in ("img_size", "n_train", "n_test"):
            self._integer(name, 1, optional=True)
        self._integer("batch_size", 1)
        for name in ("epochs", "warmup_steps", "seed"):
            self._integer(name, 0)
        self._number("lr", "a number > 0", lambda v: v > 0)
        self._number("clip", "a number > 0, or None", lambda v: v > 0, optional=True)
        self._number("weight_decay", "a number >= 0", lambda v: v >= 0)
        for name in ("momentum", "label_smoothing"):
            self._number(name, "a number in [0, 1)", lambda v: 0 <= v < 1)
        if self.parent is not None and self.parent.model != self.model:
            raise ValueError(
                f"weights={self.parent.id!r} is a run of model={self.parent.model!r}; allowed is a "
                f"run of {self.model!r}"
            )
        if self.label_smoothing and self.task != "classification":
            raise ValueError(
                f"label_smoothing={self.label_smoothing!r} means nothing for "
                f"task={self.task!r}; allowed there is 0"
            )

    def _text(self, name: str, allowed: str) -> None:
        value = getattr(self, name)
        if not isinstance(value, str):
            raise TypeError(f"{name}={value!r} is {_kind(value)}; allowed is {allowed}")
        if not value:
            raise ValueError(f"{name}={value!r} is empty; allowed is {allowed}")

    def _integer(self, name: str, least: int, optional: bool = False) -> None:
        value = getattr(self, name)
        if value is None and optional:
            return
        allowed = f"an integer >= {least}" + (", or None" if optional else "")
        # bool is an int in Python, and `epochs=True` is never meant.
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name}={value!r} is {_kind(value)}; allowed is {allowed}")
        if value < least:
            raise ValueError(f"{name}={value!r} is out of range; allowed is {allowed}")

    def _number(self, name: str, allowed: str, ok, optional: bool = False) -> None:
        value = getattr(self, name)
        if value is None and optional:
            return
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name}={value!r} is {_kind(value)}; allowed is {allowed}")
        if not (math.isfinite(value) and ok(value)):
            raise ValueError(f"{name}={value!r} is out of range; allowed is {allowed}")
        # YAML reads `1` as an int: 1 and 1.0 are the same run.
        object.__setattr__(self, name, float(value))

    @property
    def parent(self) -> TrainingRun | None:
        """The run whose last epoch this one starts from, if it starts from a run."""
        return self.weights if isinstance(self.weights, TrainingRun) else None

    @property
    def id(self) -> str:
        """12 hexadecimal digits: a hash of what the run says, the same on every machine.

        A file named by `weights` or `dataset` counts by its content, a folder by the names and
        sizes of its files, and either by its own name while it is not there: where it lies
        never counts.
        """
        says = dataclasses.asdict(self) | {"recipe": RECIPE, "weights": self._weights_say()}
        # What `load_images` takes for a path and not for a name.
        if set(self.dataset) & {"/", "\\"} or self.dataset.startswith((".", "~")):
            says["dataset"] = _content(Path(self.dataset).expanduser())
        text = json.dumps(says, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def _weights_say(self) -> str | None:
        if self.weights is None or self.weights == "timm":
            return self.weights
        if self.parent is not None:
            return f"run:{self.parent.id}"
        try:
            return _content(resolve_weights(self.weights))
        except FileNotFoundError:
            return f"name:{Path(self.weights).name}"

    def describe(self) -> str:
        """One line for people: what is trained on what, how, from where."""
        start = {None: "random start", "timm": "ImageNet weights of timm"}.get(
            None if self.weights is None else str(self.weights)
        )
        if self.parent is not None:
            start = f"from {self.parent.model} trained on {self.parent.dataset} ({self.parent.id})"
        elif start is None:
            start = f"weights {Path(self.weights).name}"
        images = "" if self.n_train is None else f" ({self.n_train} images)"
        size = "" if self.img_size is None else f" at {self.img_size} px"
        return (
            f"{self.model}{size} on {self.dataset}{images}: {self.task}, {self.epochs} epochs of "
            f"{self.optimizer} (lr {self.lr:g}), {start}, seed {self.seed}"
        )

    def to_json(self) -> str:
        """Return the run as JSON text; `from_json` reads it back."""
        return json.dumps(dataclasses.asdict(self), indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TrainingRun:
        """Return the run that `text` says.

        Raises
        ------
        TypeError, ValueError
            For text that is no JSON object, an unknown or missing field, and what the
            constructor refuses.
        """
        said = json.loads(text) if isinstance(text, str | bytes) else text
        if not isinstance(said, dict):
            raise TypeError(f"a training run is a JSON object, not {_kind(said)}: {text!r:.80}")
        fields = {f.name for f in dataclasses.fields(cls)}
        for name in said:
            if name not in fields:
                raise ValueError(unknown("field of TrainingRun", name, fields))
        missing = [name for name in ("model", "dataset") if name not in said]
        if missing:
            raise ValueError(f"the training run does not say {' and '.join(missing)}")
        if isinstance(said.get("weights"), dict):
            said = said | {"weights": cls.from_json(json.dumps(said["weights"]))}
        return cls(**said)


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__name__}"


def _content(path: Path) -> str:
    """What a path says: a digest of what lies there, or its name while nothing does."""
    if path.is_file():
        stat = path.stat()
        return "file:" + _file_digest(str(path.resolve()), stat.st_size, stat.st_mtime_ns)
    if path.is_dir():
        entries = sorted(
            (p.relative_to(path).as_posix(), p.stat().st_size)
            for p in path.rglob("*")
            if p.is_file()
        )
        return "folder:" + hashlib.sha256(json.dumps(entries).encode()).hexdigest()
    return f"name:{path.name}"


@functools.lru_cache(maxsize=256)
def _file_digest(path: str, size: int, mtime_ns: int) -> str:
    # Size and time are in the key so that a file that changes is read again.
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
