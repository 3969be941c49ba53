"""What one forward pass asks of a place: bytes, products and kernels.

Stands apart from the speed model because it holds no coefficient: it is a sum over the header's tensor list, split
between the card and the host as llama.cpp places them. Both decode and prefill read it, whatever the machine.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from oomph.facts.config import RunConfig
from oomph.facts.gguf import TensorInfo
from oomph.facts.modelspec import ModelSpec
from oomph.facts.quants import quant

_LEGACY: Final = ("Q4_0", "Q4_1", "Q5_0", "Q5_1")
_KIND_BY_PREFIX: Final = (
    ("IQ4", "iq4"), ("IQ", "iq2"), ("TQ", "iq2"), ("Q8", "q8_0"), ("Q6", "q6_k"), ("Q4_K", "q4_k"), ("Q5_K", "q4_k"),
    ("Q2", "q2_k"), ("Q3", "q2_k"), ("Q1", "iq2"), ("MXFP4", "fp4"), ("NVFP4", "fp4"),
)  # fmt: skip

_RECURRENT: Final = ("ssm_", "shortconv", "time_mix")
_WINDOW_PERIOD: Final = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "gpt-oss": 2,
    "cohere2": 4,
    "llama4": 4,
    "exaone4": 4,
    "olmo2": 4,
}
"""Every how many layers one sees all cells, where the header has no pattern (llama.cpp's set_swa_pattern)."""


def kind_of(type_name: str) -> str:
    """The tensor kind whose kernels handle ggml's type: `kind_of("Q5_K")` is `"q4_k"`."""
    if type_name in _LEGACY:
        return "q4_0"
    return next((kind for prefix, kind in _KIND_BY_PREFIX if type_name.startswith(prefix)), "f16")


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionWork:
    """`layers` alike attention layers; each sees `window` cells at most, or all where it is None."""

    layers: int
    window: int | None
    n_head: int
    n_head_kv: int
    head_size: int
    row_bytes: float
    is_latent: bool = False

    def cells(self, n_depth: float) -> float:
        """Cells that a token at depth `n_depth` looks at in one layer."""
        return n_depth if self.window is None else min(n_depth, self.window)


@dataclass(slots=True, kw_only=True)
class Work:
    """One place's share of a forward pass; bytes and products (two FLOPs each weight and token) by tensor kind.

    `expert_*` are of all stored experts of a layer stack, of which a token uses `expert_share`. `inner_sizes` is the
    sum of the matrices' inner dimensions. `recurrent_elements` is the state of one sequence.
    """

    dense_bytes: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    dense_flops: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    inner_sizes: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    head_bytes: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    expert_bytes: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    expert_flops: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    expert_matrices: int = 0
    expert_share: float = 0.0
    kernels: float = 0.0
    routing_kernels: float = 0.0
    recurrent_layers: int = 0
    recurrent_elements: float = 0.0
    attention: list[AttentionWork] = field(default_factory=list)
    n_vocab: int = 0
    n_embd: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing was placed here."""
        return not (self.dense_bytes or self.expert_bytes or self.head_bytes)

    def weight_bytes(self, n_tokens: float | None) -> float:
        """Bytes of the weights that `n_tokens` tokens read; None for all that are stored."""
        touched = 1.0 if n_tokens is None else self.touched(n_tokens)
        dense = sum(self.dense_bytes.values()) + sum(self.head_bytes.values())
        return dense + sum(self.expert_bytes.values()) * touched

    def touched(self, n_tokens: float) -> float:
        """Expected share of the experts that `n_tokens` tokens use between them, each token drawing its own."""
        return 1 - (1 - min(self.expert_share, 0.999999)) ** n_tokens if self.expert_share else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where the layers are: each first `host_layers` on the host, and the experts of the first `host_expert_layers`."""

    n_layer: int
    host_layers: int
    host_expert_layers: int
    head_on_host: bool
    overrides: tuple[tuple[re.Pattern[str], bool], ...]

    def on_host(self, tensor: str, layer: int | None) -> bool:
        """Whether that weight is in host memory."""
        for pattern, host in self.overrides:
            if pattern.search(tensor):
                return host
        if layer is None:
            return self.head_on_host
        return layer < self.host_layers or (layer < self.host_expert_layers and "_exps" in tensor)


def placement(spec: ModelSpec, config: RunConfig) -> Placement:
    """llama.cpp's rule: the last `n_gpu_layers - 1` layers and the output go to the cards."""
    n_layer = spec.n_layer
    n_gpu = 0 if config.n_devices == 0 else n_layer + 1 if config.n_gpu_layers < 0 else config.n_gpu_layers
    overrides = []
    for item in (config.override_tensor or "").split(",") if config.override_tensor else ():
        pattern, _, buffer_type = item.partition("=")
        overrides.append((re.compile(pattern), not buffer_type.startswith("CUDA") or buffer_type.endswith("_Host")))
    return Placement(
        n_layer=n_layer, host_layers=max(n_layer + 1 - n_gpu, 0), host_expert_layers=config.n_cpu_moe,
        head_on_host=n_gpu < 1, overrides=tuple(overrides),
    )  # fmt: skip


WORK_KNOBS: Final = (
    "n_devices", "n_gpu_layers", "n_cpu_moe", "override_tensor", "n_expert_used", "type_k", "type_v", "flash_attn",
    "offload_kqv",
)  # fmt: skip
"""The knobs that a forward pass depends on: `forward_work` is the same where their values are."""


def forward_work(spec: ModelSpec, config: RunConfig) -> tuple[Work, Work]:
    """A token's work on the card and on the host."""
    place = placement(spec, config)
    card, host = Work(n_vocab=spec.n_vocab, n_embd=spec.n_embd), Work(n_vocab=spec.n_vocab, n_embd=spec.n_embd)
    layers: dict[int, list[str]] = defaultdict(list)
    n_loaded = spec.n_layer - spec.integer("nextn_predict_layers", 0)
    n_used = config.n_expert_used or spec.n_expert_used
    for work in (card, host):
        work.expert_share = n_used / spec.n_expert if spec.n_expert else 0.0
    tied = "output.weight" not in spec.tensors
    for tensor in spec.tensors.values():
        layer, part = _layer_and_part(tensor.name)
        if layer is not None and layer >= n_loaded:
            continue
        if layer is not None:
            layers[layer].append(part)
        if len(tensor.ne) < 2 or part.endswith("bias"):
            continue
        _add_matrix(host if place.on_host(tensor.name, layer) else card, tensor, part, tied=tied, n_used=n_used)
    for layer, parts in layers.items():
        _count_kernels(host if layer < place.host_layers else card, parts)
    _add_attention(spec, config, place, layers, card, host)
    (host if place.head_on_host else card).kernels += 4
    return card, host


def _layer_and_part(name: str) -> tuple[int | None, str]:
    """`blk.7.attn_q.weight` as (7, "attn_q.weight"); a tensor outside the blocks has no layer."""
    if not name.startswith("blk."):
        return None, name
    number, _, part = name[4:].partition(".")
    return (int(number), part) if number.isdigit() else (None, name)


def _add_matrix(work: Work, tensor: TensorInfo, part: str, *, tied: bool, n_used: int) -> None:
    """Counts one matrix: embeddings are looked up, not read; the output head is multiplied for the last token only."""
    kind, n_bytes, n_weights = kind_of(tensor.quant.name), float(tensor.n_bytes), float(tensor.n_elements)
    if part == "output.weight" or (tied and part == "token_embd.weight"):
        work.head_bytes[kind] += n_bytes
    elif "_exps." in part:
        n_expert = tensor.ne[-1]
        work.expert_bytes[kind] += n_bytes
        work.expert_flops[kind] += 2 * n_weights * n_used / n_expert
        work.expert_matrices += n_expert
    elif "embd" not in part and "embed" not in part and "conv1d" not in part:
        work.dense_bytes[kind] += n_bytes
        work.dense_flops[kind] += 2 * n_weights
        work.inner_sizes[kind] += tensor.ne[0]


def _count_kernels(work: Work, parts: list[str]) -> None:
    """Kernels of a layer for one token: each matrix, norm and bias, and what joins them (ggml-cuda, CUDA graphs).

    A llama layer has 17 with flash attention: 7 products, 2 norms, 2 ropes, 2 cache writes, 2 of attention itself,
    the activation, and 1 for both residuals after fusion. The attention's two are added by `_add_attention`.
    """
    experts = any("_exps." in part for part in parts)
    shared = any("shexp" in part for part in parts)
    recurrent = any(part.startswith(_RECURRENT) for part in parts)
    if recurrent:
        work.recurrent_layers += 1
    own = [part for part in parts if not part.startswith(("ffn_", *_RECURRENT)) and not recurrent]
    work.kernels += sum(not part.endswith("bias") or part.startswith("attn") for part in own) + 5 * bool(own)
    if experts:
        work.routing_kernels += 12 + sum("_exps." in part and part.endswith("weight") for part in parts)
        work.routing_kernels += 4 * shared + sum("_exps." in part and part.endswith("bias") for part in parts)
    else:
        work.kernels += sum(part.startswith("ffn_") for part in parts) + 2 * any(p.startswith("ffn_") for p in parts)


def _add_attention(
    spec: ModelSpec, config: RunConfig, place: Placement, layers: Mapping[int, list[str]], card: Work, host: Work
) -> None:
    """Attention layers grouped by what they see, and the recurrent states, each where its layer is."""
    groups: Counter[tuple[bool, int | None, int, int, int, float]] = Counter()
    state = _recurrent_elements(spec)
    heads, kv_heads = spec.per_layer("attention.head_count", 1), spec.per_layer("attention.head_count_kv", 1)
    for layer, window in enumerate(_windows(spec)):
        parts = layers.get(layer, [])
        on_host = layer < place.host_layers or not config.offload_kqv
        work = host if on_host else card
        if any(part.startswith(_RECURRENT) for part in parts):
            work.recurrent_elements += state
        elif kv_heads[layer] and any(part.startswith("attn_") for part in parts):
            groups[(on_host, window, heads[layer], *_head_sizes(spec, config, kv_heads[layer]))] += 1
            work.kernels += 2 if config.flash_attn != "off" else 5
    for (on_host, window, n_head, n_head_kv, head_size, row_bytes), count in groups.items():
        (host if on_host else card).attention.append(AttentionWork(
            layers=count, window=window, n_head=n_head, n_head_kv=n_head_kv, head_size=head_size, row_bytes=row_bytes,
            is_latent=bool(spec.integer("attention.kv_lora_rank", 0)),
        ))  # fmt: skip


def _head_sizes(spec: ModelSpec, config: RunConfig, n_head_kv: int) -> tuple[int, int, float]:
    """KV heads, head size and the bytes of one cell in a layer; MLA keeps one latent row for all heads, K only."""
    if latent := spec.integer("attention.kv_lora_rank", 0):
        width = latent + spec.integer("rope.dimension_count", 64)
        return 1, width, _row_bytes(config.type_k, width)
    default = spec.n_embd // max(spec.integer("attention.head_count", 1), 1)
    key, value = spec.integer("attention.key_length", default), spec.integer("attention.value_length", default)
    return n_head_kv, key, _row_bytes(config.type_k, key * n_head_kv) + _row_bytes(config.type_v, value * n_head_kv)


def _row_bytes(type_name: str, width: int) -> float:
    return width * quant(type_name).bits_per_weight / 8


def _windows(spec: ModelSpec) -> Iterator[int | None]:
    """The sliding window of each layer, None for one that sees all cells."""
    window = spec.integer("attention.sliding_window", 0)
    pattern = spec.metadata.get(f"{spec.arch}.attention.sliding_window_pattern")
    period = pattern if isinstance(pattern, int) else _WINDOW_PERIOD.get(spec.arch, 0)
    for layer in range(spec.n_layer):
        if isinstance(pattern, tuple):
            slides = bool(pattern[layer % len(pattern)])
        else:
            slides = period > 0 and layer % period < period - 1
        yield window if window and slides else None


def _recurrent_elements(spec: ModelSpec) -> float:
    """Elements of one layer's state: inner size x state size (Mamba, delta nets)."""
    return float(spec.integer("ssm.inner_size", 0) * spec.integer("ssm.state_size", 0))
