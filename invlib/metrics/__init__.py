"""Measures: similarity (CKA, subspaces) and what follows from it (learning, forgetting, flow)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "cka": ["cka_from_grams", "cka_leave_one_out", "cka_matrix", "cka_matrix_from_grams",
                "linear_cka"],
        "distances": ["at_distance"],
        "grams": ["center", "gram"],
        "invariance": ["cka_divergence", "compressed_share", "compression", "diagonal",
                       "diagonals", "expansion", "forgetting", "invariance_flow", "learning"],
        "jackknife": ["interval", "left_one_out"],
        "subspaces": ["numerical_rank", "subspace_similarity"],
    },
)  # fmt: skip
