"""The host's memory of real shapes: checkpoints, load modes, shared pools, what trials saw."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oomph.config import RunConfig
from oomph.estimate.estimator import Estimator
from oomph.estimate.host import HostFit
from oomph.estimate.machine import Machine
from oomph.estimate.memory import MemoryModel, checkpoint_bytes
from oomph.estimate.riders import FixedRider
from oomph.programs.said import Said
from oomph.units import GIB, MIB


def served(
    model: str, gpu: str | None = "RTX 3090", ram_gib: int | None = None, **knobs: object
) -> HostFit:
    machine = Machine(ram_bytes=None if ram_gib is None else ram_gib * GIB)
    estimator = Estimator(model, gpu, machine=machine)
    return estimator.host(Said(knobs={"n_ctx": 16_384, **knobs}).config(estimator.model))


@pytest.mark.parametrize(
    ("model", "n_mib"),
    [
        ("qwen3.6-27b:Q4_K_M", 149.625),
        ("qwen3.6-35b-a3b:Q4_K_M", 62.8125),
        ("gemma-3-270m:Q8_0", 7.506),
        ("llama-3.1-8b:Q4_K_M", 0.0),
    ],
)
def test_a_checkpoint_is_as_large_as_llama_server_makes_it(model: str, n_mib: float) -> None:
    """gemma-3-270m: 7.506 MiB, as a real llama-server 0.5.0 printed it on the CPU; recurrent
    states: as the RS buffer of one slot."""
    estimator = Estimator(model)
    config = Said(knobs={"n_ctx": 8192}).config(estimator.model)
    model_of = MemoryModel(estimator.model)
    assert model_of.checkpoint_bytes(config) / MIB == pytest.approx(n_mib, abs=5e-4)


@pytest.mark.parametrize(("n_tokens", "n_mib"), [(150, 2.199), (149, 2.185), (350, 5.131)])
def test_a_short_prompt_has_a_small_checkpoint(n_tokens: int, n_mib: float) -> None:
    """As a real llama-server printed them for gemma-3-270m."""
    model = MemoryModel(Estimator("gemma-3-270m:Q8_0").model)
    setup = model.setup(RunConfig(n_ctx=8192, swa_full=False))
    assert checkpoint_bytes(setup, n_tokens, swa_full=False) / MIB == pytest.approx(n_mib, abs=1e-3)
    assert checkpoint_bytes(setup, n_tokens, swa_full=True) == 0


def test_four_slots_of_checkpoints_fill_what_a_trial_saw() -> None:
    """Qwen3.8-27B, of Qwen3.6-27B's shape, wholly on the card filled 18.7 GiB of RAM."""
    memory = served("qwen3.6-27b:Q4_K_M").memory
    assert memory.checkpoints_bytes / GIB == pytest.approx(18.7, abs=0.01)
    assert memory.prompt_cache_bytes == 8192 * MIB
    assert served("qwen3.6-27b:Q4_K_M", ctx_checkpoints=0).memory.checkpoints_bytes == 0
    assert served("qwen3.6-27b:Q4_K_M", n_seq_max=1).memory.checkpoints_bytes == 32 * 149.625 * MIB


def test_experts_on_a_host_that_cannot_hold_them_are_no_yes() -> None:
    """131,266 MiB of qwen3-235b-a22b beside an RTX 3090."""
    fit = served("qwen3-235b-a22b:Q4_K_M", ram_gib=64, n_cpu_moe=94)
    assert fit.memory.mapped_bytes // MIB == 131_265
    assert fit.state == "reads_disk"
    assert (
        served("qwen3-235b-a22b:Q4_K_M", ram_gib=64, n_cpu_moe=94, load_mode="none").state
        == "short"
    )
    assert served("qwen3-235b-a22b:Q4_K_M", ram_gib=192, n_cpu_moe=94).state == "holds"


@pytest.mark.parametrize(
    ("mode", "is_mapped"),
    [
        ("auto", True),
        ("mmap", True),
        ("none", False),
        ("mlock", False),
        ("mmap+mlock", False),
        ("dio", False),
    ],
)
def test_only_a_mapped_file_can_be_dropped(mode: str, is_mapped: bool) -> None:
    memory = served("qwen3-30b-a3b:Q4_K_M", n_cpu_moe=10, load_mode=mode).memory
    assert bool(memory.mapped_bytes) == is_mapped
    assert bool(memory.weights_bytes) != is_mapped


@pytest.mark.parametrize(
    ("rider", "is_read"), [("projector", True), ("lora", True), ("draft", False)]
)
def test_projectors_and_adapters_are_read_and_a_draft_is_mapped(rider: str, is_read: bool) -> None:
    beside = FixedRider(name=rider, bytes_by_device={"CPU": GIB}, note="")
    config = RunConfig(n_ctx=4096)
    plain = Estimator("qwen3-30b-a3b:Q4_K_M", "RTX 3090").host(config).memory
    more = Estimator("qwen3-30b-a3b:Q4_K_M", "RTX 3090", riders=[beside]).host(config).memory
    assert more.weights_bytes - plain.weights_bytes == (GIB if is_read else 0)
    assert more.mapped_bytes - plain.mapped_bytes == (0 if is_read else GIB)


def test_embeddings_fill_no_cache_of_the_host() -> None:
    """llama-server saves prompts and checkpoints of completions alone."""
    knobs = {"n_ctx": 2048, "embeddings": True}
    for model in ("bge-small-en-v1.5:Q8_0", "gemma-3-270m:Q8_0"):
        estimator = Estimator(model, "RTX 3090")
        config = Said(knobs=knobs).config(estimator.model)
        assert (config.cache_ram_mib, config.ctx_checkpoints) == (8192, 32)
        assert estimator.host(config).memory.growth_bytes == 0


def test_one_pool_counts_the_hosts_part_on_the_card() -> None:
    """GB10 has no memory of its own, and maps no file there by itself."""
    spark = Estimator("qwen3.6-35b-a3b:Q4_K_M", "GB10")
    config = Said(knobs={"n_ctx": 16_384}).config(spark.model)
    memory, host = spark.memory(config), spark.host(config)
    assert memory.devices["CUDA0"].host_bytes == host.memory.held_bytes
    assert (host.is_shared, host.memory.mapped_bytes) == (True, 0)
    own = Estimator("qwen3.6-35b-a3b:Q4_K_M", "RTX 3090").memory(config)
    assert own.devices["CUDA0"].host_bytes == 0
    just = memory.devices["CUDA0"].total_bytes
    assert [spark.with_room(n).fits(config) for n in (just, just - 1)] == [True, False]


def test_ram_that_is_short_makes_nothing_fit() -> None:
    config = RunConfig(n_ctx=4096, n_cpu_moe=48)
    for ram_gib, fits in ((8, False), (64, True)):
        estimator = Estimator(
            "qwen3-30b-a3b:Q4_K_M", "RTX 3090", machine=Machine(ram_bytes=ram_gib * GIB)
        )
        assert estimator.fits_cards(config)
        assert (estimator.fits(config), estimator.predict(config).fits) == (fits, fits)


def test_a_reserve_is_taken_of_every_card_once() -> None:
    machine = Machine(reserve_bytes=GIB)
    both = Estimator("qwen3-30b-a3b:Q4_K_M", "2x3090", machine=machine)
    whole = Estimator("qwen3-30b-a3b:Q4_K_M", "2x3090")
    assert [
        a.memory_bytes - b.memory_bytes for a, b in zip(whole.cards, both.cards, strict=True)
    ] == [GIB, GIB]
    assert both.changed().cards == both.cards
    other = both.changed(gpu="RTX 4090")
    assert (
        other.cards[0].memory_bytes == Estimator(both.model, "RTX 4090").cards[0].memory_bytes - GIB
    )


@settings(max_examples=25, deadline=None)
@given(n_ctx=st.integers(1, 512), slots=st.integers(1, 8), n=st.integers(0, 64))
def test_growth_is_in_proportion_to_slots_and_checkpoints(n_ctx: int, slots: int, n: int) -> None:
    knobs = {
        "n_ctx": n_ctx * 256 * slots,
        "n_seq_max": slots,
        "kv_unified": False,
        "ctx_checkpoints": n,
    }
    one = served("gemma-3-270m:Q8_0", None, **knobs | {"n_devices": 0}).memory
    window = min(n_ctx * 256, 512)
    assert one.checkpoints_bytes == slots * n * window * (12 + 15 * 1024)


def test_dense_feed_forward_layers_move_to_the_host() -> None:
    """--n-cpu-ffn is llama.cpp's override of ffn_up, ffn_down and ffn_gate in the first layers."""
    estimator = Estimator("llama-3.1-8b:Q4_K_M", "RTX 3090")
    moved = estimator.memory(RunConfig(n_ctx=4096, n_cpu_ffn=4))
    spelled = estimator.memory(
        RunConfig(n_ctx=4096, override_tensor=r"blk\.[0-3]\.ffn_(up|down|gate)\.weight=CPU")
    )
    assert moved.devices == spelled.devices
    assert (
        moved.devices["CPU"].weights_bytes
        > estimator.memory(RunConfig(n_ctx=4096)).devices["CPU"].weights_bytes
    )


def test_a_cache_of_experts_counts_where_experts_are_on_the_host() -> None:
    estimator = Estimator("qwen3-30b-a3b:Q4_K_M", "2x3090")
    base = RunConfig(n_ctx=4096, n_devices=2, n_cpu_moe=48, tensor_split=(3, 1))
    plain, cached = (
        estimator.memory(config).devices for config in (base, base.with_(moe_cache_mib=2048))
    )
    grown = [cached[name].weights_bytes - plain[name].weights_bytes for name in ("CUDA0", "CUDA1")]
    assert grown == [1536 * MIB, 512 * MIB]
    on_cards = estimator.memory(base.with_(n_cpu_moe=0, moe_cache_mib=2048)).devices
    assert on_cards == estimator.memory(base.with_(n_cpu_moe=0)).devices
