"""What 4-bit weights take in Hugging Face's formats: AWQ, GPTQ and compressed-tensors.

Stands apart from ggml's types because llama.cpp runs none of these: the figures compare a published
checkpoint with a GGUF of the same model, and no more. In all three the linear layers of the blocks
are packed with a scale (and mostly a zero point) a group of inputs; embeddings, norms, routers and
the output stay as they were.

Sources: AutoAWQ `awq/modules/linear/gemm.py`, GPTQModel `gptqmodel/nn_modules/qlinear`,
compressed-tensors `compressors/quantized_compressors/pack_quantized.py`.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError
from oomph.frozen import frozen
from oomph.gguf.ggml_types import QUANTS, QuantType
from oomph.gguf.header import TensorInfo

NOT_RUN_NOTE: Final = "llama.cpp does not run this format; estimate only"

SCALE_BYTES: Final = 2

_MODULES: Final = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_qkv": "self_attn.qkv_proj",
    "attn_gate": "linear_attn.in_proj_z",
    "attn_q_a": "self_attn.q_a_proj", "attn_q_b": "self_attn.q_b_proj",
    "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
    "attn_k_b": "self_attn.kv_b_proj", "attn_v_b": "self_attn.kv_b_proj",
    "ssm_ba": "linear_attn.in_proj_ba",
    "ssm_alpha": "linear_attn.in_proj_a", "ssm_beta": "linear_attn.in_proj_b",
    "ssm_in": "mamba.in_proj",
    "ssm_out": "linear_attn.out_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "ffn_gate_exps": "mlp.experts.0.gate_proj",
    "ffn_up_exps": "mlp.experts.0.up_proj",
    "ffn_down_exps": "mlp.experts.0.down_proj", "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj", "ffn_down_shexp": "mlp.shared_expert.down_proj",
}  # fmt: skip
"""The module in a transformers checkpoint that each linear layer comes from, for the formats' lists
of exceptions."""


@frozen
class PackedFormat:
    """How linear layers are packed: `bits` a weight, a scale for each `group` of inputs (0: one for
    all).

    `zero_points` of `bits` each beside the scales, a `group_index` of 4 bytes an input; `kept` are
    patterns of modules that are left alone.
    """

    name: str
    bits: int
    group: int
    zero_points: bool
    group_index: bool
    kept: tuple[str, ...] = ()

    def row_type(self, n_inputs: int) -> QuantType:
        """A type whose one block is a row of `n_inputs` weights with its scales and zero points,
        whole bytes."""
        n_groups = -(-n_inputs // self.group) if self.group else 1
        bits = n_inputs * self.bits + n_groups * (
            8 * SCALE_BYTES + (self.bits if self.zero_points else 0)
        )
        return QuantType(name=self.name, number=-1, block=n_inputs, block_bytes=-(-bits // 8))

    def keeps(self, module: str) -> bool:
        """Whether the format's own exceptions cover `module`."""
        return any(
            re.search(mark[3:], module) if mark.startswith("re:") else mark in module
            for mark in self.kept
        )


def packed_format(config: Mapping[str, Any], source: str) -> PackedFormat | None:
    """The format that a `quantization_config` describes, None where it is none of the three.

    ModelFileError where it is one, without the width of its weights or with one it cannot have.
    """
    method = config.get("quant_method")
    try:
        if method == "awq":
            return PackedFormat(
                name="AWQ",
                bits=_bits(config["bits"]),
                group=max(0, int(config["group_size"])),
                zero_points=bool(config.get("zero_point", True)),
                group_index=False,
                kept=tuple(config.get("modules_to_not_convert") or ()),
            )
        if method == "gptq":
            return PackedFormat(
                name="GPTQ",
                bits=_bits(config["bits"]),
                group=max(0, int(config["group_size"])),
                zero_points=True,
                group_index=True,
            )
        if method == "compressed-tensors":
            return _compressed(config)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFileError(
            f"{source}: quantization_config has no usable {error}; is it complete?"
        ) from None
    return None


def _bits(value: Any) -> int:
    if int(value) not in (2, 3, 4, 8):
        raise ValueError(f"number of bits ({value})")
    return int(value)


def _compressed(config: Mapping[str, Any]) -> PackedFormat | None:
    """compressed-tensors of integers packed with scales; its other formats (8-bit floats …) are
    None."""
    weights = next(iter(config["config_groups"].values()))["weights"]
    if weights.get("type", "int") != "int" or config.get("format") not in (None, "pack-quantized"):
        return None
    return PackedFormat(
        name="compressed-tensors",
        bits=_bits(weights["num_bits"]),
        group=max(0, int(weights.get("group_size") or 0)),
        zero_points=not weights.get("symmetric", True),
        group_index=False,
        kept=tuple(config.get("ignore") or ()),
    )


def as_stored_in_4_bits(spec: ModelSpec, packed: PackedFormat, stored: str) -> ModelSpec:
    """`spec` with the linear layers of its blocks as `packed` stores them and all else in the float
    type `stored`.

    The result has no file and a note that llama.cpp does not run it. A GPTQ layer's group index is
    a tensor of its own (`blk.0.attn_q.g_idx`).
    """
    tensors: dict[str, TensorInfo] = {}
    for tensor in spec.tensors.values():
        linear = _is_linear(tensor) and not packed.keeps(_module(tensor.name))
        quant = packed.row_type(tensor.ne[0]) if linear else QUANTS[stored]
        tensors[tensor.name] = replace(tensor, quant=quant)
        if linear and packed.group_index:
            index = tensor.name.replace(".weight", ".g_idx")
            tensors[index] = TensorInfo(
                name=index, ne=(tensor.ne[0], *tensor.ne[2:]), quant=QUANTS["I32"]
            )
    return replace(spec, tensors=tensors, notes=(*spec.notes, NOT_RUN_NOTE))


def _is_linear(tensor: TensorInfo) -> bool:
    part = tensor.name.split(".")[2:3]
    return (
        len(tensor.ne) > 1
        and tensor.name.endswith(".weight")
        and bool(part)
        and part[0] in _MODULES
    )


def _module(name: str) -> str:
    _, block, part, _ = name.split(".")
    return f"model.layers.{block}.{_MODULES[part]}"
