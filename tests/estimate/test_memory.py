"""Bytes of every device: against what llama.cpp allocated for Qwen3-30B-A3B, and by rule on small
models.

The figures of Qwen3-30B-A3B are those that llama.cpp 0.5.0's CUDA backend printed on the phantom
card, in MiB.
"""

from collections.abc import Callable

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.errors import ModelFileError
from oomph.estimate.memory import MemoryModel
from oomph.estimate.prediction import DeviceMemory
from oomph.units import MIB

MakeModel = Callable[..., ModelSpec]


@pytest.fixture(scope="module")
def qwen() -> MemoryModel:
    return MemoryModel(catalogue_model("qwen3-30b-a3b", "Q4_K_M"))


def card(memory: MemoryModel, **knobs: object) -> DeviceMemory:
    return memory.estimate(RunConfig().with_(**knobs)).devices["CUDA0"]


def in_mib(n_bytes: int) -> float:
    return round(n_bytes / MIB, 2)


# --- as measured


@pytest.mark.parametrize(
    ("quantization", "on_card", "on_host"),
    [
        ("BF16", 57666.30, 593.50),
        ("F16", 57666.30, 593.50),
        ("Q8_0", 30658.12, 315.30),
        ("Q4_K_M", 17524.43, 166.92),
    ],
)
def test_weights_of_qwen3_30b(quantization: str, on_card: float, on_host: float) -> None:
    devices = (
        MemoryModel(catalogue_model("qwen3-30b-a3b", quantization)).estimate(RunConfig()).devices
    )
    assert in_mib(devices["CUDA0"].weights_bytes) == on_card
    assert in_mib(devices["CPU"].weights_bytes) == on_host


@pytest.mark.parametrize(
    ("n_ctx", "f16", "q8_0"),
    [(4096, 384, 204), (32768, 3072, 1632), (90_000, 8448, 4488), (131_072, 12288, 6528)],
)
def test_kv_cache_of_qwen3_30b(qwen: MemoryModel, n_ctx: int, f16: int, q8_0: int) -> None:
    assert card(qwen, n_ctx=n_ctx).kv_cache_bytes == f16 * MIB
    assert card(qwen, n_ctx=n_ctx, type_k="q8_0", type_v="q8_0").kv_cache_bytes == q8_0 * MIB


CONTEXTS = (4096, 32768, 90_112, 131_072)
COMPUTE = [
    ("on", "f16", 512, 8, (341.54, 300.75, 337.54, 337.54)),
    ("on", "f16", 512, 10, (300.75, 300.75, 300.75, 300.75)),
    ("on", "f16", 2048, 8, (1366.14, 1203.00, 1350.14, 1350.14)),
    ("on", "f16", 2048, 16, (1203.00, 1203.00, 1203.00, 1203.00)),
    ("on", "q8_0", 512, 8, (341.54, 341.54, 337.54, 444.09)),
    ("on", "q8_0", 512, 10, (300.75, 300.75, 300.75, 408.09)),
    ("off", "f16", 512, 8, (341.54, 2158.79, 5854.79, 8494.79)),
    ("off", "f16", 512, 16, (300.75, 2138.01, 5834.01, 8474.01)),
    ("off", "f16", 2048, 8, (1366.14, 8635.17, 23419.17, 33979.17)),
    ("off", "f16", 2048, 10, (1203.00, 8552.03, 23336.03, 33896.03)),
]


@pytest.mark.parametrize(("flash_attn", "kind", "n_ubatch", "n_used", "wanted"), COMPUTE)
def test_compute_buffer_of_qwen3_30b(
    qwen: MemoryModel,
    flash_attn: str,
    kind: str,
    n_ubatch: int,
    n_used: int,
    wanted: tuple[float, ...],
) -> None:
    got = [
        card(
            qwen,
            n_ctx=n,
            flash_attn=flash_attn,
            type_k=kind,
            type_v=kind,
            n_ubatch=n_ubatch,
            n_expert_used=n_used,
        )
        for n in CONTEXTS
    ]
    assert tuple(in_mib(memory.compute_bytes) for memory in got) == wanted


@pytest.mark.parametrize(
    ("n_used", "wanted"), [(8, 341.54), (9, 348.76), (10, 300.75), (16, 300.75)]
)
def test_fragmentation_makes_the_buffer_jump_with_the_experts(
    qwen: MemoryModel, n_used: int, wanted: float
) -> None:
    assert in_mib(card(qwen, n_expert_used=n_used).compute_bytes) == wanted


def test_one_output_takes_far_less(qwen: MemoryModel) -> None:
    assert in_mib(card(qwen, n_ctx=8192).compute_bytes) == 341.54
    assert in_mib(card(qwen, n_ctx=8192, n_outputs_max=1).compute_bytes) == 92.01


def test_auto_is_on_where_the_card_can(qwen: MemoryModel) -> None:
    assert card(qwen, flash_attn="auto") == card(qwen, flash_attn="on")


@pytest.mark.parametrize(("n_used", "aborts"), [(24, False), (25, True)])
def test_more_than_24_experts_abort(qwen: MemoryModel, n_used: int, aborts: bool) -> None:
    warnings = qwen.estimate(RunConfig(n_expert_used=n_used)).warnings
    assert any("aborts" in warning for warning in warnings) == aborts


# --- by rule


def test_weights_are_those_of_the_tensors_with_the_token_embedding_on_the_cpu(
    make_model: MakeModel,
) -> None:
    model = make_model()
    devices = MemoryModel(model).estimate(RunConfig()).devices
    embedding = model.tensors["token_embd.weight"].n_bytes
    assert devices["CPU"].weights_bytes == -(-embedding // 32) * 32
    everything = sum(tensor.n_bytes for tensor in model.tensors.values())
    padding = devices["CUDA0"].weights_bytes + embedding - everything
    assert 0 <= padding < 300 * len(model.tensors)  # alignment, and rows of 256 filled up to 512


def test_tied_embeddings_lie_on_the_card_a_second_time(make_model: MakeModel) -> None:
    model = make_model()
    output = model.tensors.pop("output.weight")  # type: ignore[attr-defined]
    tied = MemoryModel(model).estimate(RunConfig()).devices
    untied = MemoryModel(make_model()).estimate(RunConfig()).devices
    assert tied["CUDA0"].weights_bytes == untied["CUDA0"].weights_bytes
    assert tied["CPU"].weights_bytes == untied["CPU"].weights_bytes
    assert output.n_bytes > 0


def test_layers_for_prediction_ahead_are_not_loaded(make_model: MakeModel) -> None:
    whole = MemoryModel(make_model()).estimate(RunConfig())
    ahead = MemoryModel(make_model(metadata={"nextn_predict_layers": 1})).estimate(RunConfig())
    five = MemoryModel(make_model(n_layer=5)).estimate(RunConfig())
    assert ahead.devices["CUDA0"].weights_bytes == five.devices["CUDA0"].weights_bytes
    assert ahead.devices["CUDA0"].kv_cache_bytes < whole.devices["CUDA0"].kv_cache_bytes


def test_without_a_card_everything_is_on_the_cpu(make_model: MakeModel) -> None:
    estimate = MemoryModel(make_model()).estimate(RunConfig(n_devices=0))
    assert set(estimate.devices) == {"CPU"}
    memory = estimate.devices["CPU"]
    assert (
        min(memory.weights_bytes, memory.kv_cache_bytes, memory.compute_bytes, memory.output_bytes)
        > 0
    )
    assert estimate.total_vram_bytes == 0


def test_a_cache_kept_off_the_card_is_on_the_cpu(make_model: MakeModel) -> None:
    devices = MemoryModel(make_model()).estimate(RunConfig(offload_kqv=False)).devices
    assert devices["CUDA0"].kv_cache_bytes == 0
    assert devices["CPU"].kv_cache_bytes == 6 * 2 * 4096 * 2 * 64 * 2


def test_logits_are_kept_where_a_card_can_write_them(make_model: MakeModel) -> None:
    memory = MemoryModel(make_model())
    assert memory.estimate(RunConfig(n_seq_max=3)).devices["CUDA_Host"].output_bytes == 3 * 1000 * 4
    assert memory.estimate(RunConfig(n_gpu_layers=0)).devices["CPU"].output_bytes == 1000 * 4


def test_recurrent_layers_keep_a_state_a_sequence() -> None:
    memory = MemoryModel(catalogue_model("granite-4.0-h-tiny", "Q4_K_M"))
    one, four = (memory.estimate(RunConfig(n_seq_max=n)).devices["CUDA0"] for n in (1, 4))
    rows = (4 - 1) * (3072 + 2 * 128) + 128 * 3072
    assert one.recurrent_bytes == 36 * 4 * rows
    assert four.recurrent_bytes == 4 * one.recurrent_bytes


def test_an_unknown_architecture_is_answered_with_a_warning(make_model: MakeModel) -> None:
    known = MemoryModel(make_model()).estimate(RunConfig())
    unknown = MemoryModel(make_model("tomorrow")).estimate(RunConfig())
    assert unknown.devices == known.devices
    assert known.exact_compute
    assert not unknown.exact_compute
    assert "tomorrow" in unknown.warnings[0]


def test_an_unknown_architecture_without_the_usual_tensors_still_gets_an_answer(
    make_model: MakeModel,
) -> None:
    model = make_model("tomorrow")
    for il in range(6):
        del model.tensors[f"blk.{il}.attn_k.weight"]  # type: ignore[attr-defined]
    estimate = MemoryModel(model).estimate(RunConfig())
    logits = 512 * 1000 * 4
    assert estimate.devices["CUDA0"].compute_bytes >= logits
    assert not estimate.exact_compute


@pytest.mark.parametrize("knobs", [{"type_v": "q8_0", "flash_attn": "off"}])
def test_what_llama_cpp_refuses_is_said(make_model: MakeModel, knobs: dict[str, str]) -> None:
    assert "refuses" in MemoryModel(make_model()).estimate(RunConfig().with_(**knobs)).warnings[0]


def test_more_experts_than_there_are_is_an_error(qwen: MemoryModel) -> None:
    with pytest.raises(ModelFileError, match="128 experts"):
        qwen.estimate(RunConfig(n_expert_used=129))


@pytest.mark.parametrize(
    ("knobs", "warning"),
    [
        ({"n_expert_used": 4}, "n_expert_used changes nothing"),
        ({"n_seq_max": 257}, "refuses n_seq_max 257"),
        ({"n_seq_max": 256}, None),
    ],
)
def test_knobs_that_are_not_taken_as_they_are_asked_for_are_named(
    make_model: MakeModel, knobs: dict[str, object], warning: str | None
) -> None:
    warnings = MemoryModel(make_model()).estimate(RunConfig().with_(**knobs)).warnings
    assert [warning in text for text in warnings] == [True] if warning else not warnings


def test_weights_that_no_card_computes_with_stay_on_the_host() -> None:
    """Ternary types; the figures are the real CUDA backend's on a phantom card, in MiB."""
    memory = MemoryModel(catalogue_model("qwen3-0.6b", "TQ1_0"))
    devices = memory.estimate(RunConfig(n_ctx=4096, swa_full=True)).devices
    card, host = devices["CUDA0"], devices["CUDA_Host"]
    taken = (card.weights_bytes, card.kv_cache_bytes, card.compute_bytes, host.compute_bytes)
    assert [round(each / MIB, 2) for each in taken] == [121.96, 448.0, 298.75, 24.01]
