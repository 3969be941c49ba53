"""Weights of files whose types are not known, fitted to the size of the file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import oomph
from oomph import read_model
from oomph.advise.quantizations import quantization_of
from oomph.architectures.file_size import sized, split_file_size, with_file_size
from oomph.errors import ConfigError, OomphError
from oomph.units import GIB

BARTOWSKI = "https://huggingface.co/bartowski/Qwen2.5-32B-Instruct-GGUF"
MIXES_GB = [  # as BARTOWSKI lists them; the last of Qwen2.5-72B-Instruct-GGUF
    ("qwen2.5-32b:Q2_K_L", 13.07),
    ("qwen2.5-32b:Q3_K_XL", 17.93),
    ("qwen2.5-32b:Q4_K_L", 20.43),
    ("qwen2.5-32b:Q5_K_L", 23.74),
    ("qwen2.5-32b:Q6_K_L", 27.26),
    ("qwen2.5-72b:Q3_K_XL", 40.60),
]

FILES = [  # sizes of public files, with which they were run
    "gemma-4-31b:UD-Q4_K_XL@17.46GiB",
    "gemma-4-31b:UD-Q8_K_XL@32.6GiB",
    "gemma-4-26b-a4b:UD-Q4_K_XL@15.9GiB",
    "qwen3.6-27b:UD-IQ2_XXS@8.39GiB",
    "qwen3.6-27b:UD-Q8_K_XL@33.31GiB",
    "qwen3.6-27b:NVFP4@14.64GiB",
    "qwen3.6-35b-a3b:UD-Q6_K@27.3GiB",
    "qwen3.5-122b-a10b:UD-Q4_K_XL@73.23GiB",
    "qwen3.6-27b:Q4_K_M@15.93GiB",
]


@pytest.mark.parametrize(("name", "gb"), MIXES_GB)
def test_a_published_mix_takes_what_its_file_does(name: str, gb: float) -> None:
    spec = read_model(name)
    assert spec.n_bytes / 1e9 == pytest.approx(gb, abs=0.011)
    assert f":{quantization_of(spec)}" in name


@pytest.mark.parametrize("reference", FILES)
def test_weights_are_those_of_the_file(reference: str) -> None:
    spec, (_, n_bytes) = read_model(reference), split_file_size(reference)
    assert n_bytes is not None
    assert spec.n_bytes == pytest.approx(n_bytes, rel=5e-4)
    assert spec.source == reference
    assert read_model(spec.source).tensors == spec.tensors
    (note,) = [note for note in spec.notes if "fitted to a file of" in note]
    assert "which tensor has which type is not known" in note


@pytest.mark.parametrize("n_bytes", [3, 10**9, 10**12])
def test_a_size_that_is_not_the_models_is_refused(n_bytes: int) -> None:
    with pytest.raises(ConfigError, match=r"takes about 4\.\d+ GiB; give the size of the whole"):
        read_model(with_file_size("qwen3-8b:UD-Q4_K_XL", n_bytes))


@pytest.mark.parametrize("said", ["", "large", "nan", "inf", "-3GiB", "0", 0, -1, True])
def test_what_is_no_size_is_refused(said: int | str) -> None:
    with pytest.raises(ConfigError, match=r"give it as 18\.2GiB or 19\.5GB"):
        sized("qwen3-8b:Q4_K_M", said)


@given(st.integers(min_value=1, max_value=1 << 49))
def test_a_size_in_a_name_is_read_back_to_the_byte(n_bytes: int) -> None:
    assert split_file_size(with_file_size("a:Q4_K_M", n_bytes)) == ("a:Q4_K_M", n_bytes)


def test_a_file_says_its_own_size(small_model) -> None:  # type: ignore[no-untyped-def]
    for reference in (f"{small_model}@5GiB", "hf:owner/repo/m.gguf@5GiB", "config.json@5GiB"):
        with pytest.raises(OomphError, match="leave --file-size out"):
            read_model(reference)


def test_python_takes_a_size_too() -> None:
    asked = {"n_ctx": 8192, "file_size": "5.1GiB"}
    found = oomph.answer("unsloth/Qwen3-8B-GGUF:UD-Q4_K_XL", "3090", **asked)
    assert found.quantization == "UD-Q4_K_XL"
    assert found.memory.devices["CUDA0"].weights_bytes > 4.7 * GIB
