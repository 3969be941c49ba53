"""The catalogue: every entry is whole, sourced, and as large as the published model."""

import tomllib
from importlib.resources import files
from itertools import pairwise

import pytest

from oomph.architectures import catalogue
from oomph.architectures.catalogue import Tables, catalogue_model, catalogue_models, catalogue_names
from oomph.architectures.families import family_of
from oomph.architectures.shapes import EXTRAS
from oomph.errors import UnknownNameError
from oomph.units import GIB

ENTRIES = tomllib.loads(
    files("oomph.architectures").joinpath("catalogue.toml").read_text(encoding="utf-8")
)

N_PARAMS_B = {
    "llama-2-7b": 6.74, "llama-2-13b": 13.02, "llama-2-70b": 68.98, "llama-3.1-8b": 8.03,
    "llama-3.1-405b": 405.85,
    "llama-3.2-1b": 1.24, "llama-3.2-3b": 3.21, "llama-3.3-70b": 70.55, "mistral-7b": 7.24,
    "mistral-nemo": 12.25,
    "mistral-small-24b": 23.57, "codestral-22b": 22.25, "mixtral-8x7b": 46.70,
    "mixtral-8x22b": 140.63,
    "qwen2.5-0.5b": 0.49, "qwen2.5-7b": 7.62, "qwen2.5-14b": 14.77, "qwen2.5-32b": 32.76,
    "qwen2.5-72b": 72.71,
    "qwen1.5-moe-a2.7b": 14.32, "qwen3-0.6b": 0.60, "qwen3-4b": 4.02, "qwen3-8b": 8.19,
    "qwen3-14b": 14.77,
    "qwen3-32b": 32.76, "qwen3-30b-a3b": 30.53, "qwen3-235b-a22b": 235.09,
    "qwen3-next-80b-a3b": 79.67,
    "qwen3.5-4b": 4.21, "qwen3.5-9b": 8.95, "qwen3.6-27b": 26.90, "qwen3.6-35b-a3b": 34.66,
    "qwen3.5-122b-a10b": 122.11,
    "gemma-2-2b": 2.61, "gemma-2-9b": 9.24, "gemma-2-27b": 27.23, "gemma-3-1b": 1.00,
    "gemma-3-4b": 3.88,
    "gemma-3-12b": 11.77, "gemma-3-27b": 27.01, "gpt-oss-20b": 20.91, "gpt-oss-120b": 116.83,
    "phi-3-mini": 3.82,
    "phi-3-medium": 13.96, "phi-4": 14.66, "phi-4-mini": 3.84, "deepseek-v2-lite": 15.71,
    "deepseek-v3": 671.03,
    "glm-4-32b-0414": 32.57, "glm-4.5-air": 110.47, "glm-4.7-flash": 29.94, "olmoe-1b-7b": 6.92,
    "ernie-4.5-21b-a3b": 21.83, "granite-4.0-h-tiny": 6.94, "smollm2-135m": 0.13,
    "tinyllama-1.1b": 1.10,
}  # fmt: skip
"""Billions of weights as llama.cpp prints them for a file of the model (print_info: model params).
"""

_3070 = "https://github.com/XiongjieDai/GPU-Benchmarks-on-LLM-Inference/blob/aa72e0ec/LLaMA%203/Gaming%20GPUs/3070_v3.ipynb"
_RTX_PRO_6000 = (
    "https://github.com/AUGMXNT/llm-tracker.info-vault/blob/b56234c4/RTX%20PRO%206000.md"
)
_RTX_5090 = "https://github.com/pendakwahteknologi/benchmark-rtx5090/blob/8f811180/results/benchmark_20260402_173652.log"
PUBLISHED_GIB = (
    ("llama-2-7b", "Q4_0", 3.56, _RTX_PRO_6000),
    ("mistral-nemo", "Q4_K_M", 6.96, _RTX_PRO_6000),
    ("llama-3-8b", "Q4_K_M", 4.58, _3070),
    ("llama-3-8b", "F16", 14.96, _3070.replace("3070_v3", "3090_2_v3")),
    ("llama-3-70b", "F16", 131.42, _3070.replace("3070_v3", "3090_6_v3")),
    (
        "llama-3.1-70b",
        "Q4_0",
        37.22,
        "https://github.com/Nikolayy1/podcast_othering/blob/742e8fef/log.txt",
    ),
    ("llama-3.1-405b", "IQ2_XXS", 99.9, _RTX_PRO_6000),
    (
        "codestral-22b",
        "Q4_0",
        11.71,
        "https://github.com/Jantoniio3/TFG/blob/9fac172e/ollama_logs.txt",
    ),
    (
        "mixtral-8x7b",
        "Q4_0",
        24.63,
        "https://github.com/simo-hue/LLM-Mob-As-Mobility-Interpreter/blob/695340a8/geom_ollama_gpu0.log",
    ),
    ("qwen2.5-14b", "Q5_K_M", 9.7816, _RTX_5090),
    ("qwen2.5-14b", "Q8_0", 14.6177, _RTX_5090),
    ("qwen2.5-32b", "Q5_K_M", 21.659, _RTX_5090),
    ("qwen3-30b-a3b", "Q4_K_M", 17.28, _RTX_PRO_6000),
    (
        "qwen3-235b-a22b",
        "Q6_K",
        179.75,
        "https://github.com/ikawrakow/ik_llama.cpp/discussions/357",
    ),
    (
        "qwen3-235b-a22b",
        "Q8_0",
        232.77,
        "https://github.com/ikawrakow/ik_llama.cpp/discussions/357",
    ),
    ("qwen3.5-9b", "Q8_0", 8.86, "https://github.com/ghghang2/v1.6/blob/c5c57403/llama_server.log"),
    (
        "qwen3.5-35b-a3b",
        "Q8_0",
        34.36,
        "https://github.com/MrSnowNB/nemoclaw-setup/blob/1205ab50/llama_server.log",
    ),
    (
        "qwen3.6-35b-a3b",
        "Q4_K_M",
        19.7,
        "https://github.com/deepindeepsea/rtx5090-q36-bench/blob/06bda274/results/llamabench_ub.log",
    ),
    ("gpt-oss-20b", "MXFP4", 11.27, "https://github.com/ggml-org/llama.cpp/pull/16991"),
    (
        "gpt-oss-20b",
        "F16",
        12.83,
        "https://github.com/ghghang2/v1.6/blob/fcce3c37/llama_server.log",
    ),
    (
        "gpt-oss-20b",
        "Q4_K_M",
        10.81,
        "https://github.com/ghghang2/v1.6/blob/16b3686a/llama_server.log",
    ),
)
"""What llama.cpp prints for published files: the sum of their tensors' bytes, with the page that
has it."""


@pytest.mark.parametrize(("name", "quantization", "published_gib", "source"), PUBLISHED_GIB)
def test_size_is_the_published_one(
    name: str, quantization: str, published_gib: float, source: str
) -> None:
    spec = catalogue_model(name, quantization)
    size_gib = sum(tensor.n_bytes for tensor in spec.tensors.values()) / GIB
    assert size_gib == pytest.approx(published_gib, rel=0.005), source


@pytest.mark.parametrize("name", N_PARAMS_B)
def test_number_of_weights_is_the_published_one(name: str) -> None:
    spec = catalogue_model(name, "F16")
    n_params = sum(tensor.n_elements for tensor in spec.tensors.values())
    assert n_params / 1e9 == pytest.approx(N_PARAMS_B[name], abs=0.0051)


def test_entries_that_are_parsed_one_by_one_are_the_files() -> None:
    assert dict(catalogue._entries()) == ENTRIES
    projectors = files("oomph.architectures").joinpath("projectors.toml")
    assert dict(Tables("projectors.toml")) == tomllib.loads(projectors.read_text(encoding="utf-8"))
    told = {"also", "arch", "like", "ollama", "source"}
    assert catalogue._entries().headings() == {
        name: {key: value for key, value in entry.items() if key in told}
        for name, entry in ENTRIES.items()
    }


@pytest.mark.parametrize("name", catalogue_names())
def test_entry_names_its_source_and_family(name: str) -> None:
    entry = ENTRIES[name]
    assert name == name.lower()
    assert entry["source"].startswith("https://huggingface.co/")
    assert ("arch" in entry) != ("like" in entry)
    assert family_of(entry.get("arch", "llama")).tensors
    assert set(entry.get("extras", ())) <= set(EXTRAS)


@pytest.mark.parametrize("name", catalogue_names())
def test_model_is_whole(name: str) -> None:
    spec = catalogue_model(name, "Q4_K_M")
    assert spec.n_embd == spec.tensors["token_embd.weight"].ne[0]
    assert spec.n_vocab == spec.integer("vocab_size") == spec.tensors["token_embd.weight"].ne[1]
    assert spec.n_ctx_train >= (1024 if family_of(spec.arch).has_cache else 512)
    blocks = {int(tensor.split(".")[1]) for tensor in spec.tensors if tensor.startswith("blk.")}
    assert blocks == set(range(spec.n_layer))
    assert spec.is_moe == any("_exps" in tensor for tensor in spec.tensors)
    assert all(tensor.ne[0] % tensor.quant.block == 0 for tensor in spec.tensors.values())


def test_tensors_lie_side_by_side_as_in_a_file() -> None:
    tensors = list(catalogue_model("gpt-oss-20b", "Q4_K_M").tensors.values())
    for before, after in pairwise(tensors):
        assert before.offset + before.n_bytes <= after.offset < before.offset + before.n_bytes + 32
        assert after.offset % 32 == 0


def test_extreme_variant_is_its_parent_with_more_experts_and_a_longer_context() -> None:
    parent, extreme = (
        catalogue_model("qwen3-30b-a3b", "Q4_K_M"),
        catalogue_model("qwen3-30b-a6b-16-extreme", "Q4_K_M"),
    )
    assert extreme.tensors == parent.tensors
    assert (extreme.n_expert_used, parent.n_expert_used) == (16, 8)
    assert extreme.n_ctx_train == 131072
    assert extreme.metadata["qwen3moe.rope.scaling.type"] == "yarn"
    assert extreme.hparam("rope.scaling.factor") == 4.0
    assert extreme.integer("rope.scaling.original_context_length") == 32768


def test_experts_published_in_mxfp4_stay_so() -> None:
    spec = catalogue_model("gpt-oss-120b", "F16")
    assert spec.tensors["blk.0.ffn_up_exps.weight"].quant.name == "MXFP4"
    assert spec.tensors["blk.0.ffn_up_exps.bias"].quant.name == "F32"
    assert spec.tensors["blk.0.attn_q.weight"].quant.name == "F16"
    assert "MXFP4" in spec.notes[0]


def test_name_is_found_in_any_case() -> None:
    assert (
        catalogue_model("Qwen3-8B", "q4_k_m").tensors
        == catalogue_model("qwen3-8b", "Q4_K_M").tensors
    )


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("qwen3-30b", "qwen3-30b-a3b, qwen3-30b-a3b-2507"), ("lama-3.1-8b", "llama-3.1-8b")],
)
def test_unknown_name_lists_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"'{name}'; the nearest are {nearest}.*Q4_K_M"):
        catalogue_model(name, "Q4_K_M")


@pytest.mark.parametrize(
    "name", ["gpt-oss-20b", "llama-3.3-70b", "qwen3-next-80b-a3b-mtp", "mixtral-8x7b"]
)
def test_quantizations_made_together_are_those_made_alone(name: str) -> None:
    quantizations = ("Q8_0", "Q4_K_M", "q4_k_l", "IQ3_XXS", "BF16")
    together = list(catalogue_models(name, quantizations))
    assert together == [catalogue_model(name, each) for each in quantizations]
    with pytest.raises(UnknownNameError, match="file-size"):
        next(catalogue_models(name, ("UD-Q4_K_XL",)))
