"""Curves of claims: the same for every claim, and computed once where many are judged."""

from __future__ import annotations

import xarray as xr

from papers.claims import curves


def results(changed: float) -> xr.Dataset:
    stir = {"stir_pt_pt_diagonal": [0.9, 0.8], "stir_ft_pt_diagonal": [0.5, changed]}
    return xr.Dataset({k: ("layer", v) for k, v in stir.items()}, {"layer": [0, 1]})


def test_a_curve_of_many_claims_is_computed_once_for_each_results_and_self_term(monkeypatch):
    computed, plain = [], curves.forgetting

    def counted(ds, **more):
        computed.append(ds)
        return plain(ds, **more)

    monkeypatch.setattr(curves, "forgetting", counted)
    highest = curves.curve_measure(lambda curve: curve.max("layer"))

    def number(ds, self_term="measured"):
        return round(float(highest(ds, self_term=self_term, curves=[["forgetting"]])), 12)

    first, second = results(0.6), results(0.1)
    with curves.kept_curves():
        assert [number(first), number(first)] == [0.4, 0.4] and len(computed) == 1
        assert [number(second), number(first, "one")] == [0.7, 0.5] and len(computed) == 3
    first["stir_ft_pt_diagonal"] -= 0.3
    assert number(first) == 0.7 and len(computed) == 4  # nothing is kept outside
