"""Names as people write them: the right model and quantization, or one sentence that helps."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomph import read_model
from oomph.architectures.catalogue import catalogue_entries, catalogue_names
from oomph.architectures.names import catalogue_name
from oomph.errors import OomphError, UnknownNameError

NAMES = {
    "unsloth/Qwen3-30B-A3B-GGUF:Q4_K_M": "qwen3-30b-a3b:Q4_K_M",
    "bartowski/Qwen_Qwen3-30B-A3B-GGUF:Q5_K_M": "qwen3-30b-a3b:Q5_K_M",
    "hf:unsloth/Qwen3-30B-A3B-GGUF:Q4_K_M": "qwen3-30b-a3b:Q4_K_M",
    "hf.co/bartowski/google_gemma-3-27b-it-GGUF:Q4_K_L": "gemma-3-27b:Q4_K_L",
    "https://huggingface.co/unsloth/gpt-oss-20b-GGUF": "gpt-oss-20b:Q4_K_M",
    "lmstudio-community/Qwen3-30B-A3B-GGUF@q4_k_m": "qwen3-30b-a3b:Q4_K_M",
    "ai/qwen3:8B-Q4_K_M": "qwen3-8b:Q4_K_M",
    "gpt-oss:120b": "gpt-oss-120b:MXFP4",
    "qwen3.6:27b": "qwen3.6-27b:Q4_K_M",
    "gemma4:31b-it-q4_K_M": "gemma-4-31b:Q4_K_M",
    "gemma3:1b": "gemma-3-1b:Q4_K_M",
    "gemma2:9b": "gemma-2-9b:Q4_0",
    "qwen3:30b-a3b": "qwen3-30b-a3b-2507:Q4_K_M",
    "qwen3:30b-a3b-q4_K_M": "qwen3-30b-a3b:Q4_K_M",
    "llama3.1:8b": "llama-3.1-8b:Q4_K_M",
    "llama3.2:1b": "llama-3.2-1b:Q8_0",
    "llama3.3:70b": "llama-3.3-70b:Q4_K_M",
    "deepseek-r1:70b": "deepseek-r1-distill-llama-70b:Q4_K_M",
    "deepseek-r1:32b-qwen-distill-q4_K_M": "deepseek-r1-distill-qwen-32b:Q4_K_M",
    "mistral-small3.2:24b": "mistral-small-3.2-24b:Q4_K_M",
    "qwen2.5vl:7b": "qwen2.5-vl-7b:Q4_K_M",
    "phi4:14b-q4_K_M": "phi-4:Q4_K_M",
    "Qwen3-30B-A3B-Instruct-2507-Q4_K_M.gguf": "qwen3-30b-a3b-2507:Q4_K_M",
    "Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf": "llama-3.1-8b:Q4_K_M",
    "Qwen3-235B-A22B-Thinking-2507-Q4_K_M-00001-of-00003.gguf": "qwen3-235b-a22b-2507:Q4_K_M",
    "google_gemma-3-27b-it-Q4_K_M.gguf": "gemma-3-27b:Q4_K_M",
    "nvidia_NVIDIA-Nemotron-3-Nano-30B-A3B-Q4_K_M": "nemotron-3-nano-30b-a3b:Q4_K_M",
    "qwen3 30b a3b q4_k_m": "qwen3-30b-a3b:Q4_K_M",
    "QWEN3_30B_A3B Q4_K - Medium": "qwen3-30b-a3b:Q4_K_M",
    "Qwen3-Coder-30B:Q8_0": "qwen3-coder-30b-a3b:Q8_0",
    "gemma 4 31b Q8_0": "gemma-4-31b:Q8_0",
    "internlm2_5-7b-chat:Q8_0": "internlm2.5-7b:Q8_0",
    "Qwen3-8B-i1-Q4_K_M": "qwen3-8b:Q4_K_M",
    "bartowski/Qwen2.5-72B-Instruct-GGUF:Q3_K_XL": "qwen2.5-72b:Q3_K_XL",
}


@pytest.mark.parametrize(("text", "read_as"), NAMES.items())
def test_a_name_is_read_and_said(text: str, read_as: str) -> None:
    spec = read_model(text)
    assert spec.source == read_as
    assert spec.notes[0].startswith(f"{text} is read as {read_as}, by its name alone")
    assert all("\n" not in note for note in spec.notes)


@pytest.mark.parametrize("text", ["qwen3-30b-a3b:Q4_K_M", "gpt-oss-20b:MXFP4", "phi-4:q8_0"])
def test_the_catalogues_own_names_need_no_word(text: str) -> None:
    assert not any("read as" in note for note in read_model(text).notes)


@given(st.sampled_from(catalogue_names()), st.randoms())
def test_every_model_is_found_in_any_case_and_with_any_separators(
    name: str, random: Random
) -> None:
    spelled = "".join(random.choice("-_ ") if c == "-" else c for c in name)
    spelled = "".join(random.choice((c.upper(), c)) for c in spelled)
    assert catalogue_name(spelled) == name


@pytest.mark.parametrize("entry", catalogue_entries(), ids=lambda entry: entry.name)
def test_every_page_and_other_name_is_of_its_model(entry) -> None:  # type: ignore[no-untyped-def]
    page = entry.page.rpartition("/")[2]
    for other in (page, f"{page}-GGUF", *entry.also):
        found = read_model(f"{other}:Q8_0" if ":" not in other else other)
        assert found.source.partition(":")[0] == entry.name


def test_what_is_assumed_is_said() -> None:
    (_, ollama, *_) = read_model("llama3.1:8b").notes
    assert "Ollama's usual one, Q4_K_M (`ollama show llama3.1:8b`" in ollama
    (own, usual) = read_model("unsloth/Qwen3-8B-GGUF").notes
    assert "llama-server's -hf takes Q4_K_M" in usual
    assert "hf:unsloth/Qwen3-8B-GGUF/FILE.gguf reads the very file" in own
    assert "no such file is here" in read_model("Qwen3-8B-Q4_K_M.gguf").notes[0]
    assert "multi-token prediction" in read_model("Qwen3-8B-MTP-GGUF:Q4_K_M").notes[1]


def test_a_file_with_an_mtp_head_is_named_so() -> None:
    headed = read_model("unsloth/Qwen3.6-27B-MTP-GGUF:Q4_K_M")
    assert headed.source == "qwen3.6-27b-mtp:Q4_K_M"
    assert headed.tensors == read_model("qwen3.6-27b-mtp:Q4_K_M").tensors
    bare = read_model("qwen3.6-27b:Q4_K_M")
    assert headed.n_layer == bare.n_layer + 1
    added = headed.tensors.keys() - bare.tensors.keys()
    assert all(name.startswith("blk.64.") for name in added)
    assert "blk.64.nextn.eh_proj.weight" in added
    assert read_model("GLM-4.5-Air-MTP-GGUF:Q4_K_M").source == "glm-4.5-air:Q4_K_M"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("qwen3-30b-a3c:Q4_K_M", "did you mean qwen3-30b-a3b:Q4_K_M"),
        ("gemma-31b:Q8_0", "gemma-3-1b:Q8_0 or gemma-4-31b:Q8_0"),
        ("falcon:7b", "did you mean falcon-h1-7b"),
        ("Qwen3-30B-A3B-REAP-25B:Q4_K_M", "did you mean qwen3-30b-a3b:Q4_K_M"),
        ("llama-3.1-8b:Q4_K_XXL", "nearest are Q4_K_S, Q4_K_M"),
        ("phi-4-Q4", "nearest are Q4_1, Q4_0"),
        ("qwen3-8b", "say in which quantization too, for example qwen3-8b:Q4_K_M"),
        ("Qwen3 8B", "for example qwen3-8b:Q4_K_M"),
        ("gpt-oss-120b", "for example gpt-oss-120b:MXFP4"),
        ("gpt-oss-120", "did you mean gpt-oss-120b:MXFP4"),
        ("gpt-oss-120:Q8_0", "did you mean gpt-oss-120b:Q8_0"),
        ("llama3.3", "did you mean llama-3.3-70b:Q4_K_M"),
        ("Qwen/Qwen3-30B-A3B", "for example qwen3-30b-a3b:Q4_K_M"),
        ("Qwen3-30B-A3B-AWQ:4bit", "in AWQ, which llama.cpp does not load"),
        ("gemma4:31b-mlx", "MLX (Apple's), which llama.cpp does not load; name a GGUF"),
        ("Qwen3-8B-4.0bpw-exl2", "ExLlama's"),
        ("command-r:35b", "release of 08-2024"),
        ("Qwen3-8B.gguf", "does not exist; check the path, or name a quantization"),
        ("/nowhere/Qwen3-8B-Q4_K_M.gguf", "its name reads as qwen3-8b:Q4_K_M"),
        ("C:\\models\\Qwen3-8B-Q4_K_M.gguf", "does not exist; check the path"),
        ("qwen3.6-27b:UD-Q4_K_XL", "Unsloth's dynamic mix"),
        ("qwen3.6-27b:Q4_K_XL", "--file-size 18.2GiB"),
        ("qwen3.6-27b:NVFP4", "hf:owner/repo/FILE.gguf"),
        ("qwen3-235b-a22b:IQ4_KS", "ik_llama.cpp, which llama.cpp does not load"),
    ],
)
def test_what_is_not_known_gets_one_sentence_that_helps(text: str, says: str) -> None:
    with pytest.raises(OomphError) as caught:
        read_model(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_names_a_model_or_none(text: str) -> None:
    name = catalogue_name(text)
    assert name is None or name in catalogue_names()


def test_a_name_without_a_quantization_is_told_from_one_with() -> None:
    assert catalogue_name("Qwen3 30B A3B") == "qwen3-30b-a3b"
    assert catalogue_name("qwen3-30b-a3b:Q4_K_M") is None
    with pytest.raises(UnknownNameError, match="no quantization is called"):
        read_model("qwen3-30b-a3b:Q9_K")
