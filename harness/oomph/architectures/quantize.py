"""Which ggml type llama-quantize gives each tensor.

Stands apart from `shapes` because it knows tensors by name only: the rules look at what a tensor is
for, at the block it is in, and at a few numbers of the model. They are those of
`src/llama-quant.cpp` in llama.cpp 0.5.0 (`tensor_allows_quantization`,
`llama_tensor_get_type_impl`, `tensor_type_fallback`), for files without a `--tensor-type` override;
what llama-quantize leaves alone has the type that convert_hf_to_gguf wrote.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor
from oomph.frozen import frozen
from oomph.gguf.file_types import FILE_TYPES, canonical_quantization
from oomph.gguf.ggml_types import QUANTS, QuantType, quant

_FALLBACKS: Final = {
    "IQ1_S": "IQ4_NL", "IQ1_M": "IQ4_NL", "IQ2_XXS": "IQ4_NL", "IQ2_XS": "IQ4_NL",
    "IQ2_S": "IQ4_NL",
    "IQ3_XXS": "IQ4_NL", "IQ3_S": "IQ4_NL", "IQ4_XS": "IQ4_NL", "Q2_K": "Q4_0", "Q3_K": "Q4_0",
    "TQ1_0": "Q4_0",
    "TQ2_0": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0",
}  # fmt: skip
_LOW_BIT: Final = ("IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ1_S", "IQ1_M")
_LARGER_LOW_BIT: Final = ("IQ2_S", "IQ2_M")

_ALWAYS_F32: Final = (
    "_norm.weight",
    "ffn_gate_inp.weight",
    "ffn_gate_inp_shexp.weight",
    "ssm_conv1d",
    "shortconv.conv",
    "position_embd",
    "token_types",
    "altup_correct_coef",
    "altup_predict_coef",
    "time_mix_first.",
    "time_mix_w1.",
    "time_mix_w2.",
    "time_mix_decay_w1.",
    "time_mix_decay_w2.",
    "time_mix_lerp_fused.",
)
_MATRICES: Final = ("weight", ".lora_a", ".lora_b")
"""What the names of tensors end with that are written in 16 bits."""
_TABLES: Final = ("ffn_gate_tid2eid.",)
"""Tables of numbers, in I32 whatever the file."""
_KEPT: Final = (
    *_ALWAYS_F32,
    *_TABLES,
    "altup",
    "laurel",
    "per_layer_model_proj",
    "attn_rel_b.",
    "indexer.k_proj.",
    "indexer.q_proj.",
    "time_mix_v1.",
    "time_mix_v2.",
    "time_mix_a1.",
    "time_mix_a2.",
    "time_mix_g1.",
    "time_mix_g2.",
)

_KEPT_OF: Final[dict[str, tuple[str, ...]]] = {
    "glm5-next": (
        "hc_",
        "indexer.attn_q_b",
        "indexer.attn_k",
        "indexer.proj",
        "indexer_compressor_gate",
        "indexer_compressor_ape",
        "ssm_f_a.",
        "ssm_f_b.",
        "ssm_g_a.",
        "ssm_g_b.",
        "ssm_beta.",
        "attn_kv_a_mqa.",
        "attn_k_b.",
        "attn_v_b.",
    )
}
"""What an architecture's files keep besides."""
_EIGHT_BITS_OF: Final[dict[str, tuple[str, ...]]] = {
    "glm5-next": ("attn_q_a", "attn_q_b", "nextn.eh_proj")
}
"""What an architecture's files have in Q8_0 wherever others are quantized further."""


@frozen
class _Mixture:
    """What the rules look at besides the tensor: the file type and a few numbers of the model."""

    name: str
    base: str
    n_layer: int
    n_attention_v: int
    n_gqa: int
    n_expert: int
    tied: bool
    imatrix: bool
    is_70b: bool

    def any_of(self, *names: str) -> bool:
        return self.name in names

    @property
    def is_low_bit(self) -> bool:
        return self.name in _LOW_BIT


def _more_bits(i: int, n: int) -> bool:
    """The first and last eighth and every third between get a larger type (use_more_bits)."""
    return i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2


def _output(mix: _Mixture, ne0: int) -> str:
    if mix.any_of("MXFP4") or ne0 % quant(mix.base).block:
        return "Q8_0"
    if mix.any_of("IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ2_S", "IQ2_M", "IQ1_M"):
        return "Q5_K"
    return mix.base if mix.base == "Q8_0" else "Q6_K"


def _embedding(mix: _Mixture) -> str:
    if mix.any_of("IQ2_XXS", "IQ2_XS", "IQ1_S", "IQ1_M"):
        return "Q2_K"
    if mix.any_of("IQ2_S", "IQ2_M", "IQ3_XXS"):
        return "IQ3_S"
    return "Q4_K" if mix.any_of("TQ1_0", "TQ2_0") else mix.base


def _low_bit_attention_v(mix: _Mixture) -> str:
    if mix.n_gqa >= 4 or mix.n_expert >= 4:
        return "Q4_K"
    return "IQ3_S" if mix.any_of(*_LARGER_LOW_BIT) else "Q2_K"


def _attention_v_before_size(mix: _Mixture, i: int) -> str:
    grouped = mix.n_gqa >= 4
    match mix.name:
        case "Q2_K":
            return "Q4_K" if grouped else "Q3_K"
        case "Q2_K_S" | "IQ3_XS" | "IQ3_S" if grouped:
            return "Q4_K"
        case "IQ3_XXS":
            return "Q4_K" if grouped else "IQ3_XXS" if mix.imatrix else "IQ3_S"
        case "IQ3_M":
            return "Q4_K"
        case "Q3_K_M":
            return "Q5_K" if i < 2 else "Q4_K"
        case "Q3_K_L":
            return "Q5_K"
        case "IQ4_NL" | "IQ4_XS" if grouped:
            return "Q5_K"
        case "Q4_K_M" | "Q5_K_M" if _more_bits(i, mix.n_attention_v):
            return "Q6_K"
        case "Q4_K_S" if i < 4:
            return "Q5_K"
    return mix.base


def _attention_v(mix: _Mixture, i: int) -> str:
    if mix.is_low_bit:
        return _low_bit_attention_v(mix)
    if mix.n_expert == 8:
        return "Q8_0"
    chosen = _attention_v_before_size(mix, i)
    return "Q5_K" if mix.is_70b and chosen in ("Q3_K", "Q4_K") else chosen


def _attention_k(mix: _Mixture) -> str:
    if mix.n_expert == 8:
        return "Q4_K" if mix.is_low_bit else "Q8_0"
    return _attention_q(mix)


def _attention_q(mix: _Mixture) -> str:
    return {"IQ3_XS": "IQ3_XXS", "IQ3_XXS": "IQ2_S"}.get(mix.name, mix.base)


def _low_bit_ffn_down(mix: _Mixture, i: int) -> str:
    if i >= mix.n_layer // 8:
        return mix.base
    return "IQ3_S" if mix.any_of(*_LARGER_LOW_BIT) else "Q2_K"


def _ffn_down(mix: _Mixture, i: int) -> str:  # noqa: C901 - llama.cpp's cases, one by one
    n, first_eighth = mix.n_layer, i < mix.n_layer // 8
    match mix.name:
        case "Q2_K":
            return "Q3_K"
        case "Q2_K_S" if first_eighth:
            return "Q4_K"
        case "IQ3_XXS" if not mix.imatrix:
            return "Q4_K" if first_eighth else "Q3_K"
        case "Q3_K_M":
            return "Q5_K" if i < n // 16 else "Q4_K"
        case "IQ3_M" if first_eighth or (mix.n_expert == 8 and _more_bits(i, n)):
            return "Q4_K"
        case "Q3_K_L":
            return "Q5_K"
        case "Q4_K_M" | "Q5_K_M" if _more_bits(i, n):
            return "Q6_K"
        case "IQ4_NL" | "IQ4_XS" if first_eighth and not mix.imatrix:
            return "Q5_K"
        case "Q4_K_S" if first_eighth:
            return "Q5_K"
        case "Q4_0" | "Q5_0" if first_eighth and mix.imatrix:
            return {"Q4_0": "Q4_1", "Q5_0": "Q5_1"}[mix.name]
    return mix.base


_EIGHT_EXPERTS_OUTPUT: Final = (
    "Q2_K",
    "IQ3_XS",
    "IQ3_XXS",
    "Q3_K_S",
    "Q3_K_M",
    "IQ4_NL",
    "Q4_K_S",
    "Q4_K_M",
    "IQ3_S",
    "IQ3_M",
    "IQ4_XS",
)


def _attention_output(mix: _Mixture) -> str:
    if mix.n_expert == 8:
        return "Q5_K" if mix.is_low_bit or mix.any_of(*_EIGHT_EXPERTS_OUTPUT) else mix.base
    larger = {
        "Q2_K": "Q3_K",
        "IQ3_XXS": "IQ3_S",
        "Q3_K_M": "Q4_K",
        "Q3_K_L": "Q5_K",
        "IQ3_M": "Q4_K",
        "IQ1_S": "IQ2_XXS",
        "IQ1_M": "IQ2_XXS",
        "IQ2_S": "IQ3_S",
        "IQ2_M": "IQ3_S",
    }
    return larger.get(mix.name, mix.base)


def _ffn_gate_up(mix: _Mixture, i: int) -> str:
    middle = mix.n_layer // 8 <= i < 7 * mix.n_layer // 8
    return "IQ3_XXS" if mix.any_of("IQ3_XS") and middle else mix.base


_CATEGORIES: Final = (
    ("attention_v", ("attn_qkv.weight", "attn_kv_b.weight", "attn_v.weight")),
    ("attention_k", ("attn_k.weight",)),
    ("attention_q", ("attn_q.weight",)),
    ("attention_output", ("attn_output.weight",)),
    ("ffn_up", ("ffn_up",)),
    ("ffn_gate", ("ffn_gate",)),
    ("ffn_down", ("ffn_down",)),
)


def _category(name: str) -> str:
    """What a tensor is for, as far as the rules care (tensor_get_category)."""
    if name == "output.weight":
        return "output"
    if name in ("token_embd.weight", "per_layer_token_embd.weight"):
        return "embedding"
    return next(
        (category for category, marks in _CATEGORIES if any(mark in name for mark in marks)),
        "other",
    )


def _is_quantized(name: str, ne: tuple[int, ...]) -> bool:
    """Whether llama-quantize touches the tensor: weight matrices, without norms, routers and small
    ones."""
    is_matrix = any(n > 1 for n in ne[1:])
    return is_matrix and name.endswith("weight") and not any(mark in name for mark in _KEPT)


def _kept_type(name: str, ne: tuple[int, ...]) -> str | None:
    """What convert_hf_to_gguf wrote for a tensor that llama-quantize leaves alone; None where it
    had a choice."""
    if any(mark in name for mark in _TABLES):
        return "I32"
    if len(ne) < 2 or not name.endswith(_MATRICES) or any(mark in name for mark in _ALWAYS_F32):
        return "F32"
    return None


def _fallback(chosen: str, ne0: int) -> str:
    """A type whose block divides the row (tensor_type_fallback)."""
    if ne0 % quant(chosen).block == 0:
        return chosen
    smaller = _FALLBACKS.get(chosen, chosen)
    return smaller if ne0 % quant(smaller).block == 0 else "F16"


@frozen
class _Said:
    """What the rules read off a name without its block, and off the dimensions: the same in every
    block."""

    category: str
    is_quantized: bool
    kept_type: str | None
    has_eight_bits: bool


def _said(part: str, ne: tuple[int, ...], left: Sequence[str], eight: Sequence[str]) -> _Said:
    """With the marks of what an architecture's files leave alone, and have in eight bits."""
    return _Said(
        category=_category(part),
        is_quantized=_is_quantized(part, ne) and not any(mark in part for mark in left),
        kept_type=_kept_type(part, ne),
        has_eight_bits=any(mark in part for mark in eight),
    )


@frozen
class _Role:
    """What the rules ask of a tensor that is quantized: its category, the how many-th it is of
    that, the block that it is in, and whether it has eight bits wherever others have fewer."""

    category: str
    index: int
    block: int
    has_eight_bits: bool


def _choose(mix: _Mixture, role: _Role, ne: tuple[int, ...]) -> str:
    """The type of a tensor by the rules."""
    category, index, block = role.category, role.index, role.block
    # experts were once tensors of their own, so names count there
    layer = block if mix.n_expert > 1 else index
    if category == "output" or (category == "embedding" and mix.tied):
        return _output(mix, ne[0])
    if mix.name == "MXFP4":
        return "MXFP4" if len(ne) > 2 and ne[2] > 1 else "Q8_0"
    match category:
        case "embedding":
            return _embedding(mix)
        case "attention_v":
            return _attention_v(mix, index)
        case "attention_k":
            return _attention_k(mix)
        case "attention_q":
            return _attention_q(mix)
        case "attention_output":
            return _attention_output(mix)
        case "ffn_down":
            return _low_bit_ffn_down(mix, index) if mix.is_low_bit else _ffn_down(mix, layer)
        case "ffn_up" | "ffn_gate":
            return _ffn_gate_up(mix, layer)
    return mix.base


class Quantizer:
    """The types of a model's tensors in any quantization: what the rules ask of names is asked
    once.

    `shapes` are in llama.cpp's order (`oomph.architectures.shapes.tensor_shapes`), for the rules
    count.
    """

    def __init__(self, model: ModelSpec, shapes: Sequence[Tensor]) -> None:
        self._model, self._shapes = model, shapes
        self._roles: dict[str, _Role] = {}
        left, eight = _KEPT_OF.get(model.arch, ()), _EIGHT_BITS_OF.get(model.arch, ())
        self._kept: dict[str, str | None] = {}
        self._n_attention_v, seen = 0, Counter[str]()
        known: dict[tuple[str, tuple[int, ...]], _Said] = {}
        for name, ne in shapes:
            _, number, part = name.split(".", 2) if name.startswith("blk.") else ("", "-1", name)
            said = known.get((part, ne))
            if said is None:
                said = known[part, ne] = _said(part, ne, left, eight)
            category = said.category
            self._n_attention_v += category == "attention_v"
            if not said.is_quantized:
                self._kept[name] = said.kept_type
                continue
            self._roles[name] = _Role(
                category=category,
                index=seen[category],
                block=int(number),
                has_eight_bits=said.has_eight_bits,
            )
            seen[category] += 1

    def types(
        self, quantization: str, *, imatrix: bool | None = None, ends: str | None = None
    ) -> dict[str, QuantType]:
        """The type of every tensor in a file of `quantization`, by name.

        `imatrix` says whether llama-quantize had an importance matrix; None is as published files
        have it: with one for the IQ types (which mostly require it), without for the others. `ends`
        is the type of embeddings and output where it was named (`--token-embedding-type`,
        `--output-tensor-type`). UnknownNameError for an unknown quantization.
        """
        name = canonical_quantization(quantization)
        mix = self._mixture(name, name.startswith("IQ") if imatrix is None else imatrix)
        in_16_bits = mix.base if mix.base in ("F32", "BF16") else "F16"
        is_quantized = quant(mix.base).is_quantized
        types: dict[str, QuantType] = {}
        for tensor, ne in self._shapes:
            role = self._roles.get(tensor)
            if role is None:
                types[tensor] = QUANTS[self._kept[tensor] or in_16_bits]
                continue
            chosen = mix.base
            if is_quantized:
                chosen = "Q8_0" if role.has_eight_bits else _choose(mix, role, ne)
            if ends and role.category in ("embedding", "output"):
                chosen = ends
            types[tensor] = QUANTS[_fallback(chosen, ne[0])]
        return types

    def _mixture(self, name: str, imatrix: bool) -> _Mixture:
        model = self._model
        n_head, n_head_kv = model.per_layer("attention.head_count")[0], model.kv_heads[0]
        return _Mixture(
            name=name,
            base=FILE_TYPES[name][1],
            n_layer=model.n_layer,
            n_expert=max(1, model.n_expert),
            n_attention_v=self._n_attention_v,
            n_gqa=n_head // n_head_kv if n_head_kv else 0,
            tied=all(tensor != "output.weight" for tensor, _ in self._shapes),
            imatrix=imatrix,
            is_70b=model.n_layer == 80
            and (model.arch == "qwen2" or (model.arch == "llama" and n_head != n_head_kv)),
        )


def tensor_types(
    model: ModelSpec,
    shapes: Sequence[Tensor],
    quantization: str,
    *,
    imatrix: bool | None = None,
    ends: str | None = None,
) -> dict[str, QuantType]:
    """The type of every tensor in a file of one quantization, by name: `Quantizer.types`."""
    return Quantizer(model, shapes).types(quantization, imatrix=imatrix, ends=ends)
