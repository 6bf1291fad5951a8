"""The claims ledger: which sections' results it judges."""

from papers.claims.data import sections_with_claims
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
    uses = sections_with_claims()
