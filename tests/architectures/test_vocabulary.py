"""Vocabularies that llama.cpp would draft with, and those that it would not.

Tried with llama-server 0.5.0 on a phantom card: a text of 151,936 that differs, and a token put
before a text by one of the two, are refused there ("vocabs are not compatible").
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import gguf
from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.architectures.vocabulary import unlike
from oomph.errors import ModelFileError
from oomph.gguf.header import Value
from oomph.gguf.strings import read_strings

TARGET = catalogue_model("qwen3-14b", "Q4_K_M")
DRAFT = catalogue_model("qwen3-0.6b", "Q8_0")
TEXTS = tuple(f"t{i}" for i in range(40))


def told(spec: ModelSpec, keys: dict[str, Value], **changes: str) -> ModelSpec:
    own = {f"tokenizer.ggml.{key}": value for key, value in keys.items()}
    return replace(spec, metadata={**spec.metadata, **own}, **changes)


def written(
    path: Path, texts: Sequence[str], order: gguf.GGUFEndian = gguf.GGUFEndian.LITTLE
) -> str:
    writer = gguf.GGUFWriter(path, "qwen3", endianess=order)
    writer.add_tokenizer_model("gpt2")
    writer.add_head_count([4, 4])
    writer.add_token_list(list(texts))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return str(path)


@pytest.mark.parametrize(
    ("of_draft", "of_target", "why"),
    [
        ({"model": "llama"}, {"model": "gpt2"}, "a vocabulary of kind SPM and .* of kind BPE"),
        (
            {"model": "gpt2", "add_bos_token": True, "bos_token_id": 7},
            {"model": "gpt2"},
            "begins a text with token 7 and .* with no token",
        ),
        (
            {"model": "gpt2", "pre": "llama-bpe", "bos_token_id": 7},
            {"model": "gpt2", "pre": "llama-bpe", "bos_token_id": 8},
            "begins a text with token 7 and .* with token 8",
        ),
        (
            {"model": "llama", "add_eos_token": True},
            {"model": "llama"},
            "ends a text with token 2 and .* with no token",
        ),
    ],
)
def test_a_difference_is_named(
    of_draft: dict[str, Value], of_target: dict[str, Value], why: str
) -> None:
    found = unlike(told(TARGET, of_target), told(DRAFT, of_draft))
    assert found is not None
    assert re.match(why, found.replace("has ", "", 1))


@pytest.mark.parametrize(
    ("of_draft", "of_target"),
    [
        ({}, {"model": "gpt2", "add_bos_token": True}),
        (
            {"model": "gemma4", "bos_token_id": 2},
            {"model": "gpt2", "pre": "gemma4", "bos_token_id": 2},
        ),
        ({"model": "gpt2", "bos_token_id": 1}, {"model": "gpt2", "bos_token_id": 3}),
        ({"model": "llama"}, {"model": "llama", "add_bos_token": True, "bos_token_id": 1}),
    ],
)
def test_what_comes_to_the_same_or_is_not_told_is_no_difference(
    of_draft: dict[str, Value], of_target: dict[str, Value]
) -> None:
    assert unlike(told(TARGET, of_target), told(DRAFT, of_draft)) is None


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (TEXTS, None),
        (("other", *TEXTS[1:]), None),
        (TEXTS[:30], None),
        ((*TEXTS[:5], "other", *TEXTS[6:]), "calls token 5 'other' and {} 't5'"),
    ],
)
def test_texts_are_compared_from_the_sixth_token_on(
    texts: Sequence[str], found: str | None, tmp_path: Path
) -> None:
    target = written(tmp_path / "target.gguf", TEXTS, gguf.GGUFEndian.BIG)
    draft = written(tmp_path / "draft.gguf", texts)
    difference = unlike(replace(TARGET, source=target), replace(DRAFT, source=draft))
    assert difference == (found and found.format(target))


def test_only_an_array_of_strings_is_one(tmp_path: Path) -> None:
    path = Path(written(tmp_path / "m.gguf", TEXTS))
    assert read_strings(path, "tokenizer.ggml.tokens") == tuple(t.encode() for t in TEXTS)
    assert read_strings(path, "qwen3.attention.head_count") == ()
    assert read_strings(path, "tokenizer.ggml.scores") == ()
    path.write_bytes(b"")
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_strings(path, "tokenizer.ggml.tokens")
