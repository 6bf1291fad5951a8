"""The corruptions of CIFAR-10-C. They need the extra packages of ``invlib[corruptions]``."""

from importlib.util import find_spec

import lazy_loader

_NEEDED = {"cv2": "OpenCV", "scipy": "SciPy", "skimage": "scikit-image"}
if _missing := [name for module, name in _NEEDED.items() if not find_spec(module)]:
    raise ImportError(
        f'corruptions need {" and ".join(_missing)}: pip install "invlib[corruptions]"'
    )

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "corrupted_sets": ["CORRUPTIONS", "EXTRA", "SEVERITIES", "CorruptedSet", "corrupt"],
    },
)
