"""The kinds of results and the coordinates that only papers need. Importing `papers` adds them."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from invlib.names import SELF_TERMS, SIMILARITIES
from invlib.results.schema import ACCURACY, KINDS, PROBES, Field, Kind, register

_COMPARISON, _TRAINING = KINDS["comparison"].variables, KINDS["training"].variables

# fmt: off
# Table 1 and appendix C.1 of paper A. A pair of start and data set that was not run is NaN.
_TABLE = {name: replace(field, nan="any") for name, field in ACCURACY.items()} | {
    "layer_correlation": Field(
        "self_term estimator seed", "float",
        "Pearson correlation over layers of learning with forgetting", -1, 1, nan="any",
    ),
}

# Paper B: CKA of each layer of a trained network with the same layer under other weights.
_CHANGE = "CKA of trained[layer] and reference[layer]"

_DRIFT = {
    f"cka_reference{name}": Field("estimator layer", "float", words, -1, 1, low_biased=0)
    for name, words in [
        ("", _CHANGE),
        ("_trajectory", f"{_CHANGE}, after each epoch"),
        ("_memorised", f"{_CHANGE}, trained on n_train images with random labels"),
    ]
}

# Paper C: networks that learn several tasks in turn. Tasks and epochs that a network did not learn
# are NaN.
_TASKS = {
    name: replace(_TRAINING[name], nan="any")
    for name in ("train_accuracy", "test_accuracy", "test_accuracy_squares")
} | {name: _COMPARISON[name] for name in ("cka_ft_pt", "cka_pt_pt", "example_images")} | PROBES | {
    f"{name}_untrained": replace(PROBES[name], long_name=f"{PROBES[name].long_name}, untrained")
    for name in ("probe_accuracy", "numerical_rank")
} | {
    "chance": Field("", "float", "accuracy of guessing", 0, 1),
    "ratio_accuracy": Field(
        "", "float", "accuracy on the original test images after the second task", 0, 1
    ),
    "grad_cam_corner": Field(
        "", "float", "share of Grad-CAM in the top left quarter of images with squares", 0, 1,
        nan="any",
    ),
    "grad_cam": Field("example y x", "float", "Grad-CAM of the true class", 0, 1),
}

# For every hypothesis about a trajectory, or for one hypothesis up to each epoch. The correlation
# of a constant series is NaN.
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
    "n_epochs_effective": Field(_CORRELATED, "float", "effective number of epochs", 0, nan="any"),
}

VERDICTS = ("reproduced", "not reproduced", "undecided", "not testable here")

_CLAIMS = {
    "verdict": Field("claim estimator? self_term?", "str", "verdict", values=VERDICTS),
    "value": Field(
        "claim estimator? self_term? train_seed? seed?", "float", "measured value", nan="any"
    ),
} | {
    name: Field("claim estimator? self_term?", "float", words, nan="any")
    for name, words in [
        ("value_mean", "mean over trainings"),
        ("value_low", "interval of the mean over trainings, low"),
        ("value_high", "interval of the mean over trainings, high"),
        ("images_low", "95 % interval over images, for these trainings, low"),
        ("images_high", "95 % interval over images, for these trainings, high"),
        ("detectable", "distance from the threshold that is seen at 80 % power"),
    ]
} | {
    "distance_low": Field("claim", "float", "smallest relative distance left", 0, nan="any"),
    "distance_high": Field("claim", "float", "largest relative distance left", 0, nan="any"),
    "paper_value": Field("claim", "float", "value the paper reports", nan="any"),
    "threshold": Field(
        "claim estimator? self_term?", "float", "threshold of the claim", nan="any"
    ),
    "reason": Field("claim", "str", "why it cannot be tested here"),
}

# Several networks side by side, layers by their place. Shorter networks end in NaN.
_LENS = {
    name: Field(f"case {dims}".strip(), "float", long_name, low, high, nan="any")
    for name, dims, long_name, low, high in [
        ("learning", "estimator seed place", "learning", -2, 2),
        ("forgetting", "estimator seed place", "forgetting", -2, 2),
        ("cka_divergence", "estimator seed place", "CKA divergence", -2, 2),
        ("self_term", "estimator seed place", "STIR of the layer before with itself", -1, 1),
        ("control", "estimator seed place", "CKA on the images and on the starting images", -1, 1),
        ("distance_before", "seed place", "relative distance left, network before", 0, inf),
        ("distance_after", "seed place", "relative distance left, network after", 0, inf),
        ("flow", "estimator seed ref_place place", "invariance flow", -2, 2),
        ("flow_before", "estimator seed ref_place place", "flow of the network with itself", -2, 2),
        ("probe_accuracy", "when place", "test accuracy of a linear probe on the layer", 0, 1),
        ("numerical_rank", "when place", "numerical rank of the layer's features", 0, inf),
        ("layer_depth", "place", "depth of the layer in its network", 0, 1),
        ("accuracy", "", "test accuracy after the training", 0, 1),
    ]
}

# Accuracy under attack. Only some trainings are attacked in other ways, as a check.
_ATTACKS = _COMPARISON | {
    "attacked_accuracy": Field("attack", "float", "accuracy on attacked test images", 0, 1),
    "checked_accuracy": Field(
        "check attack", "float", "accuracy on test images attacked in another way", 0, 1, nan="any"
    ),
}

# Table 1 of paper A is about two data sets, also where one of them is compared.
_READINGS = _COMPARISON | {
    "other_accuracy": Field(
        "", "float", "accuracy on the test images of the other data set", 0, 1, nan="any"
    ),
}

# Corrupted images are drawn, so each half of them has its own accuracy.
_SETTINGS = _COMPARISON | {
    "half_accuracy": Field(
        "half severity", "float", "accuracy on a half of the corrupted test images", 0, 1
    ),
}

# A recipe has its own snapshots and seeds: what it did not reach is NaN.
_CONVERGENCE = {
    name: replace(field, nan="any")
    for name, field in _COMPARISON.items() if name.startswith(("stir", "inversion_loss", "cka"))
} | {
    "example_images": _COMPARISON["example_images"],
    "way_images": Field(
        "shown_layer example y x channel", "uint8", "example images inverted so far", 0, 255
    ),
    "way_loss": Field("shown_layer example", "float", "relative distance left", 0),
} | {
    name: replace(_COMPARISON[name], dims="estimator layer")  # of one seed
    for name in ("stir_untrained_pt", "stir_control_untrained")
}

# Invariances that are known. Built networks: what cannot be computed, and snapshots that a recipe
# does not reach, are NaN. Trained networks: see `comparison`.
_BUILT = "construction side recipe"
_STIR = "built_layer shared n_images seed similarity"
_SNAPSHOT = "estimator snapshot layer"
_KNOWN = {
    name: Field(dims, "float", long_name, low, high, nan="any")
    for name, dims, long_name, low, high in [
        ("measured", f"{_BUILT} built_snapshot {_STIR}", "STIR, measured", -1, 1),
        ("truth", f"{_BUILT} {_STIR}", "STIR if the unseen part stays that of the start", -1, 1),
        ("truth_conditional", f"{_BUILT} {_STIR}",
         "STIR if noise is drawn given the part that is seen", -1, 1),
        ("truth_limit", f"{_BUILT} shared", "linear CKA, for infinitely many images", 0, 1),
        ("distance", f"{_BUILT} built_snapshot built_layer seed", "relative distance left", 0, inf),
        ("drift", f"{_BUILT} built_snapshot built_layer seed",
         "distance of the unseen part from the start, relative to its spread", 0, inf),
        ("outside", _BUILT, "share of numbers of the true X′ outside [0, 1]", 0, 1),
        ("n_seen", "construction side", "numbers that the reference sees", 1, inf),
        ("learning", _SNAPSHOT, "learning", -2, 2),
        ("forgetting", _SNAPSHOT, "forgetting", -2, 2),
        ("cka_divergence", "estimator layer", "CKA divergence", -2, 2),
        ("self_term_pt", _SNAPSHOT, "STIR of the layer before with itself", -1, 1),
        ("self_term_ft", _SNAPSHOT, "STIR of the layer after with itself", -1, 1),
        ("distance_pt", "snapshot layer", "relative distance left, before", 0, inf),
        ("distance_ft", "snapshot layer", "relative distance left, after", 0, inf),
        ("moved_before", "change layer",
         "distance a change moves a picture, relative to random pairs, before", 0, inf),
        ("moved_after", "change layer",
         "distance a change moves a picture, relative to random pairs, after", 0, inf),
    ]
} | {name: ACCURACY[name] for name in ("test_accuracy", "pretraining_accuracy")}

_COORDS = {
    "self_term": Field("self_term", "str", "what the first term is for i = j", values=SELF_TERMS),
    "construction": Field("construction", "str", "what the reference sees of an image"),
    "side": Field("side", "int", "side of the images", 1, units="pixel", increasing=True),
    "built_layer": Field("built_layer", "str", "layer of a network that is built"),
    "shared": Field("shared", "str", "what the target shares of the unseen part"),
    "n_images": Field("n_images", "int", "number of images compared", 2, increasing=True),
    "similarity": Field("similarity", "str", "similarity of Grams", values=SIMILARITIES),
    "change": Field("change", "str", "what is changed in a picture"),
    "reference": Field(
        "reference", "str", "weights compared with", values=("initial", "pretrained")
    ),
    "randomness": Field("randomness", "number", "randomness of the labels", 0, increasing=True),
    "ratio": Field("ratio", "number", "share of images with the pattern", 0, 1, increasing=True),
    "schedule": Field("schedule", "str", "schedule of the learning rate"),
    "setting": Field("setting", "str", "settings of the training"),
    "half": Field("half", "int", "half of the corrupted test images", 0, 1, increasing=True),
    "budget": Field(
        "budget", "str", "what trainings on more or fewer images have in common",
        values=("steps", "epochs"),
    ),
    "reading": Field(
        "reading", "str", "reading of \"from scratch\"", values=("plain", "repository")
    ),
    "attack": Field("attack", "str", "norm of the change and its bound, in [0, 1] of a pixel"),
    "check": Field("check", "str", "how an attack differs from the usual one"),
    "carrying": Field("carrying", "str", "what the images carry: squares or not"),
    "hypothesis": Field("hypothesis", "str", "hypothesis of the correlation scan"),
    "quantity": Field("hypothesis", "str", "quantity correlated with corrupted accuracy"),
    "layers": Field("hypothesis", "str", "layers the hypothesis is about"),
    "aggregate": Field("hypothesis", "str", "aggregate over those layers"),
    "n_hypotheses": Field("hypothesis", "int", "number of hypotheses in the family", 1),
    "case": Field("case", "str", "network and training"),
    "when": Field("when", "str", "network before or after it, or untrained",
        values=("before", "after", "untrained")),
    "place": Field("place", "int", "number of the layer in its network", 0, increasing=True),
    "ref_place": Field("ref_place", "int", "number of the reference layer", 0, increasing=True),
    "built_snapshot": Field(
        "built_snapshot", "int", "gradient steps of the inversion", 1, increasing=True
    ),
    "shown_layer": Field("shown_layer", "int", "layer whose X′ is shown", 0, increasing=True),
    "claim": Field("claim", "str", "identifier of the claim"),
}

register(
    {
        "drift": Kind(_DRIFT | _TRAINING, (("cka_reference",),)),
        "tasks": Kind(_TASKS, (("test_accuracy",),)),
        "accuracy": Kind(_TABLE, (("test_accuracy",),)),
        "robustness": Kind(_ROBUSTNESS | ACCURACY, (("corrupted_accuracy", "correlation"),)),
        "convergence": Kind(_CONVERGENCE, (("stir_ft_pt",), ("way_images",))),
        "attacks": Kind(_ATTACKS, (("attacked_accuracy",),)),
        "readings": Kind(_READINGS, (("stir_ft_pt_diagonal",),)),
        "settings": Kind(_SETTINGS, (("half_accuracy",),)),
        "claims": Kind(_CLAIMS, (("verdict",), ("value",))),
        "known_truth": Kind(_KNOWN, (("measured",), ("forgetting",))),
        "lens": Kind(_LENS, (("learning",),)),
    },
    _COORDS,
)
