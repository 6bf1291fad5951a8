"""Measure what fine-tuning changes in a vision model: inversions, STIR, CKA, learning, forgetting.

A name is imported when it is first used, so ``import invlib`` imports no torch. Other public names
are in the subpackages, such as ``invlib.metrics`` and ``invlib.data``.
"""

import lazy_loader

from invlib.names import nearest

__version__ = "0.1.0"

_public, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "comparison.compare": ["compare"],
        "comparison.probes": ["linear_probe"],
        "data.images": ["load_images"],
        "inversion.invert": ["invert"],
        "metrics.cka": ["cka_matrix", "linear_cka"],
        "metrics.invariance": ["cka_divergence", "forgetting", "invariance_flow", "learning"],
        "metrics.subspaces": ["numerical_rank", "subspace_similarity"],
        "models.hooked": ["wrap_model"],
        "models.loading": ["load_model"],
        "results.netcdf": ["open_results", "save_results"],
        "training.run": ["TrainingRun"],
        "training.train": ["train"],
    },
)


def __getattr__(name: str) -> object:
    try:
        return _public(name)
    except AttributeError as error:
        raise AttributeError(f"{error}{nearest(name, __all__)}") from None
