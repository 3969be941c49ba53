"""A run held against its promises, from logs as llama-server printed them."""

from dataclasses import replace

import pytest

from oomph.advise.launch_check import held_against
from oomph.advise.launch_plan import Launch, choose
from oomph.architectures.catalogue import catalogue_model
from oomph.estimate.estimator import Estimator
from oomph.gpus import gpu
from oomph.measure.server_run import ServerRun

LOG = """\
0.00.218.133 I print_info: n_expert_used         = 10
0.00.221.352 I load_tensors:        CUDA0 model buffer size = 17524.43 MiB
0.00.221.352 I load_tensors:    CUDA_Host model buffer size =   166.92 MiB
0.00.927.187 I llama_context: n_ctx                 = 90112
0.00.927.199 I llama_context: freq_scale            = 0.363636
0.00.929.658 I llama_kv_cache:      CUDA0 KV buffer size =  8448.00 MiB
0.00.929.686 I llama_kv_cache: size = 8448.00 MiB ( 90112 cells,  48 layers,  1/1 seqs), K (f16): 4224.00 MiB, V (f16): 4224.00 MiB
0.00.939.503 I sched_reserve:      CUDA0 compute buffer size =   189.01 MiB
0.00.939.534 I sched_reserve:  CUDA_Host compute buffer size =    96.01 MiB
0.00.947.261 I srv    load_model: initializing, n_slots = 1, n_ctx_slot = 90112, kv_unified = 'false'
0.01.008.181 I common_memory_breakdown_print: | memory breakdown [MiB] | total   free    self   model   context   compute    unaccounted |
0.01.008.194 I common_memory_breakdown_print: |   - CUDA0 (RTX 5090)   | 32109 = 5943 + (26161 = 17524 +    8448 +     189) +           4 |
0.01.008.194 I common_memory_breakdown_print: |   - Host               |                   262 =   166 +       0 +      96                |
""".splitlines()  # noqa: E501


@pytest.fixture(scope="module")
def launch() -> Launch:
    estimator = Estimator(catalogue_model("qwen3-30b-a3b", "Q4_K_M"), gpu("RTX 5090"))
    knobs = {"n_ctx": 90_000, "n_expert_used": 10, "n_ubatch": 512}
    return choose(estimator, knobs, model_path="/m.gguf", profile="long-context")


@pytest.fixture
def run() -> ServerRun:
    return ServerRun(health_s=0.9, slot_n_ctx=90112, answer=None, exit_code=0, log=tuple(LOG))


def broken(launch: Launch, run: ServerRun) -> list[str]:
    return [finding.what for finding in held_against(launch, run) if not finding.holds]


def changed(run: ServerRun, old: str, new: str) -> ServerRun:
    assert any(old in line for line in run.log)
    return replace(run, log=tuple(line.replace(old, new) for line in run.log))


def test_the_breakdown_is_read_by_device(run: ServerRun) -> None:
    assert run.breakdown_mib == {"CUDA0": (26161, 17524, 8448, 189), "Host": (262, 166, 0, 96)}
    assert run.slots == (1, 90112)


def test_a_run_that_kept_everything_holds(launch: Launch, run: ServerRun) -> None:
    findings = held_against(launch, run)
    assert all(finding.holds for finding in findings)
    assert [finding.promised for finding in findings if "compute" in finding.what] == ["189.01"]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("n_ctx_slot = 90112", "n_ctx_slot = 40960", "tokens in each slot"),
        ("n_expert_used         = 10", "n_expert_used         = 8", "active experts"),
        (
            "freq_scale            = 0.363636",
            "freq_scale            = 1",
            "cache types, RoPE and context as asked",
        ),
        ("K (f16)", "K (q8_0)", "cache types, RoPE and context as asked"),
        (
            "compute buffer size =   189.01",
            "compute buffer size =   300.75",
            "CUDA0 compute buffer, MiB",
        ),
        ("(26161 = 17524", "(26261 = 17624", "CUDA0 in the breakdown at the end, MiB"),
    ],
)
def test_each_promise_can_be_broken(
    launch: Launch, run: ServerRun, old: str, new: str, what: str
) -> None:
    assert what in broken(launch, changed(run, old, new))


def test_a_server_that_was_killed_or_says_otherwise_over_http_is_noticed(
    launch: Launch, run: ServerRun
) -> None:
    assert broken(launch, replace(run, exit_code=None)) == ["ends when it is asked to"]
    assert broken(launch, replace(run, slot_n_ctx=40960)) == ["tokens in each slot"]


def test_one_that_never_started_says_why(launch: Launch, run: ServerRun) -> None:
    log = (
        "alloc_buffer: allocating 8448.00 MiB on device 0: cudaMalloc failed: out of memory",
        "llama_kv_cache: failed to allocate buffer for kv cache",
    )
    (finding,) = held_against(launch, replace(run, health_s=None, exit_code=1, log=log))
    assert not finding.holds
    assert finding.reported.startswith("oom_kv")
