"""Training runs: their settings, the training itself, and the checkpoints it leaves on disk."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "checkpoints": ["Trained"],
        "evaluation": ["evaluate"],
        "run": ["TrainingRun"],
        "seen": ["evaluated_on", "trained_on"],
    },
)
