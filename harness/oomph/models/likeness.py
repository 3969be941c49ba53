"""A published model's small likeness: its architecture and quantization, far smaller.

For protocols in seconds: what it takes and how fast it is says nothing of the model itself, but
every kind of tensor, kernel, cache and buffer is there.
"""

from typing import Final

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.errors import ConfigError
from oomph.gguf.header import Value

MOST: Final = {"block_count": 2, "expert_count": 16, "vocab_size": 2048}
"""Of these no more remain than so many."""
DIVIDED: Final = (
    "embedding_length",
    "feed_forward_length",
    "expert_feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
)
DIVISOR: Final = 4


def likeness(reference: str) -> ModelSpec:
    """The likeness of the catalogue's model `name:QUANT`; ConfigError for what is no such name.

    Raises UnknownNameError where the catalogue lacks the model or the quantization.
    """
    name, _, quantization = reference.partition(":")
    if not quantization or "/" in reference or name.endswith(".gguf"):
        raise ConfigError(
            "a likeness is made of a name of the catalogue with a quantization, and not of "
            f"{reference}"
        )
    whole = catalogue_model(name, quantization)
    changes: dict[str, Value] = {
        key: min(most, value) for key, most in MOST.items() if (value := _of(whole, key))
    }
    changes |= {key: max(1, value // DIVISOR) for key in DIVIDED if (value := _of(whole, key))}
    return catalogue_model(name, quantization, changes=changes, called=f"{name}-likeness")


def _of(spec: ModelSpec, key: str) -> int | None:
    """A count of the model, None where it has none or one per layer."""
    value = spec.metadata.get(f"{spec.arch}.{key}")
    return value if isinstance(value, int) else None
