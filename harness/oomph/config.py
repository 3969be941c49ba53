"""One configuration to run a model with: llama.cpp's load knobs under llama.cpp's names.

`RunConfig` is what an estimate is asked for and what a measured point was run with, so the two can
be held against each other. Defaults are llama-cpp-python 0.3.36's (llama_context_default_params),
not llama-server's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

from oomph.errors import ConfigError
from oomph.gguf.ggml_types import KV_CACHE_TYPES

FLASH_ATTN: Final = ("on", "off", "auto")
SPLIT_MODES: Final = ("none", "layer", "row")
CONTEXT_STEP: Final = 256
"""Cells to which llama.cpp rounds a context up."""


def padded_context(n_ctx: int) -> int:
    """The cells that llama.cpp makes of a context of `n_ctx`."""
    return -(-n_ctx // CONTEXT_STEP) * CONTEXT_STEP


ROPE_SCALINGS: Final = ("none", "linear", "yarn")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Load knobs; None is "as the model or llama.cpp has it".

    `n_gpu_layers` counts the output layer, -1 is all. `n_outputs_max` None is n_batch, as
    llama-cpp-python has it (llama-server sets its slots). `override_tensor` is llama.cpp's
    `pattern=buffer type` list, separated by commas. `n_devices` is the number of cards, 0 for a
    machine (or build) without one. `n_depth` is how many cells each sequence has filled when speed
    is asked, `n_parallel` how many of them decode at once. `rope_scale` is the factor that
    positions are divided by; RoPE changes no memory.
    """

    n_ctx: int = 4096
    n_batch: int = 2048
    n_ubatch: int = 512
    n_seq_max: int = 1
    kv_unified: bool = False
    type_k: str = "f16"
    type_v: str = "f16"
    flash_attn: str = "auto"
    swa_full: bool = True
    n_gpu_layers: int = -1
    n_cpu_moe: int = 0
    override_tensor: str | None = None
    tensor_split: tuple[float, ...] | None = None
    split_mode: str = "layer"
    main_gpu: int = 0
    offload_kqv: bool = True
    op_offload: bool = True
    n_outputs_max: int | None = None
    n_expert_used: int | None = None
    n_devices: int = 1
    n_threads: int | None = None
    n_depth: int = 0
    n_parallel: int = 1
    rope_scaling: str | None = None
    rope_scale: float | None = None
    yarn_orig_ctx: int | None = None

    def __post_init__(self) -> None:
        for key in ("n_ctx", "n_batch", "n_ubatch", "n_seq_max", "n_parallel"):
            if getattr(self, key) < 1:
                raise ConfigError(f"{key} is {getattr(self, key)}; it must be at least 1")
            if getattr(self, key) >= 1 << 31:
                raise ConfigError(
                    f"{key} is {getattr(self, key)}; llama.cpp counts to {(1 << 31) - 1}"
                )
        for key in ("n_cpu_moe", "n_depth", "n_devices"):
            if getattr(self, key) < 0:
                raise ConfigError(f"{key} is {getattr(self, key)}; it must be at least 0")
        for key, allowed in (
            ("type_k", KV_CACHE_TYPES),
            ("type_v", KV_CACHE_TYPES),
            ("flash_attn", FLASH_ATTN),
            ("split_mode", SPLIT_MODES),
        ):
            if getattr(self, key) not in allowed:
                raise ConfigError(
                    f"{key} is {getattr(self, key)!r}; it must be one of {', '.join(allowed)}"
                )
        for key in ("n_expert_used", "n_outputs_max", "n_threads", "rope_scale", "yarn_orig_ctx"):
            if getattr(self, key) is not None and not 1 <= getattr(self, key) < 1 << 31:
                raise ConfigError(
                    f"{key} is {getattr(self, key)}; it must be at least 1, or left out"
                )
        if self.rope_scaling is not None and self.rope_scaling not in ROPE_SCALINGS:
            raise ConfigError(
                f"rope_scaling is {self.rope_scaling!r}; it must be one of "
                f"{', '.join(ROPE_SCALINGS)}"
            )

    @property
    def n_ctx_seq(self) -> int:
        """Tokens that one sequence can hold: all of a unified cache, else its share."""
        return self.n_ctx if self.kv_unified else self.n_ctx // self.n_seq_max

    @property
    def deepest(self) -> int:
        """Cells that each of `n_parallel` sequences can fill at once: they share a unified cache
        between them."""
        return self.n_ctx // self.n_parallel if self.kv_unified else self.n_ctx_seq

    def with_(self, **changes: Any) -> Self:
        """A copy with these knobs changed; ConfigError for a name that is no knob or a value it
        cannot take."""
        return replace(self, **_checked(changes))

    @classmethod
    def from_mapping(cls, knobs: Mapping[str, Any], *, where: str = "configuration") -> Self:
        """The configuration a JSON object or TOML table spells; `where` names it in the
        ConfigError."""
        try:
            return cls(**_checked(knobs))
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """All knobs by name, ready for JSON; those of RoPE only where set, so that a point keeps
        the id it had before there were any."""
        knobs = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: value
            for name, value in knobs.items()
            if value is not None or name not in _ROPE_KNOBS
        }


_ROPE_KNOBS: Final = frozenset({"rope_scaling", "rope_scale", "yarn_orig_ctx"})
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "int": (int,),
    "bool": (bool, int),
    "str": (str,),
    "int | None": (int, type(None)),
    "str | None": (str, type(None)),
    "tuple[float, ...] | None": (tuple, list, type(None)),
    "float | None": (int, float, type(None)),
}


def _checked(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """`knobs` with each name and type held against RunConfig's fields, lists made tuples and 0/1
    made booleans."""
    known = {
        field.name: str(getattr(field.type, "__name__", field.type)) for field in fields(RunConfig)
    }
    checked: dict[str, Any] = {}
    for key, value in knobs.items():
        if key not in known:
            raise ConfigError(f"unknown knob {key!r}; the knobs are {', '.join(known)}")
        kind = known[key]
        if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool"):
            raise ConfigError(f"{key} is {value!r}; it takes {kind}")
        if kind == "bool":
            value = bool(value)
        if isinstance(value, list):
            value = tuple(float(item) for item in value)
        checked[key] = value
    return checked
