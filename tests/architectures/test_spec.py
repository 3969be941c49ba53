"""A model's facts: what a header must have, and what it cannot say."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from oomph.architectures.file_rules import MAX_BLOCKS
from oomph.architectures.from_gguf import read_model_file, spec_from_gguf
from oomph.architectures.source import read_model
from oomph.architectures.spec import ModelSpec
from oomph.errors import ModelFileError
from oomph.gguf.header import GGUFFile, read_gguf


@pytest.fixture
def file(small_model: Path) -> GGUFFile:
    return read_gguf(small_model)


def changed(file: GGUFFile, changes: Mapping[str, Any]) -> GGUFFile:
    """`file` with these metadata values; None takes a key away."""
    metadata = {**file.metadata, **changes}
    return replace(
        file, metadata={key: value for key, value in metadata.items() if value is not None}
    )


def test_numbers_come_from_the_metadata_and_the_tensors(small_model: Path) -> None:
    spec = read_model_file(small_model)
    assert (spec.name, spec.arch, spec.n_layer, spec.n_embd, spec.n_ctx_train) == (
        "small",
        "llama",
        2,
        64,
        2048,
    )
    assert (spec.n_vocab, spec.n_expert, spec.n_expert_used, spec.is_moe) == (48, 0, 0, False)
    assert next(iter(spec.tensors)) == "token_embd.weight"


def test_array_is_by_layer_and_scalar_is_repeated(file: GGUFFile) -> None:
    counts = {"llama.attention.head_count": (4, 8), "llama.attention.head_count_kv": 2}
    spec = replace(spec_from_gguf(file), metadata={**file.metadata, **counts})
    assert spec.per_layer("attention.head_count") == (4, 8)
    assert spec.per_layer("attention.head_count_kv") == (2, 2)
    assert spec.per_layer("attention.sliding_window", 0) == (0, 0)
    assert spec.integer("attention.head_count") == 8  # the largest stands for all
    with pytest.raises(ModelFileError, match="head_count has 2 items, and the model 3 blocks"):
        spec_from_gguf(changed(file, {"llama.block_count": 3}))


def test_name_of_the_file_stands_in_for_a_missing_name(file: GGUFFile) -> None:
    assert spec_from_gguf(changed(file, {"general.name": None})).name == "small"


def test_vocabulary_is_the_tokenizers_list_or_the_embeddings_rows(file: GGUFFile) -> None:
    assert spec_from_gguf(changed(file, {"tokenizer.ggml.tokens": None})).n_vocab == 48


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"general.architecture": None}, "general.architecture is missing"),
        ({"general.architecture": 3}, "general.architecture is missing"),
        ({"llama.block_count": None}, "the key llama.block_count is missing"),
        ({"llama.block_count": "two"}, "llama.block_count is 'two'; it can be a whole number"),
        (
            {"llama.block_count": 0},
            "llama.block_count is 0; it can be a whole number from 1 to 512",
        ),
        ({"llama.block_count": MAX_BLOCKS + 1}, "llama.block_count is 513; it can be"),
        (
            {"llama.block_count": 2**63},
            "llama.block_count is 9223372036854775808; it can be",
        ),
        ({"llama.block_count": float("nan")}, "llama.block_count is nan; it can be"),
        ({"llama.context_length": float("inf")}, "llama.context_length is inf"),
        ({"llama.context_length": -1}, "llama.context_length is -1"),
        ({"llama.context_length": 0.5}, "llama.context_length is 0.5"),
        ({"llama.attention.key_length": 0}, "llama.attention.key_length is 0"),
        ({"llama.embedding_length": 128}, r"token_embd.weight' has the dimensions \[64, 48\]"),
    ],
)
def test_what_no_model_has_is_refused_by_key(
    file: GGUFFile, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelFileError, match=message):
        spec_from_gguf(changed(file, changes))


def test_missing_key_without_default_names_model_and_key(file: GGUFFile) -> None:
    spec: ModelSpec = spec_from_gguf(file)
    assert spec.hparam("rope.scale", 1.0) == 1.0
    with pytest.raises(
        ModelFileError, match=r"small\.gguf: metadata key llama\.rope\.scale is missing"
    ):
        spec.hparam("rope.scale")


def test_one_tensor_of_each_kind_stands_for_the_others() -> None:
    model = read_model("qwen3-30b-a3b:Q4_K_M")
    kinds = {(t.name.split(".")[-2], t.quant.name, t.ne) for t in model.tensors.values()}
    found = [(t.name.split(".")[-2], t.quant.name, t.ne) for t in model.tensor_kinds]
    assert set(found) == kinds
    assert len(found) == len(kinds) < len(model.tensors) / 20
    assert {t.name for t in model.tensor_kinds} <= set(model.tensors)


def test_a_block_without_a_number_is_a_kind_of_its_own(file: GGUFFile) -> None:
    tensor = file.tensors[0]
    names = ("blk", "blk.", "blk.weight", "blk.bias", "blk.0.attn_q.weight", "blk.1.attn_q.weight")
    tensors = {name: replace(tensor, name=name) for name in names}
    model = ModelSpec(name="m", arch="llama", metadata={}, tensors=tensors, source="m")
    assert [t.name for t in model.tensor_kinds] == list(names[:-1])
    assert model.n_bytes == len(names) * tensor.n_bytes
