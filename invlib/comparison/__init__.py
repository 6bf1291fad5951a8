"""Two models side by side as one Dataset. `invlib.compare` makes it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "probes": ["linear_probe", "probe_layers"],
        "representations": ["layer_grams"],
        "stacking": ["stack"],
    },
)
