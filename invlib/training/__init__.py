"""Training runs: what they say, and what they leave on disk. `invlib.train` does one."""

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
