"""What fine-tuning does to the representations of vision models: inversion, STIR, and what follows.

Names are imported on first use, so that ``import invlib`` and everything that only asks what is to
be done (the workflow, the command line's help) costs no import of torch.
"""

from importlib import import_module

__version__ = "0.1.0"

# public name -> the module that holds it
_WHERE = {
    "load_images": "datasets",
    "load_model": "models",
    "TrainingRun": "runs",
    "train": "training",
    "invert": "inversion",
    "linear_cka": "similarity",
    "cka_matrix": "similarity",
    "subspace_similarity": "similarity",
    "numerical_rank": "similarity",
    "linear_probe": "probes",
    "compare": "comparison",
    "learning": "invariance",
    "forgetting": "invariance",
    "cka_divergence": "invariance",
    "invariance_flow": "invariance",
    "save_results": "results",
    "open_results": "results",
    "check_claims": "claims",
}

__all__ = list(_WHERE)


def __getattr__(name: str):
    if name in _WHERE:
        value = getattr(import_module(f"invlib.{_WHERE[name]}"), name)
        globals()[name] = value  # the next access no longer comes here
        return value
    raise AttributeError(f"module 'invlib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
