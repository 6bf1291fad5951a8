"""What fine-tuning does to the representations of vision models: inversion, STIR, and what follows.

Names are imported on first use, so that ``import invlib`` and everything that only asks what is to
be done (the workflow, the command line's help) costs no import of torch.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "comparison.compare": ["compare"],
        "comparison.probes": ["linear_probe"],
        "data.images": ["load_images"],
        "inversion.invert": ["invert"],
        "metrics.cka": ["cka_matrix", "linear_cka"],
        "metrics.invariance": ["cka_divergence", "forgetting", "invariance_flow", "learning"],
        "metrics.subspaces": ["numerical_rank", "subspace_similarity"],
        "models.loading": ["load_model"],
        "results.netcdf": ["open_results", "save_results"],
        "training.run": ["TrainingRun"],
        "training.train": ["train"],
    },
)
