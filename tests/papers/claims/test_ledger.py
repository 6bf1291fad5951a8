"""The verdicts on the committed results are those of ``ledger.json``: no change of code moves one.

After new reference results, or a claim that is meant to be judged otherwise, write it again with
``python -m tests.papers.claims.test_ledger`` and read what git says has changed.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from invlib.paths import results_root
from papers.across.work.claims_ledger import judged
from papers.claims.settings import SETTINGS

FILE = Path(__file__).with_name("ledger.json")


def ledger() -> dict[str, dict[str, list]]:
    """Every claim and setting: by estimator and self term the verdict, numbers and interval."""
    rows = {}
    for _, _, ledgers, _ in judged(results_root("cifar")):
        for ds in ledgers:
            setting = [str(ds[dim].values) for dim in SETTINGS if dim in ds.coords]
            for id in ds["claim"].values.tolist():
                row = rows[" @ ".join([id, *setting])] = {}
                for estimator in ds["estimator"].values.tolist():
                    for term in ds["self_term"].values.tolist():
                        one = ds.sel(claim=id, estimator=estimator, self_term=term)
                        values = [*one["value"].values.ravel(), one["value_low"], one["value_high"]]
                        known = [float(f"{float(x):.6g}") for x in values if np.isfinite(x)]
                        row[f"{estimator}, {term}"] = [one["verdict"].item(), *known]
    return rows


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, list]]:
    return ledger()


def test_verdicts_and_numbers_are_those_written_down(found):
    written = json.loads(FILE.read_text(encoding="utf-8"))
    assert list(found) == list(written)
    for name, row in found.items():
        assert list(row) == list(written[name]), name
        for way, (verdict, *values) in row.items():
            assert verdict == written[name][way][0], (name, way)
            assert values == pytest.approx(written[name][way][1:], rel=1e-5, abs=1e-8), (name, way)


def test_how_many_claims_are_reproduced(found):
    assert Counter(row["debiased, measured"][0] for row in found.values()) == {
        "reproduced": 190, "not reproduced": 160, "undecided": 122, "not testable here": 5
    }  # fmt: skip


if __name__ == "__main__":
    lines = (f"{json.dumps(name)}: {json.dumps(row)}" for name, row in ledger().items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
