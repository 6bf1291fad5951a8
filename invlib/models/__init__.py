"""Vision models as a sequence of named stages, whatever family they are of."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "base": ["Family", "frozen"],
        "loading": ["load_model", "read_weights"],
        "staged": ["FAMILIES", "StagedModel"],
    },
)
