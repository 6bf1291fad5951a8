"""What section 4.1 of paper A claims, each statement as a number with a threshold.

Which layers a statement is about comes from ``data/paper.yaml``. Where the paper says only "early",
"late", "flat" or "similar", the choice is ours and its reason stands beside it. A number is a
function of whole curves over the layers: one for each (quantity, task) that the claim lists.
"""

from __future__ import annotations

from collections.abc import Iterable

from papers.claims.claim import Claim
from papers.claims.shapes import (
    RESOLUTION,
    least,
    least_difference,
    level,
    onset,
    pearson,
    ratio,
    rise,
    span,
    valley_depth,
)
from papers.merlin2023.claims.builders import (
    BOTH,
    EARLY,
    LATE,
    LAYERS,
    PAPER,
    curve_claim,
    span_words,
)

__all__ = ["FINETUNING_TASK"]

INITIAL = PAPER["initial_layers"]

# "Up to layer 5" is read off a curve: the valley is that layer and one to each side.
TURN = PAPER["turning_layer_classification"]
VALLEY = (TURN - 1, TURN, TURN + 1)
CLS, REC = "classification", "reconstruction"
_INITIAL, _VALLEY, _LATE, _EARLY = map(span_words, (INITIAL, VALLEY, LATE, EARLY))
_RISING = PAPER["learning_flat_forgetting_rises"]
_FALLING = PAPER["forgetting_flat_learning_falls"]


def _finetuning_task() -> Iterable[Claim]:
    yield curve_claim(
        "A-3.1-self-term-is-one",
        "",
        "STIR of a layer with itself is 1: what inversion finds, the layer takes for the original.",
        "smallest measured self term of any layer, task and model",
        lambda *terms: least(*(term.min("layer") for term in terms)),
        [(f"self term, {model}", t) for model in ("pretrained", "fine-tuned") for t in (CLS, REC)],
        0.995,  # rounds to 1.00, the precision of the paper's other values
        paper_value=PAPER["self_stir"],
        unit="STIR",
    )
    for quantity in BOTH:
        yield curve_claim(
            f"A-4.1-u-shape-{quantity}",
            "1a",
            f"Classification: {quantity} falls to about layer {TURN} and rises after it.",
            f"{quantity} above the mean of layers {_VALLEY}: the smaller of the means of layers "
            f"{_INITIAL} and {_LATE}",
            lambda curve: valley_depth(curve, INITIAL, VALLEY, LATE),
            [(quantity, CLS)],
            0.0,  # any valley: the paper gives no depth, and all seeds must show it
            unit="STIR",
        )
    for quantity in BOTH:
        yield curve_claim(
            f"A-4.1-early-like-late-{quantity}",
            "1a",
            f"Classification: {quantity} in layers {_INITIAL} is of the size it has late.",
            f"mean {quantity} of layers {_INITIAL} over that of layers {_LATE}",
            lambda curve: ratio(level(curve, INITIAL), level(curve, LATE)),
            [(quantity, CLS)],
            0.5,  # half: below it "similarly" would be wrong; that late is higher is the next claim
            unit="ratio",
        )
    for quantity in BOTH:
        yield curve_claim(
            f"A-4.1-late-above-early-{quantity}",
            "1a",
            f"Classification: {quantity} in late layers ends above that of the first ones.",
            f"mean {quantity} of layers {_LATE} minus that of layers {_INITIAL}",
            lambda curve: level(curve, LATE) - level(curve, INITIAL),
            [(quantity, CLS)],
            0.0,  # the paper says "slightly": any difference, in all seeds
            unit="STIR",
        )
    yield curve_claim(
        "A-4.1-cka-early-near-zero",
        "1b",
        "Classification: CKA divergence is almost 0 in early layers.",
        f"mean CKA divergence of layers {_EARLY}",
        lambda curve: level(curve, EARLY),
        [("CKA divergence", CLS)],
        0.1,  # a tenth of the range of CKA: similarity above 0.9 is usually called very high
        above=False,
        paper_value=PAPER["early_cka_divergence"],
        unit="CKA",
    )
    yield curve_claim(
        "A-4.1-cka-early-below-late",
        "1b",
        "Classification: CKA divergence is small in early layers beside what it is in late ones.",
        f"mean CKA divergence of layers {_LATE} over that of layers {_EARLY}",
        lambda curve: ratio(level(curve, LATE), level(curve, EARLY)),
        [("CKA divergence", CLS)],
        2.0,  # a saturated CKA is near 0 everywhere; beside "almost 0" late layers at least double
        unit="ratio",
    )
    yield curve_claim(
        "A-4.1-similarity-is-not-invariance",
        "1a, 1b",
        "Classification: early layers keep their representations but not their invariances.",
        "the smaller of mean learning and mean forgetting over mean CKA divergence, layers "
        f"{_EARLY}",
        lambda learnt, lost, moved: ratio(
            least(level(learnt, EARLY), level(lost, EARLY)), level(moved, EARLY)
        ),
        [("learning", CLS), ("forgetting", CLS), ("CKA divergence", CLS)],
        3.0,  # "moderate" beside "almost 0": more than the factor 2 we call similar elsewhere
        unit="ratio",
    )
    yield curve_claim(
        "A-4.1-both-tasks-learn",
        "1a",
        "Fine-tuning to either task learns new invariances.",
        "mean learning over all layers, of the task where it is smaller",
        lambda *curves: least(*(level(curve, LAYERS) for curve in curves)),
        [("learning", CLS), ("learning", REC)],
        RESOLUTION,  # with self term 1 whatever inversion left undone counts as learnt
        unit="STIR",
    )
    yield curve_claim(
        "A-4.1-reconstruction-learns-more",
        "1a",
        "Reconstruction learns more than classification in every layer.",
        "smallest difference in learning, reconstruction minus classification, of any layer",
        least_difference,
        [("learning", REC), ("learning", CLS)],
        0.0,  # the paper says every layer, and not by how much
        unit="STIR",
    )
    yield curve_claim(
        "A-4.1-forgetting-rises-earlier",
        "1a",
        "Forgetting begins to rise in an earlier layer for reconstruction than for classification.",
        "layers between the two minima of forgetting from which it rises",
        lambda a, b: onset(a) - onset(b),
        [("forgetting", CLS), ("forgetting", REC)],
        0.5,  # one layer or more; the paper's figures are two apart
        paper_value=PAPER["forgetting_rises_from_classification"]
        - PAPER["forgetting_rises_from_reconstruction"],
        unit="layers",
    )
    yield curve_claim(
        "A-4.1-learning-flat-forgetting-rises",
        "1a",
        f"Reconstruction: over layers {span_words(_RISING)} forgetting rises, learning is flat.",
        "rise of forgetting over the range of learning",
        lambda lost, learnt: ratio(rise(lost, *_RISING), span(learnt, *_RISING)),
        [("forgetting", REC), ("learning", REC)],
        2.0,  # flat: moving less than half as much as the curve it is contrasted with
        unit="ratio",
    )
    yield curve_claim(
        "A-4.1-forgetting-flat-learning-falls",
        "1a",
        f"Reconstruction: over layers {span_words(_FALLING)} learning falls, forgetting is flat.",
        "fall of learning over the range of forgetting",
        lambda learnt, lost: ratio(-rise(learnt, *_FALLING), span(lost, *_FALLING)),
        [("learning", REC), ("forgetting", REC)],
        2.0,  # as in the claim before
        unit="ratio",
    )
    yield curve_claim(
        "A-4.1-cka-reconstruction-higher",
        "1b",
        "CKA divergence is larger for reconstruction than for classification in every layer.",
        "smallest difference in CKA divergence, reconstruction minus classification, of any layer",
        least_difference,
        [("CKA divergence", REC), ("CKA divergence", CLS)],
        0.0,  # the caption says each layer, and not by how much
        unit="CKA",
    )
    for task in (CLS, REC):
        yield curve_claim(
            f"A-4.1-cka-late-above-early-{task}",
            "1b",
            f"{task.capitalize()}: CKA divergence is larger in late than in early layers.",
            f"mean CKA divergence of layers {_LATE} minus that of layers {_EARLY}",
            lambda curve: level(curve, LATE) - level(curve, EARLY),
            [("CKA divergence", task)],
            0.0,  # the caption says higher, and not by how much
            unit="CKA",
        )
    for task in (CLS, REC):
        yield curve_claim(
            f"A-C.1-correlation-{task}",
            "1a, 7a",
            f"{task.capitalize()}: learning and forgetting go together across layers.",
            "Pearson correlation over layers of learning with forgetting",
            pearson,
            [("learning", task), ("forgetting", task)],
            0.8,  # just below 0.83, the lowest of the eight that the paper calls significant
            paper_value=PAPER[f"correlation_{task}"],
            unit="correlation",
        )
    yield curve_claim(
        "A-C.1-correlation-lower-for-reconstruction",
        "1a, 7a",
        "Learning and forgetting go together less closely for reconstruction.",
        "correlation over layers of learning with forgetting, classification minus reconstruction",
        lambda a, b, c, d: pearson(a, b) - pearson(c, d),
        [("learning", CLS), ("forgetting", CLS), ("learning", REC), ("forgetting", REC)],
        0.0,  # lower, in all seeds; the paper's own differences are 0.09 and 0.11
        paper_value={
            name: round(value - PAPER["correlation_reconstruction"][name], 3)
            for name, value in PAPER["correlation_classification"].items()
        },
        unit="correlation",
    )


FINETUNING_TASK = tuple(_finetuning_task())
