"""A log becomes what it says: knobs, buffers, the dry run before and the driver's view after;
nothing else."""

from pathlib import Path

import pytest

from oomph.errors import StoreError
from oomph.measure.logs.breakdown import read_breakdowns
from oomph.measure.logs.imported import is_log, read_log
from oomph.records.schema import ModelIdentity
from oomph.units import MIB

LOGS = Path(__file__).parents[2] / "data" / "logs"
# llama-server 0.5.0 with --log-verbosity 4 on a phantom card, shortened
FIT = """\
0.00.029.765 I cmn  common_param: common_params_print_info: build 1 (0c1e570) with GNU 12.2.0 for Linux x86_64
0.00.789.666 I common_memory_breakdown_print: | memory breakdown [MiB]                                 | total    free     self   model   context   compute    unaccounted |
0.00.789.717 I common_memory_breakdown_print: |   - CUDA0 (RTX PRO 6000 Blackwell Workstation Edition) | 97247 = 97247 + (20712 = 17524 +    3072 +     116) +      -20712 |
0.00.789.730 I common_memory_breakdown_print: |   - Host                                               |                    206 =   166 +       0 +      40                |
"""  # noqa: E501
LOAD = """\
0.00.897.534 I llama_model_loader: loaded meta data with 26 key-value pairs and 579 tensors from /home/me/qwen3.gguf (version GGUF V3 (latest))
0.00.941.790 I print_info: file size   = 17.28 GiB (4.86 BPW)
0.00.941.828 I llama_prepare_model_devices: using device CUDA0 (NVIDIA RTX PRO 6000 Blackwell Workstation Edition) (0000:01:00.0) - 96692 MiB free
0.01.513.043 I print_info: arch                  = qwen3moe
0.01.513.466 I print_info: n_expert_used         = 8
0.01.513.637 I print_info: model params          = 30.53 B
0.01.513.650 I print_info: general.name          = Qwen3 <b>30B</b>
0.01.524.017 I load_tensors: offloaded 49/49 layers to GPU
0.01.524.035 I load_tensors:   CPU_Mapped model buffer size =   166.92 MiB
0.01.524.050 I load_tensors:        CUDA0 model buffer size = 17524.43 MiB
0.01.532.994 I llama_context: n_seq_max             = 4
0.01.533.006 I llama_context: n_ctx                 = 32768
0.01.533.032 I llama_context: n_batch               = 2048
0.01.533.044 I llama_context: n_ubatch              = 512
0.01.533.071 I llama_context: flash_attn            = auto
0.01.533.084 I llama_context: kv_unified            = true
0.01.533.139 I llama_context: n_outputs_max         = 4
"""  # noqa: E501
ROOM = """\
0.01.533.758 I llama_kv_cache:      CUDA0 KV buffer size =  3072.00 MiB
0.01.533.777 I llama_kv_cache: size = 3072.00 MiB ( 32768 cells,  48 layers,  4/1 seqs), K (f16): 1536.00 MiB, V (f16): 1536.00 MiB
0.01.559.000 I sched_reserve: Flash Attention was auto, set to enabled
0.01.559.129 I sched_reserve:      CUDA0 compute buffer size =   116.01 MiB
"""  # noqa: E501
END = """\
0.39.993.838 I common_memory_breakdown_print: |   - CUDA0 (RTX PRO 6000 Blackwell Workstation Edition) | 97247 = 75974 + (20712 = 17524 +    3072 +     116) +         561 |
"""  # noqa: E501
REFUSED = """\
ggml_backend_cuda_buffer_type_alloc_buffer: allocating 3072.00 MiB on device 0: cudaMalloc failed: out of memory
alloc_tensor_range: failed to allocate CUDA0 buffer of size 3221225472
llama_init_from_model: failed to initialize the context: failed to allocate buffer for kv cache
"""  # noqa: E501


def _log(tmp_path: Path, *parts: str) -> Path:
    path = tmp_path / "server.log"
    path.write_text("".join(parts))
    return path


def test_a_servers_log_is_a_record(tmp_path: Path) -> None:
    path = _log(tmp_path, FIT, LOAD, ROOM, END)
    assert is_log(path)
    (record,) = read_log(path)
    assert record.origin == "llama.cpp log"
    assert record.outcome.label == "ok"
    assert (record.model.name, record.model.path, record.model.arch) == (
        "Qwen3 <b>30B</b>",
        "qwen3.gguf",
        "qwen3moe",
    )
    assert (record.model.file_bytes, record.model.n_params) == (0, 30_530_000_000)
    knobs = {
        "n_ctx": 32768,
        "n_seq_max": 4,
        "n_outputs_max": 4,
        "kv_unified": True,
        "n_expert_used": 8,
        "flash_attn": "on",
        "type_k": "f16",
        "n_gpu_layers": -1,
        "n_devices": 1,
    }
    assert {knob: record.config[knob] for knob in knobs} == knobs
    assert record.buffers.model_mib == {"CPU_Mapped": [166.92], "CUDA0": [17524.43]}
    assert record.environment.llama_cpp_commit == "0c1e570"
    (card,) = record.environment.gpus
    assert card == {
        "name": "NVIDIA RTX PRO 6000 Blackwell Workstation Edition",
        "usable_bytes": 97247 * MIB,
    }
    assert record.timings == []


def test_the_breakdown_before_is_the_dry_run_and_the_one_after_the_drivers_view(
    tmp_path: Path,
) -> None:
    (record,) = read_log(_log(tmp_path, FIT, LOAD, ROOM, END))
    assert record.conditions.dry_run_mib == {"CUDA0": 20712}
    (series,) = record.memory
    assert (series.device, series.peak_bytes, series.baseline_bytes) == (
        "CUDA0",
        21273 * MIB,
        555 * MIB,
    )
    first, last = read_breakdowns((FIT + END).splitlines())
    assert (first.is_dry, last.is_dry) == (True, False)
    assert last.total == last.free + last.own + last.rest


def test_without_a_breakdown_nothing_is_made_up(tmp_path: Path) -> None:
    (record,) = read_log(_log(tmp_path, LOAD, ROOM))
    assert record.memory == []
    assert record.conditions.dry_run_mib == {}
    assert "usable_bytes" not in record.environment.gpus[0]
    assert record.environment.llama_cpp_commit is None


def test_each_model_that_is_loaded_is_a_record_of_its_own(tmp_path: Path) -> None:
    draft = LOAD.replace("qwen3.gguf", "draft.gguf").replace("17524.43", "800.00")
    main, small = read_log(_log(tmp_path, FIT, LOAD, ROOM, draft, ROOM, END))
    assert [main.model.path, small.model.path] == ["qwen3.gguf", "draft.gguf"]
    assert small.buffers.model_mib["CUDA0"] == [800.0]
    assert main.memory == small.memory == []  # whose the breakdown is, it does not say
    assert main.record_id != small.record_id


def test_a_failed_load_keeps_its_outcome(tmp_path: Path) -> None:
    (record,) = read_log(_log(tmp_path, LOAD, REFUSED))
    assert record.outcome.label == "oom_kv"
    assert any(
        "cudaMalloc failed" in line or "kv cache" in line for line in record.outcome.evidence
    )


def test_the_given_file_goes_before_what_the_log_says(tmp_path: Path) -> None:
    own = ModelIdentity(
        name="mine", path="mine.gguf", arch="qwen3moe", file_bytes=7, header_sha256="ab"
    )
    (record,) = read_log(_log(tmp_path, LOAD, ROOM), model=own)
    assert record.model == own


def test_a_quiet_log_is_told_how_to_speak(tmp_path: Path) -> None:
    quiet = (
        "0.00.012.748 I srv    load_model: loading model 'm.gguf'\n0.00.709.170 I srv  "
        "llama_server: model loaded\n"
    )
    path = _log(tmp_path, quiet)
    assert is_log(path)
    with pytest.raises(StoreError, match="--log-verbosity 4"):
        read_log(path)


def test_a_log_that_holds_a_table_is_a_log_still(tmp_path: Path) -> None:
    assert is_log(_log(tmp_path, LOAD, "| model | test | t/s |\n"))
    with pytest.raises(StoreError, match="check the path"):
        is_log(tmp_path / "none.log")


@pytest.mark.parametrize(
    ("name", "backend", "cards", "n_ctx", "buffers"),
    [
        (
            "journald",
            "rocm",
            [],
            262_144,
            {"kv_cache_mib": {"Meta()": [4096.0]}, "output_mib": {"ROCm_Host": [3.79]}},
        ),
        (
            "docker-compose",
            "cuda",
            [],
            16_384,
            {
                "kv_cache_mib": {"CUDA0": [1224.0]},
                "compute_mib": {"CUDA0": [352.77], "CUDA_Host": [40.02]},
            },
        ),
        (
            "lmstudio",
            "cuda",
            [],
            16_384,
            {
                "kv_cache_mib": {"CUDA0": [1224.0]},
                "compute_mib": {"CUDA0": [352.77], "CUDA_Host": [40.02]},
            },
        ),
        (
            "rocm",
            "rocm",
            ["AMD Radeon RX 7900 XTX"],
            32_768,
            {
                "model_mib": {"ROCm0": [17000.0]},
                "kv_cache_mib": {"ROCm0": [4352.0]},
                "compute_mib": {"ROCm0": [307.0], "ROCm_Host": [74.01]},
            },
        ),
    ],
)
def test_a_log_from_the_field(
    name: str,
    backend: str,
    cards: list[str],
    n_ctx: int,
    buffers: dict[str, dict[str, list[float]]],
) -> None:
    (record,) = read_log(LOGS / f"{name}.log")
    assert record.environment.backend == backend
    assert [card["name"] for card in record.environment.gpus] == cards
    assert record.config["n_ctx"] == n_ctx
    assert record.buffers is not None
    assert record.buffers.model_dump(exclude_defaults=True) == buffers


def test_a_projectors_buffers_are_not_the_models(tmp_path: Path) -> None:
    projector = (
        "clip_model_loader: has vision encoder\n"
        "warmup: warmup with image size = 1472 x 1472\n"
        "alloc_compute_meta:      CUDA0 compute buffer size =   248.10 MiB\n"
    )
    (record,) = read_log(_log(tmp_path, LOAD, ROOM, projector))
    assert record.buffers is not None
    assert record.buffers.compute_mib == {"CUDA0": [116.01]}
    assert record.conditions.beside["projector"].compute_mib == {"CUDA0": [248.10]}


def test_what_is_reserved_anew_takes_the_place_of_what_was(tmp_path: Path) -> None:
    projector = (
        "get_dummy_batch: warmup with image size = 336 x 336\n"
        "reserve_compute_meta:      CUDA0 compute buffer size =    19.89 MiB\n"
        "reserve_compute_meta:        CPU compute buffer size =     9.30 MiB\n"
        "warmup: WARNING: flash attention not supported by CUDA0, memory usage will increase\n"
        "reserve_compute_meta:      CUDA0 compute buffer size =    37.11 MiB\n"
        "reserve_compute_meta:        CPU compute buffer size =     9.30 MiB\n"
    )
    again = (
        "sched_reserve: reserving ...\n"
        "sched_reserve:      CUDA0 compute buffer size =   128.75 MiB\n"
    )
    adapter = "llama_adapter_lora_init_impl:      CUDA0 LoRA buffer size =    26.00 MiB\n"
    (record,) = read_log(_log(tmp_path, LOAD, adapter, ROOM, again, projector))
    assert record.buffers is not None
    assert record.buffers.compute_mib == {"CUDA0": [128.75]}
    beside = record.conditions.beside
    assert beside["projector"].compute_mib == {"CUDA0": [37.11], "CPU": [9.30]}
    assert beside["lora"].model_mib == {"CUDA0": [26.0]}


def test_buffers_without_their_context_are_read_and_not_taken_for_a_measurement(
    tmp_path: Path,
) -> None:
    (record,) = read_log(_log(tmp_path, "load_tensors:  CUDA0 model buffer size =  9.00 MiB\n"))
    assert record.buffers is not None
    assert record.buffers.model_mib == {"CUDA0": [9.0]}
    assert record.outcome.label == "unknown"
    assert "n_ctx" not in record.config


def test_each_run_of_a_log_is_a_record(tmp_path: Path) -> None:
    begins = "ggml_cuda_init: found 1 CUDA devices:\n"
    records = read_log(_log(tmp_path, begins, LOAD, REFUSED, begins, LOAD, ROOM))
    assert [record.outcome.label for record in records] == ["oom_kv", "ok"]
