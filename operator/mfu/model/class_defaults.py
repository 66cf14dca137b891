"""Sizes that a nested language model's config may leave out because they are its class's own.

Configs of multimodal models state only where their language model differs from the defaults of its class; the defaults are those of
Hugging Face transformers (`configuration_<family>.py`). A config at the top level states everything, so nothing is filled in there.
"""

from collections.abc import Mapping

from mfu.model.keys import FEED_FORWARD, HEADS, HIDDEN, KEY_VALUE_HEADS, LAYERS, VOCABULARY, Keys

__all__ = ["with_class_defaults"]

_NAMES = (HIDDEN, LAYERS, HEADS, KEY_VALUE_HEADS, FEED_FORWARD, VOCABULARY, ("head_dim",), ("sliding_window",))

# In the order of _NAMES; None: derived from the others, or no window.
_DEFAULTS: Mapping[str, tuple[int | None, ...]] = {
    "llama": (4096, 32, 32, None, 11008, 32000, None, None),
    "mistral": (4096, 32, 32, 8, 14336, 32000, None, 4096),
    "mixtral": (4096, 32, 32, 8, 14336, 32000, None, None),
    "qwen2": (4096, 32, 32, 32, 22016, 151936, None, None),
    "qwen3": (4096, 32, 32, 32, 22016, 151936, 128, None),
    "gemma": (3072, 28, 16, 16, 24576, 256000, 256, None),
    "gemma2": (2304, 26, 8, 4, 9216, 256000, 256, 4096),
    "gemma3_text": (2304, 26, 8, 4, 9216, 262208, 256, 4096),
    "phi3": (3072, 32, 32, None, 8192, 32064, None, None),
    "mllama_text_model": (4096, 40, 32, 8, 14336, 128256, None, None),
}


def with_class_defaults(nested: Keys, family: str) -> tuple[Keys, tuple[str, ...]]:
    """The keys with what the family's class supplies, and a note that names it; unchanged where the family has no defaults here."""
    supplied = {
        names[0]: value
        for names, value in zip(_NAMES, _DEFAULTS.get(family, ()), strict=False)
        if value is not None and not any(name in nested.values for name in names)  # a null is a statement too
    }
    if not supplied:
        return nested, ()
    listed = ", ".join(f"{name} {value}" for name, value in supplied.items())
    return Keys(values={**supplied, **nested.values}, path=nested.path), (f"{nested.path}* leaves out what its class supplies: {listed}",)
