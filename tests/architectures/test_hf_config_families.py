"""config.json of every family: each architecture of the table has a reader, and it reads the same
model as the catalogue has, or as a shape that was held against llama.cpp."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from bench.peers.architectures import shape, shaped_model

from oomph.architectures.catalogue import build_model
from oomph.architectures.families import FAMILIES
from oomph.architectures.hf_config import spec_from_hf_config
from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError, OomphError, UnknownNameError
from oomph.gguf.header import Value

CONFIGS: Final[dict[str, dict[str, dict[str, Any]]]] = json.loads(
    (Path(__file__).parents[1] / "data" / "hf_configs.json").read_text(encoding="utf-8")
)
"""The keys that count: `published` ones by the catalogue's name, and `shaped` ones, of which nobody
published the model, by the shape's."""
ALL: Final = CONFIGS["published"] | CONFIGS["shaped"]
_RMS: Final = "attention.layer_norm_rms_epsilon"
_ENDLESS: Final = {"context_length": 1 << 20}
FIXED: Final[dict[str, Mapping[str, Value | None]]] = {
    "small-arwkv7": _ENDLESS,
    "small-arwkv7-gated": _ENDLESS,
    "small-bloom": {"feed_forward_length": 4 * 1024, _RMS: None},
    "small-codeshell": {"feed_forward_length": 4 * 1024, _RMS: None},
    "small-deci": {"feed_forward_length": (2816, 1536, 768, 5632, 0, 1536, 2816)},
    "small-jais": {_RMS: None},
    "small-mistral4": {"attention.temperature_scale": None, "attention.temperature_length": None},
    "small-minimax-01": {"full_attention_interval": None},
    "small-mpt": {"feed_forward_length": 4 * 1024, _RMS: None},
    "small-openelm": {_RMS: 1e-6},
    "small-plamo": {"attention.head_count_kv": 5},
    "small-rwkv6": {**_ENDLESS, _RMS: None},
    "small-rwkv6qwen2": _ENDLESS,
    "small-talkie": {_RMS: 2.0**-23},
}
"""What the converter fixes, whatever the config says, or does not write, and the shape has
otherwise."""
UNTOLD: Final = (
    "pooling_type", "ple.eos_", "ple.image_", "ple.layer_multipliers", "dense_",
    "expert_group_scale", "rope.freq_base_swa",
)  # fmt: skip
"""What no config.json tells: it is in files beside it, or fixed, and shapes nothing."""


def _expected(name: str) -> ModelSpec:
    model = shaped_model(name)
    if name not in FIXED:
        return model
    extras, metadata = shape(name).get("extras", ()), dict(model.metadata)
    for key, value in FIXED[name].items():
        if value is None:
            del metadata[f"{model.arch}.{key}"]
        else:
            metadata[f"{model.arch}.{key}"] = value
    return build_model(name, model.arch, metadata, "Q4_K_M", source=name, extras=extras)


def _differences(ours: ModelSpec, expected: ModelSpec) -> dict[str, tuple[object, object]]:
    """What of the expected model is read otherwise: ours, and as expected."""
    had, wanted = (
        {name: (tensor.ne, tensor.quant.name) for name, tensor in spec.tensors.items()}
        for spec in (ours, expected)
    )
    found: dict[str, tuple[object, object]] = {
        name: (had.get(name), wanted.get(name))
        for name in had.keys() | wanted.keys()
        if had.get(name) != wanted.get(name) and not name.startswith(UNTOLD)
    }
    head = expected.n_embd // max(1, expected.integer("attention.head_count"))
    width = expected.integer("attention.key_length", head)
    for full, wants in expected.metadata.items():
        key, reads = full.removeprefix(f"{expected.arch}."), ours.metadata.get(full)
        if reads is not None and isinstance(wants, tuple) != isinstance(reads, tuple):
            reads, wants = ours.per_layer(key), expected.per_layer(key)
        is_width = key in ("attention.key_length", "attention.value_length", "rope.dimension_count")
        follows = reads is None and is_width and wants == width
        alike = wants if not isinstance(wants, float) else pytest.approx(wants)
        if not (key.startswith(("general.", *UNTOLD)) or follows or reads == alike):
            found[key] = (reads, wants)
    return found


@pytest.mark.parametrize("name", ALL)
def test_config_gives_the_model(name: str) -> None:
    expected = _expected(name)
    ours = spec_from_hf_config(ALL[name], "Q4_K_M")
    assert ours.arch == expected.arch
    assert _differences(ours, expected) == {}


def test_every_architecture_has_a_reader() -> None:
    """Those that are sized without a file are read here; the others say what to give."""
    read = {spec_from_hf_config(config, "Q8_0").arch for config in ALL.values()}
    assert {name for name, family in FAMILIES.items() if family.tensors} <= read
    for name, family in FAMILIES.items():
        assert family.hugging_face
        if family.tensors is None:
            config = {"model_type": family.hugging_face.model_types[0], "draft_vocab_size": 1}
            with pytest.raises(UnknownNameError, match=f"a model of {re.escape(name)} is sized by"):
                spec_from_hf_config(config)


def test_names_that_families_share_are_told_apart() -> None:
    """A config that is of none of the families that have its name says so."""
    with pytest.raises(UnknownNameError, match=r"'bailing_hybrid' that llama\.cpp has no"):
        spec_from_hf_config({"model_type": "bailing_hybrid", "no_kda_lora": False})
    drafter = {"model_type": "llama", "draft_vocab_size": 32000}
    with pytest.raises(UnknownNameError, match="a model of eagle3 is sized by its own file"):
        spec_from_hf_config(drafter)


_NONSENSE: Final = (None, "12", -1, 0, 1.5, True, [], {}, [None], 1 << 40)


def _hostile(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The config with each of its numbers, lists and tables replaced by each nonsense, or gone."""
    found = []
    for key, value in config.items():
        if key in ("model_type", "architectures") or isinstance(value, str):
            continue
        found += [config | {key: nonsense} for nonsense in _NONSENSE]
        found.append({other: config[other] for other in config if other != key})
        if isinstance(value, dict):
            found += [config | {key: inner} for inner in _hostile(value)]
    return found


def _outcome(config: dict[str, Any]) -> ModelSpec | OomphError:
    try:
        return spec_from_hf_config(config, "Q4_K_M")
    except (ModelFileError, UnknownNameError) as error:
        return error


@pytest.mark.parametrize("name", CONFIGS["shaped"])
def test_a_hostile_config_is_a_model_or_one_sentence(name: str) -> None:
    for config in _hostile(CONFIGS["shaped"][name]):
        found = _outcome(config)
        if isinstance(found, OomphError):
            assert "\n" not in str(found)
        else:
            assert all(min(tensor.ne) > 0 for tensor in found.tensors.values())


def test_a_pattern_of_other_kinds_of_layers_is_refused() -> None:
    config = next(each for each in ALL.values() if "hybrid_layer_pattern" in each)
    layers = [7, *config["hybrid_layer_pattern"][1:]]
    with pytest.raises(ModelFileError, match="missing or malformed"):
        spec_from_hf_config({**config, "hybrid_layer_pattern": layers}, source="x")
