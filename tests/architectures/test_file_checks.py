"""A file that llama.cpp would refuse is refused, and says so; every published shape is taken."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench.peers.architectures import shaped_model
from tests.soak.headers import FILE_BYTES, written
from tests.soak.shapes import seed_model, seed_names

from oomph.architectures import file_rules
from oomph.architectures.catalogue import catalogue_model, catalogue_names
from oomph.architectures.families import FAMILIES
from oomph.architectures.from_gguf import spec_from_gguf
from oomph.architectures.loaders import unread
from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError
from oomph.gguf.header import parse_header


def read(name: str, changes: Mapping[str, Any], tensors: Mapping[str, str] | None = None) -> Any:
    """The published shape with other metadata, None for a key that is gone, and renamed tensors."""
    spec = seed_model(name)
    metadata = {**spec.metadata, **{f"{spec.arch}.{key}": value for key, value in changes.items()}}
    kept = {key: value for key, value in metadata.items() if value is not None}
    data = written(kept, list(spec.tensors.values()))
    for old, new in (tensors or {}).items():
        data = data.replace(old.encode(), new.encode())
    return spec_from_gguf(parse_header(data, name="x.gguf", file_bytes=FILE_BYTES))


def taken(spec: ModelSpec) -> ModelSpec:
    """The model read back from the header that is written of it."""
    data = written(dict(spec.metadata), list(spec.tensors.values()))
    return spec_from_gguf(parse_header(data, name=spec.name, file_bytes=FILE_BYTES))


@pytest.mark.parametrize("name", catalogue_names())
def test_every_published_shape_is_taken(name: str) -> None:
    spec = catalogue_model(name, "Q4_K_M")
    assert taken(spec).tensors.keys() == spec.tensors.keys()


@pytest.mark.parametrize(
    "name", sorted({name for names in seed_names().values() for name in names})
)
def test_every_shape_that_headers_are_mutated_of_is_taken(name: str) -> None:
    spec = seed_model(name)
    assert taken(spec).tensors.keys() == spec.tensors.keys()


def test_headers_are_mutated_of_every_architecture() -> None:
    assert seed_names().keys() == FAMILIES.keys()


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("qwen3-0.6b", {"attention.head_count": 17}, "17 attention heads and 8 KV heads"),
        ("qwen3-0.6b", {"attention.head_count_kv": 4}, "the metadata say"),
        ("qwen3-0.6b", {"attention.key_length": 64}, "the metadata say"),
        ("qwen3-0.6b", {"feed_forward_length": 0}, "the metadata say"),
        ("qwen3-0.6b", {"block_count": 27}, "past its 27 blocks"),
        ("qwen3-0.6b", {"block_count": 28.0}, "stored as f32, where u32 is wanted"),
        ("qwen3-0.6b", {"attention.head_count": (16,) * 27}, "has 27 items, and the model 28"),
        ("qwen3-0.6b", {"rope.scaling.type": "su"}, "it can be none, linear, yarn, longrope"),
        ("qwen3-0.6b", {"attention.layer_norm_rms_epsilon": None}, "epsilon is missing"),
        ("olmoe-1b-7b", {"expert_count": 32}, "the metadata say"),
        ("olmoe-1b-7b", {"expert_used_count": 65}, "65 of its 64 experts are used"),
        ("olmoe-1b-7b", {"expert_used_count": 0}, "0 of its 64 experts are used"),
        ("olmoe-1b-7b", {"expert_group_count": 7}, "7 groups of its 64 experts"),
        ("llama-3.2-1b", {"rope.dimension_count": 32}, "32 elements of each head are rotated"),
        ("granite-4.0-h-tiny", {"ssm.group_count": 7}, "heads in 7 groups"),
        ("granite-4.0-h-tiny", {"ssm.group_count": 0}, "heads in 0 groups"),
        ("small-rwkv7", {"wkv.head_size": 2**31 - 1}, "it can be a whole number from 1"),
        ("small-rwkv7", {"wkv.head_size": 96}, "heads 96 wide do not divide an embedding"),
        ("small-rwkv7", {"wkv.head_size": 4096}, "heads 4096 wide do not divide an embedding"),
        ("small-t5", {"decoder_block_count": 9}, "its decoder has 9 blocks"),
        (
            "small-qwen4exp",
            {"attention.compress_ratios": 2**24},
            "past the 16,384 that a graph has room for",
        ),
        ("small-hrm_text", {"block_count": 13}, "make 12 blocks, and it has 13"),
        ("small-hrm_text", {"hrm.l_cycles": 3}, "blocks, and it has 12"),
        ("small", {"attention.head_count": 0}, "none of its blocks has attention heads"),
        (
            "qwen3.8-flash-next",
            {"ple.head_vocab_sizes": (20_000_003,)},
            "is no list of 16 numbers",
        ),
        (
            "qwen3.8-flash-next",
            {"ple.head_offsets": tuple(range(2**31 - 5, 2**31 + 11))},
            "past the 2,147,483,647 that can be",
        ),
        ("qwen3.8-flash-next", {"ple.layers": (48,)}, "names a layer past its 48 blocks"),
        ("qwen3.8-flash-next", {"ple.layers": 2**32 - 1}, "is no list of one layer"),
        ("qwen3.8-flash-next", {"ple.ngram_size": 1}, "it can be a whole number from 2"),
        ("qwen3.8-flash-next", {"hyper_connection.count": 0}, "it can be a whole number from 1"),
        ("glm-4.5-air", {"nextn_predict_layers": 47}, "none decodes"),
    ],
)
def test_what_llama_cpp_refuses_is_refused(name: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelFileError, match=f"llama.cpp would refuse this file: .*{says}"):
        read(name, changes)


def test_digits_are_ascii() -> None:
    with pytest.raises(ModelFileError, match="is of no block"):
        read("qwen3-0.6b", {}, {"blk.10.attn_q.": "blk.².attn_q."})


def test_positions_are_not_divided_by_a_negative_factor() -> None:
    with pytest.raises(ModelFileError, match=r"rope\.scaling\.factor is -1"):
        read("qwen3-0.6b", {"rope.scaling.factor": -1.0})


def test_older_latent_attention_without_absorption_is_taken(tmp_path: Path) -> None:
    spec = seed_model("deepseek-v2-lite")
    tensors = [each for each in spec.tensors.values() if not each.name.endswith("k_b.weight")]
    changes = {"attention.key_length_mla": None, "attention.value_length_mla": None}
    full = {"attention.key_length": 192, "attention.value_length": 128}
    metadata = {**spec.metadata, **{f"{spec.arch}.{k}": v for k, v in (changes | full).items()}}
    metadata[f"{spec.arch}.attention.head_count_kv"] = 16
    kept = {key: value for key, value in metadata.items() if value is not None}
    tensors = [each for each in tensors if not each.name.endswith("v_b.weight")]
    spec_from_gguf(parse_header(written(kept, tensors), name="old", file_bytes=FILE_BYTES))


def of_likeness(name: str, extra: Mapping[str, str] | None = None) -> ModelSpec:
    """The likeness read back from a file, with tensors copied under other names."""
    spec = shaped_model(name)
    copies = [replace(spec.tensors[old], name=new) for new, old in (extra or {}).items()]
    data = written(dict(spec.metadata), [*spec.tensors.values(), *copies])
    return spec_from_gguf(parse_header(data, name=name, file_bytes=FILE_BYTES))


def test_an_output_bias_is_taken_where_the_loader_asks_for_it() -> None:
    """llama.cpp says "wrong number of tensors" of an EXAONE with one."""
    bias = {"blk.0.attn_output.bias": "blk.0.attn_norm.weight"}
    assert of_likeness("small", bias).tensors.keys() >= bias.keys()
    with pytest.raises(ModelFileError, match=r"'blk.0.attn_output.bias' is none of .* exaone"):
        of_likeness("small-exaone", bias)


def test_feed_forwards_of_several_widths_are_taken_where_the_loader_asks_for_them() -> None:
    assert of_likeness("small-openelm")
    spec = shaped_model("small-openelm")
    widths = {key: value for key, value in spec.metadata.items() if key.endswith("forward_length")}
    gemma = replace(
        spec,
        arch="gemma",
        metadata={key.replace("openelm", "gemma"): value for key, value in widths.items()}
        | {"gemma.block_count": spec.n_layer},
    )
    assert any("are of one width" in told for told in unread(gemma))
    assert not any("are of one width" in told for told in unread(spec))


def test_every_number_that_an_estimate_reads_has_its_rule() -> None:
    """A key that a new family brings, too: past the table no code asks whether a number can be."""
    root = Path(file_rules.__file__).parents[1]
    asked = re.compile(r"""\.(?:integer|hparam)\(\s*"([a-z0-9_.]+)\"""")
    read: dict[str, str] = {}
    for path in [*root.glob("estimate/**/*.py"), *root.glob("architectures/**/*.py")]:
        if "projector" not in str(path):
            read |= dict.fromkeys(asked.findall(path.read_text(encoding="utf-8")), path.name)
    assert len(read) > 50
    assert {key: name for key, name in read.items() if key not in file_rules.RULES} == {}
