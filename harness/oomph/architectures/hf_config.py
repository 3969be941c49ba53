"""A model's spec from its Hugging Face config.json: before anyone has made a GGUF of it.

Stands apart from the catalogue because the figures come from a file that a user names, in another
project's words. The translation is that of llama.cpp's `conversion/*.py`: the keys that all have
(`oomph.architectures.hf_keys`) and those of the family. What it yields goes through the same shapes
and types as a catalogue entry. Weights that are stored in 4 bits (AWQ, GPTQ, compressed-tensors)
are left to `oomph.architectures.hf_formats`.
"""

import json
from math import isfinite
from pathlib import Path
from typing import Any, Final

from oomph.architectures.catalogue import build_model
from oomph.architectures.families import FAMILIES
from oomph.architectures.family import Family
from oomph.architectures.file_rules import RULES
from oomph.architectures.hf_formats import as_stored_in_4_bits, packed_format
from oomph.architectures.hf_keys import (
    SHARED_KEYS,
    Config,
    rope_kind,
    rope_metadata,
    rope_table,
    routing,
    table,
)
from oomph.architectures.spec import MAX_COUNT, TOKEN_TYPES, ModelSpec
from oomph.errors import ModelFileError, UnknownNameError
from oomph.foreign import read_text
from oomph.gguf.header import Value
from oomph.gguf.published_types import OTHER_PROGRAMS

MAX_CONFIG_BYTES: Final = 1 << 20

_MODEL_TYPES: Final = frozenset(
    model_type
    for family in FAMILIES.values()
    if family.hugging_face
    for model_type in family.hugging_face.model_types
)
"""Each `model_type` (of a config's `text_config`, where it has one) that a family has."""

_SHAPE: Final = (
    "vocab_size",
    "context_length",
    "block_count",
    "embedding_length",
    "attention.head_count",
)
_LAYERS: Final = (
    "num_hidden_layers",
    "num_layers",
    "n_layer",
    "n_layers",
    "num_transformer_layers",
    "num_layers_per_stack",
    "num_nextn_predict_layers",
    "H_cycles",
    "L_cycles",
)
"""What a translation may go through one by one."""
_FRACTIONS: Final = (
    "activation.situ_beta",
    "activation.situ_linear_beta",
    "attention.clamp_kqv",
    "attention.compress_rope_freq_base",
    "attention.layer_norm_epsilon",
    "attention.layer_norm_rms_epsilon",
    "attention.max_alibi_bias",
    "attention.output_scale",
    "attention.scale",
    "attention.temperature_scale",
    "attention.value_scale",
    "attn_logit_softcapping",
    "embedding_scale",
    "expert_weights_scale",
    "final_logit_softcapping",
    "hyper_connection.epsilon",
    "hyper_connection.magnitude",
    "kda.gate_lower_bound",
    "logit_scale",
    "residual_scale",
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.scaling.attn_factor",
    "rope.scaling.factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.yarn_log_multiplier",
    "swiglu_clamp_exp",
    "swiglu_clamp_shexp",
)
_WORDS: Final = (
    "attention.causal",
    "attention.indexer.kpool_select_tail",
    "expert_weights_norm",
    "rope.scaling.finetuned",
    "rope.scaling.type",
    "skip_loop_final_norm",
    "ssm.dt_b_c_rms",
    "swin_norm",
    "use_parallel_residual",
)
_FLOAT_TYPES: Final = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}


def _language_part(config: Config) -> dict[str, Any]:
    """The language model's part of a model with more (ModelBase.load_hparams)."""
    for key in ("language_config", "lm_config", "llm_config", "text_config"):
        if part := table(config, key):
            return part
    return table(table(config, "thinker_config"), "text_config")


def _names(config: Config) -> tuple[str, ...]:
    """What a config calls its architecture, the surest first (get_model_architecture)."""
    named = config.get("architectures") or ()
    if not named and "ssm_cfg" in config:
        named = (table(config, "ssm_cfg").get("layer", "Mamba") + "ForCausalLM",)
    return (str(config.get("model_type")), *map(str, named))


def _text_config(config: Config, source: str) -> tuple[Family, dict[str, Any]]:
    """The family and the language model's part of a config, with transformers' defaults."""
    text = {**config, **_language_part(config)}
    for name in _names(text):
        for family in FAMILIES.values():
            own = family.hugging_face
            if own and name in own.model_types and own.applies(text):
                return family, {**own.defaults, **text}
    if shared := sorted(_MODEL_TYPES.intersection(_names(text))):
        raise UnknownNameError(
            f"{source}: it is a model of the kind {shared[0]!r} that llama.cpp has no architecture "
            "for; if it has, name its GGUF, whose header tells"
        )
    known = ", ".join(sorted(_MODEL_TYPES))
    raise UnknownNameError(
        f"{source}: model_type {text.get('model_type')!r} is not known; known are {known}"
    )


def _plausible(key: str, value: Value, least: int) -> Value:
    """`value` as GGUF stores it; ValueError where llama.cpp would not take it: what follows loops
    and multiplies."""
    if isinstance(value, list | tuple):
        if (least and not any(value)) or any(isinstance(item, list | tuple) for item in value):
            raise ValueError(f"{key} = {value!r}")
        for item in value:
            _plausible(key, item, 0)
        return tuple(float(item) for item in value) if key in _FRACTIONS else tuple(value)
    if key in _FRACTIONS and isinstance(value, int | float) and isfinite(value):
        return float(value)
    most = RULES[key].most if key in RULES else MAX_COUNT
    if key not in _WORDS and (type(value) is not int or not least <= value <= most):
        raise ValueError(f"{key} = {value!r}")
    return value


def _metadata(family: Family, config: Config) -> dict[str, Value]:
    for name in _LAYERS:
        if config.get(name) is not None:
            _plausible("block_count", config[name], 0)
    found: dict[str, Value] = {}
    for key, names in SHARED_KEYS:
        value = next((config[name] for name in names if config.get(name) is not None), None)
        if value is not None:
            found[key] = value
    if family.windows.period and config.get("sliding_window"):
        found["attention.sliding_window"] = config["sliding_window"]
    found |= rope_metadata(config) | routing(config)
    if family.hugging_face and family.hugging_face.translate:
        found |= family.hugging_face.translate(config)
    if missing := [key for key in _SHAPE if key not in found]:
        raise ValueError(missing[0])
    needed = set(_SHAPE) - (
        {"attention.head_count"} if family.recurrence.layers == "all" else set()
    )
    return {
        key if key == TOKEN_TYPES else f"{family.name}.{key}": _plausible(
            key, v, int(key in needed)
        )
        for key, v in found.items()
    }


def _extras(family: Family, config: Config) -> tuple[str, ...]:
    rope = rope_table(config)
    scores = "SequenceClassification" in str(config.get("architectures"))
    heads = family.tensors.heads if family.tensors else {}
    there = {
        "classifier": scores and "classifier" in heads and config.get("model_type") != "bert",
        "score": scores,
        "tied_output": config.get("tie_word_embeddings"),
        "rope_freqs": rope_kind(config) in ("llama3", "proportional"),
        "rope_factors": rope.get("long_factor"),
    }
    return tuple(name for name, is_there in there.items() if is_there)


def spec_from_hf_config(
    config: Config, quantization: str | None = None, *, source: str = "config.json"
) -> ModelSpec:
    """The spec of the model that a parsed config.json describes.

    `quantization` is llama.cpp's, as for a catalogue entry. None is the model as published: in 4
    bits where its `quantization_config` says so (a note then says that llama.cpp does not run it),
    else in its own float type. UnknownNameError for a model_type without a translation,
    ModelFileError naming a key that is missing.
    """
    try:
        family, text = _text_config(config, source)
        if family.tensors is None:
            raise UnknownNameError(
                f"{source}: a model of {family.name} is sized by its own file; give its GGUF, or "
                "hf:owner/repo/FILE.gguf, of which the header is read"
            )
        metadata, extras = _metadata(family, text), _extras(family, text)
        own_format = table(text, "quantization_config")
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ModelFileError(
            f"{source}: {error} is missing or malformed; is this a whole config.json?"
        ) from None
    name = str(config.get("_name_or_path") or Path(source).parent.name or family.name)
    stored = _FLOAT_TYPES.get(str(text.get("dtype", text.get("torch_dtype"))), "BF16")
    method = own_format.get("quant_method") or ("mlx" if text.get("quantization") else None)
    kept = {"_exps": "MXFP4"} if method == "mxfp4" else {}
    packed = None if quantization else packed_format(own_format, source)
    notes = (
        ()
        if quantization or packed or not method or kept
        else (_foreign_note(str(method), stored),)
    )
    spec = build_model(
        name,
        family.name,
        metadata,
        quantization or stored,
        source=source,
        extras=extras,
        kept_types=kept,
        notes=notes,
    )
    if empty := next((t.name for t in spec.tensors.values() if min(t.ne) < 1), None):
        raise ModelFileError(f"{source}: {empty} would be empty; is this a whole config.json?")
    return as_stored_in_4_bits(spec, packed, stored) if packed else spec


def _foreign_note(method: str, stored: str) -> str:
    """What a checkpoint's own quantization is, and that it is not what was counted."""
    return (
        f"the weights are in {OTHER_PROGRAMS.get(method, repr(method))}, which llama.cpp does not "
        f"load, and are counted in {stored}; name a quantization of llama.cpp (config.json:Q4_K_M)"
    )


def read_hf_config(path: Path | str, quantization: str | None = None) -> ModelSpec:
    """The spec of the config.json at `path`; as `spec_from_hf_config`, ModelFileError where it
    cannot be read."""
    path = Path(path)
    text = read_text(
        path,
        error=ModelFileError,
        remedy="give the model's own config.json",
        limit=MAX_CONFIG_BYTES,
    )
    try:
        config = json.loads(text)  # not parse_json: Mamba's have Infinity
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is no JSON ({error}); download it again") from None
    if not isinstance(config, dict):
        raise ModelFileError(f"{path} holds no JSON object; is it a model's config.json?")
    return spec_from_hf_config(config, quantization, source=str(path))
