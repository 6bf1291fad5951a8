"""The claims ledger: which sections' results it judges."""

from papers.section import Section


class ClaimsLedger(Section):
    """All verdicts on this run's results, and on the reference results beside them.

    Examples
    --------
    >>> ClaimsLedger.uses[:2]
    ('finetuning_task', 'pretraining_dataset')
    """

    name = "claims_ledger"
    notes = {"scale": "whose run is judged, beside the reference results", "seeds": "not used here"}
    # the sections that have claims; a test holds them to the claims there are
    uses = (
        "finetuning_task",
        "pretraining_dataset",
        "compression_expansion",
        "dynamics",
        "robustness",
        "accuracy",
        "learning_from_random_labels",
        "unlearning",
        "feature_erosion",
        "collapse_and_plasticity",
    )
