"""llama.cpp's own lines, as its builds print them."""

import pytest

from oomph.config import RunConfig
from oomph.measure.logs.reported import disagreement, logged_knobs, read_buffers, read_reported
from oomph.records.schema import Reported

LOG = """\
print_info: n_ctx_train           = 2048
print_info: n_expert              = 128
print_info: n_expert_used         = 10
load_tensors: offloaded 49/49 layers to GPU
load_tensors:   CPU_Mapped model buffer size =   166.92 MiB
load_tensors:        CUDA0 model buffer size = 17524.43 MiB
llama_context: n_seq_max             = 1
llama_context: n_ctx                 = 4096
llama_context: n_ctx_seq             = 4096
llama_context: n_batch               = 2048
llama_context: n_ubatch              = 512
llama_context: flash_attn            = auto
llama_context:  CUDA_Host  output buffer size =     0.58 MiB
llama_kv_cache:      CUDA0 KV buffer size =   100.00 MiB
llama_kv_cache: size =  100.00 MiB (  4096 cells,  24 layers,  1/1 seqs), K (f16):   50.00 MiB, V (q8_0):   50.00 MiB
llama_kv_cache:      CUDA0 KV buffer size =   284.00 MiB
llama_memory_recurrent:      CUDA0 RS buffer size =     7.50 MiB
resolve_fused_ops: Flash Attention enabled
sched_reserve:      CUDA0 compute buffer size =   341.54 MiB
sched_reserve:  CUDA_Host compute buffer size =    12.01 MiB
sched_reserve: graph (pp bs=512, tg bs=1): nodes = 2935 / 2900, splits = 2, input objects = 4, input tensors = 6
~llama_context:      CUDA0 compute buffer size of 350.0000 MiB, does not match expectation of 341.5400 MiB
""".splitlines()  # noqa: E501


@pytest.mark.parametrize(("n_cells", "swa_full"), [(1536, False), (32768, True)])
def test_a_smaller_cache_of_the_windows_tells_swa_full(n_cells: int, swa_full: bool) -> None:
    lines = [
        "llama_kv_cache_iswa: creating non-SWA KV cache, size = 32768 cells",
        f"llama_kv_cache_iswa: creating     SWA KV cache, size = {n_cells} cells",
    ]
    assert logged_knobs(lines)["swa_full"] is swa_full


def test_knobs_are_read_behind_a_prefix_that_nobody_knows() -> None:
    assert logged_knobs(["~~9~~ who/what: llama_context: n_ctx         = 8192"])["n_ctx"] == 8192


def test_buffers_are_read_by_kind_and_device_as_printed() -> None:
    buffers = read_buffers(LOG)
    assert buffers.model_mib == {"CPU_Mapped": [166.92], "CUDA0": [17524.43]}
    assert buffers.kv_cache_mib == {"CUDA0": [100.0, 284.0]}
    assert buffers.recurrent_mib == {"CUDA0": [7.5]}
    assert buffers.compute_mib == {"CUDA0": [341.54], "CUDA_Host": [12.01]}
    assert buffers.output_mib == {"CUDA_Host": [0.58]}
    assert buffers.compute_grown_mib == {"CUDA0": [350.0]}


def test_a_device_may_be_named_as_its_card_is() -> None:
    card = "AMD Radeon RX 7900 XTX (RADV NAVI31)"
    lines = [
        f"llm_load_tensors: {card} buffer size = 18671.19 MiB",
        f"llama_kv_cache_init: {card} KV buffer size =  2244.00 MiB",
        f"llama_new_context_with_model: {card} compute buffer size =   306.75 MiB",
    ]
    found = read_buffers(lines)
    assert found.model_mib == {card: [18671.19]}
    assert found.kv_cache_mib == {card: [2244.0]}
    assert found.compute_mib == {card: [306.75]}


@pytest.mark.parametrize("stamp", ["", "0.52.003.528 I "])
def test_knobs_are_read_as_reported_whatever_stands_before_the_line(stamp: str) -> None:
    reported = read_reported([stamp + line for line in LOG])
    assert reported == Reported(
        n_ctx=4096,
        n_ctx_seq=4096,
        n_batch=2048,
        n_ubatch=512,
        n_expert_used=10,
        type_k="f16",
        type_v="q8_0",
        flash_attn="enabled",
        graph_nodes=2935,
        graph_splits=2,
        offloaded_layers="49/49",
    )


def test_a_log_that_says_nothing_reports_nothing() -> None:
    assert read_reported([]) == Reported()
    assert read_buffers(["hello"]).model_mib == {}


@pytest.mark.parametrize(
    ("asked", "reported", "says"),
    [
        ({}, {"n_ctx": 4096, "n_expert_used": 8, "type_k": "f16"}, None),
        ({"n_ctx": 4000}, {"n_ctx": 4096}, None),
        ({"n_ctx": 4095, "n_seq_max": 2}, {"n_ctx": 4094}, None),
        (
            {"n_ctx": 90_000},
            {"n_ctx": 40_960},
            "n_ctx was set to 90000 and llama.cpp reports 40960",
        ),
        (
            {"n_expert_used": 10},
            {"n_expert_used": 8},
            "n_expert_used was set to 10 and llama.cpp reports 8",
        ),
        ({"n_expert_used": 10}, {}, "did not report it back"),
        ({"rope_scale": 3.0}, {"rope_freq_scale": 0.333333}, None),
        (
            {"rope_scale": 4.0},
            {"rope_freq_scale": 1.0},
            "set to 4 and llama.cpp reports a freq_scale of 1",
        ),
        ({"rope_scale": 4.0}, {}, "freq_scale of None"),
        ({"type_v": "q8_0"}, {"type_v": "f16"}, "type_v was set to q8_0 and llama.cpp reports f16"),
    ],
)
def test_an_override_counts_only_when_it_is_said_back(
    asked: dict[str, object], reported: dict[str, object], says: str | None
) -> None:
    found = disagreement(RunConfig.from_mapping(asked), Reported.model_validate(reported))
    assert found is None if says is None else found is not None and says in found
