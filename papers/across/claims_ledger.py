"""The section with the claims ledger: the verdicts on all claims of the papers."""

from papers.section import Section


class ClaimsLedger(Section):
    """Verdicts on all claims, for the results of this run and for the reference results.

    Examples
    --------
    >>> ClaimsLedger.uses[:2]
    ('finetuning_task', 'pretraining_dataset')
    """

    name = "claims_ledger"
    beside = ("convergence",)  # whether recipes agree about a verdict
    notes = {"scale": "whose run is judged, beside the reference results", "seeds": "not used here"}
    # Written out, so that a mistake in the files of the claims stops no other command. In the order
    # of the ledger; a test compares.
    uses = (
        "finetuning_task",
        "pretraining_dataset",
        "compression_expansion",
        "dynamics",
        "robustness",
        "robustness_across_settings",
        "accuracy",
        "learning_from_random_labels",
        "unlearning",
        "feature_erosion",
        "collapse_and_plasticity",
        "architectures",
        "data_set_size",
        "learning_rate_schedules",
        "adversarial_robustness",
        "other_images",
        "where_did_scratch_start",
    )
