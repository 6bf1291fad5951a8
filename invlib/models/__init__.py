"""Vision models cut into named stages, so that layers have the same numbers in every family."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "base": ["Family", "frozen"],
        "checkpoint_files": ["read_weights"],
        "hooked": ["wrap_model"],
        "loading": ["load_model"],
        "staged": ["FAMILIES", "StagedModel"],
    },
)
