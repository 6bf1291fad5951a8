"""The section with the claims ledger: the verdicts on all claims of the papers."""

from papers.claims.data import sections_with_claims
from papers.section import Section


class ClaimsLedger(Section):
    """Verdicts on all claims, for the results of this run and for the reference results.

    Examples
    --------
    >>> ClaimsLedger.uses[:2]
    ('finetuning_task', 'pretraining_dataset')
    """

    name = "claims_ledger"
    notes = {"scale": "whose run is judged, beside the reference results", "seeds": "not used here"}
    uses = sections_with_claims()
