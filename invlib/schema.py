"""The published schema of a result, version 1: tables of names.

`KINDS` says, for each kind of result, which variables it may hold and their dims, type, range and
meaning; `invlib.coordinates` says the same of coordinates. A variable that does not depend on a dim
does not have it. In `Field.dims` a name with a question mark may be absent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

__all__ = ["KINDS", "SCHEMA_VERSION", "Field", "Kind"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Field:
    """What one variable or coordinate must be."""

    dims: str
    dtype: str  # "float", "int", "number", "uint8" or "str"
    long_name: str
    low: float = -inf
    high: float = inf
    units: str = "1"
    low_biased: float | None = None  # a tighter lower bound where estimator="biased"
    nan: str = "stack"  # NaN allowed: in whole stacked slices, also at "epoch 0", or "any"
    values: tuple[str, ...] = ()  # for text: the only words allowed
    increasing: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of result: its variables (None: any that say their units) and what it must have."""

    variables: dict[str, Field] | None
    needs: tuple[tuple[str, ...], ...] = ()  # of each group at least one


# fmt: off
# --- variables ------------------------------------------------------------------------------------

PAIR = {"pt": "pretrained", "ft": "fine-tuned"}


def _similarity(measure: str, target: str, reference: str) -> str:
    left, right = PAIR[target], PAIR[reference]
    if measure == "STIR":
        return f"STIR({left}[layer] | {right}[ref_layer])"
    return f"{measure} of {left}[layer] and {right}[ref_layer]"


# Linear CKA, and STIR which is built on it: the biased estimator is never negative, the debiased is
# the cosine of two U-centred Gram matrices and reaches down to -1.
_MATRICES = {
    f"{measure.lower()}_{target}_{reference}": Field(
        "estimator seed ref_layer layer", "float", _similarity(measure, target, reference),
        -1, 1, low_biased=0,
    )
    for measure, target, reference in [
        ("STIR", "ft", "pt"), ("STIR", "pt", "ft"), ("STIR", "pt", "pt"), ("STIR", "ft", "ft"),
        ("CKA", "ft", "pt"), ("CKA", "pt", "pt"),
    ]
} | {
    "subspace_ft_pt": Field(
        "seed ref_layer layer", "float", _similarity("subspace similarity", "ft", "pt"), 0, 1
    )
}

# Trajectories keep only layer = ref_layer at most epochs.
_DIAGONALS = {
    f"{name}_diagonal": Field(
        field.dims.replace(" ref_layer", ""), "float", f"{field.long_name}, ref_layer = layer",
        field.low, field.high, low_biased=field.low_biased,
    )
    for name, field in _MATRICES.items()
}

# What a spread over images is computed from: `invlib.jackknife`. NaN where CKA does not exist
# without an image.
_JACKKNIFE = {
    f"{name}_jackknife": Field(
        field.dims.replace("ref_layer layer", "layer left_out"), "float",
        f"{field.long_name}, ref_layer = layer, one image left out",
        field.low, field.high, low_biased=field.low_biased, nan="any",
    )
    for name, field in _MATRICES.items() if "estimator" in field.dims
}

# The same of whole matrices, where they are the subject.
_LEFT_OUT = {
    f"{name}_left_out": replace(
        field, dims=f"{field.dims} left_out", nan="any",
        long_name=f"{field.long_name}, one image left out",
    )
    for name, field in _MATRICES.items() if name.startswith("stir")
}

_INVERSION: dict[str, Field] = {"example_images": Field(
    "seed? example y x channel", "uint8", "example images that were inverted", 0, 255
)}
for _short, _long in PAIR.items():
    _INVERSION |= {
        f"stir_control_{_short}": Field(
            "estimator seed layer", "float",
            f"CKA of {_long}[layer] on the images and on the starting images", -1, 1, low_biased=0,
        ),
        f"inversion_loss_{_short}": Field(
            "seed ref_layer", "float",
            f"relative distance left after inverting the {_long} model", 0,
        ),
        f"inversion_history_{_short}": Field(
            "seed ref_layer iteration", "float",
            f"relative distance while inverting the {_long} model", 0,
        ),
        f"example_inverted_{_short}": Field(
            "seed? ref_layer example y x channel", "uint8",
            f"example images, inverted at {_long}[ref_layer]", 0, 255,
        ),
    }

_ACCURACY = {
    "train_accuracy": Field("", "float", "accuracy on the training images", 0, 1),
    "test_accuracy": Field("", "float", "accuracy on the test images", 0, 1),
    "test_loss": Field("", "float", "loss on the test images", 0),
    "corrupted_accuracy": Field(
        "corruption? severity", "float", "accuracy on corrupted test images", 0, 1
    ),
}

_ACCURACY |= {
    "pretraining_accuracy": Field(
        "", "float", "accuracy of the start on the data set it was trained on", 0, 1, nan="any"
    ),
}

# Table 1 of paper A and its appendix C.1; a start without a data set is a hole in the table.
_TABLE = {
    name: replace(field, nan="any") for name, field in _ACCURACY.items()
} | {
    "layer_correlation": Field(
        "self_term estimator seed", "float",
        "Pearson correlation over layers of learning with forgetting", -1, 1, nan="any",
    ),
}

# Nothing has been trained at epoch 0, so a training loss or a step size need not exist there.
_TRAINING = {
    "train_loss": Field("epoch", "float", "mean training loss of the epoch", 0, nan="epoch 0"),
    "train_accuracy": Field(
        "epoch", "float", "accuracy on the training images", 0, 1, nan="epoch 0"
    ),
    "test_loss": Field("epoch", "float", "loss on the test images", 0),
    "test_accuracy": Field("epoch", "float", "accuracy on the test images", 0, 1),
    "test_accuracy_squares": Field(
        "epoch", "float", "accuracy on the test images, all with class-coloured squares", 0, 1
    ),
    "learning_rate": Field("epoch step?", "float", "learning rate", 0, nan="epoch 0"),
    "epoch_time": Field("epoch", "float", "time the epoch took", 0, units="s", nan="epoch 0"),
}

# Paper B: CKA of a layer with itself, in a trained network and in the weights it is compared with.
_CHANGE = "CKA of trained[layer] and reference[layer]"
_DRIFT = {
    f"cka_reference{name}": Field("estimator layer", "float", words, -1, 1, low_biased=0)
    for name, words in [
        ("", _CHANGE),
        ("_trajectory", f"{_CHANGE}, after each epoch"),
        ("_memorised", f"{_CHANGE}, trained on n_train images with random labels"),
    ]
}

_PROBES = {
    "probe_accuracy": Field(
        "seed? layer", "float", "test accuracy of a linear probe on the layer", 0, 1
    ),
    "probe_regularisation": Field(
        "seed? layer", "float", "regularisation of the probe, chosen on held-out images", 0
    ),
    "numerical_rank": Field(
        "seed? layer rtol?", "number", "numerical rank of the layer's features", 0
    ),
    "num_features": Field("layer", "int", "numbers in the representation of one image", 1),
}

# Paper C: networks that learn tasks one after the other. Not every network learns every task, nor
# for as many epochs; and only marked images are evaluated with squares.
_TASKS = {
    name: replace(_TRAINING[name], nan="any")
    for name in ("train_accuracy", "test_accuracy", "test_accuracy_squares")
} | {name: _MATRICES[name] for name in ("cka_ft_pt", "cka_pt_pt")} | _PROBES | {
    "chance": Field("", "float", "accuracy of guessing", 0, 1),
    "ratio_accuracy": Field(
        "", "float", "accuracy on the original test images after the second task", 0, 1
    ),
    "grad_cam_corner": Field(
        "", "float", "share of Grad-CAM in the top left quarter of images with squares", 0, 1,
        nan="any",
    ),
    "grad_cam": Field("example y x", "float", "Grad-CAM of the true class", 0, 1),
    "example_images": _INVERSION["example_images"],
}

# Of every hypothesis about a trajectory, or of one up to each epoch. A constant series correlates
# with nothing: NaN.
_CORRELATED = "estimator? seed? hypothesis?"
_ROBUSTNESS = {
    name: Field(_CORRELATED, "float", long_name, low, 1, nan="any")
    for name, low, long_name in [
        ("correlation", -1, "Pearson correlation over epochs"),
        ("p_value", 0, "p-value of the correlation"),
        ("p_value_bonferroni", 0, "p-value after Bonferroni"),
        ("p_value_autocorrelation", 0, "p-value with the effective number of epochs"),
        ("p_value_autocorrelation_bonferroni", 0,
         "p-value with the effective number of epochs, after Bonferroni"),
    ]
} | {
    "n_epochs": Field(_CORRELATED, "int", "number of epochs correlated", 0),
    "n_epochs_effective": Field(
        _CORRELATED, "float", "effective number of epochs", 0, nan="any"
    ),
}

_VERDICTS = ("reproduced", "not reproduced", "mixed", "not testable here")
_CLAIMS = {
    "verdict": Field("claim estimator? self_term?", "str", "verdict", values=_VERDICTS),
    "value": Field("claim estimator? self_term? seed?", "float", "measured value", nan="any"),
    "value_low": Field("claim estimator? self_term?", "float", "95 % interval, low", nan="any"),
    "value_high": Field("claim estimator? self_term?", "float", "95 % interval, high", nan="any"),
    "paper_value": Field("claim", "float", "value the paper reports", nan="any"),
    "threshold": Field("claim", "float", "threshold of the claim", nan="any"),
    "reason": Field("claim", "str", "why it cannot be tested here"),
}

# Several networks side by side: a layer is called by its place, shorter networks end in NaN.
_LENS = {
    name: Field(f"case {dims}", "float", long_name, low, high, nan="any")
    for name, dims, long_name, low, high in [
        ("learning", "estimator seed place", "learning", -2, 2),
        ("forgetting", "estimator seed place", "forgetting", -2, 2),
        ("cka_divergence", "estimator seed place", "CKA divergence", -2, 2),
        ("self_term", "estimator seed place", "STIR of the layer before with itself", -1, 1),
        ("control", "estimator seed place", "CKA on the images and on the starting images", -1, 1),
        ("flow", "estimator seed ref_place place", "invariance flow", -2, 2),
        ("flow_before", "estimator seed ref_place place", "flow of the network with itself", -2, 2),
        ("probe_accuracy", "when place", "test accuracy of a linear probe on the layer", 0, 1),
        ("numerical_rank", "when place", "numerical rank of the layer's features", 0, inf),
        ("layer_depth", "place", "depth of the layer in its network", 0, 1),
    ]
}

KINDS = {
    "comparison": Kind(
        _MATRICES | _DIAGONALS | _JACKKNIFE | _LEFT_OUT | _INVERSION | _ACCURACY,
        (("stir_ft_pt", "stir_ft_pt_diagonal", "cka_ft_pt", "cka_ft_pt_diagonal"),),
    ),
    "training": Kind(_TRAINING, (("train_loss",), ("test_loss",))),
    "drift": Kind(_DRIFT | _TRAINING, (("cka_reference",),)),
    "tasks": Kind(_TASKS, (("test_accuracy",),)),
    "probes": Kind(_PROBES | _ACCURACY, (("probe_accuracy", "numerical_rank"),)),
    "accuracy": Kind(_TABLE, (("test_accuracy",),)),
    "robustness": Kind(_ROBUSTNESS | _ACCURACY, (("corrupted_accuracy", "correlation"),)),
    "claims": Kind(_CLAIMS, (("verdict",), ("value",))),
    "lens": Kind(_LENS, (("learning",),)),
    "benchmark": Kind(None),
}
# fmt: on
