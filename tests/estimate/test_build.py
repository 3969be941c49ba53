"""Other builds of llama.cpp: each change moves the bytes that it is about, and no other."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.build import LATEST, Build, build_of, build_year
from oomph.estimate.estimator import Estimator
from oomph.estimate.memory import MemoryModel
from oomph.estimate.prediction import DeviceMemory
from oomph.gpus import gpu
from oomph.units import MIB

MakeModel = Callable[..., ModelSpec]
DEEP = RunConfig(n_ctx=32768, flash_attn="on", swa_full=False)


def compute_mib(name: str, config: RunConfig, build: int | None) -> tuple[float, float]:
    """Compute buffers of the card and of the host beside it."""
    devices = Estimator(catalogue_model(name, "Q8_0"), build=build).predict(config).memory.devices
    return devices["CUDA0"].compute_bytes / MIB, devices["CUDA_Host"].compute_bytes / MIB


def test_no_number_is_the_wheels_build_and_newer_ones_do_more() -> None:
    assert build_of(None) == build_of(11_330) == LATEST == Build()
    assert build_of(11_434).mixes_inputs
    assert not build_of(11_434).looks_up_first
    assert (
        build_of(11_549)
        == build_of(12_000)
        == replace(build_of(11_434), looks_up_first=True, cuts_delta_net=True)
    )
    assert build_of(0) == Build(
        embeds_inputs=False,
        rotates_cache=False,
        keeps_all_rows=False,
        narrow_mask=False,
        reserves_copies=False,
        fuses_experts=False,
        refuses_rows=False,
    )


@pytest.mark.parametrize(
    ("name", "knobs", "build", "printed"),
    [
        ("gpt-oss-20b", {"n_ctx": 16384}, 7772, (398.38, 39.15)),
        (
            "qwen3.5-9b",
            {"n_ctx": 65536, "type_k": "q8_0", "type_v": "q8_0"},
            8193,
            (493.00, 144.02),
        ),
        ("qwen3.5-27b", {"n_ctx": 262144}, 8836, (824.02, 532.02)),
        ("gemma-4-26b-a4b", {"n_ctx": 262144}, 8836, (829.02, 526.02)),
    ],
)
def test_real_cards_of_older_builds(
    name: str, knobs: dict[str, object], build: int, printed: tuple[float, float]
) -> None:
    """What llama-server of that build printed on a real card, with flash attention and n_ubatch
    512.

    Logs: github.com/ghghang2/v1.6, llama_server.log at commits d1f510a99, cf1b43dc7, c5c574035
    (twice).
    """
    assert compute_mib(name, DEEP.with_(**knobs), build) == pytest.approx(printed, abs=0.01)


def changed_by(
    model: ModelSpec, build: Build, **knobs: object
) -> tuple[DeviceMemory, DeviceMemory]:
    config = DEEP.with_(**knobs)
    return tuple(MemoryModel(model, b).estimate(config).devices["CUDA0"] for b in (LATEST, build))  # type: ignore[return-value]


def test_a_cast_mask_takes_three_times_the_room(make_model: MakeModel) -> None:
    """F32 in, F16 out: 6 bytes a cell and token for 2. No logits, so that the mask decides, but for
    what is freed."""
    new, old = changed_by(make_model(), Build(narrow_mask=False), n_outputs_max=1)
    assert old.compute_bytes - new.compute_bytes == pytest.approx(4 * 32768 * 512, rel=0.05)
    new, old = changed_by(make_model(), Build(narrow_mask=False), n_outputs_max=1, flash_attn="off")
    assert old == new


def test_copies_of_a_quantized_cache_are_the_difference(make_model: MakeModel) -> None:
    """Two F16 copies of 32768 cells, two heads of 64."""
    cache = {"type_k": "q8_0", "type_v": "q8_0", "n_outputs_max": 1}
    new, old = changed_by(make_model(), Build(reserves_copies=False), **cache)
    assert new.compute_bytes - old.compute_bytes == pytest.approx(2 * 32768 * 2 * 64 * 2, rel=0.15)
    new, old = changed_by(make_model(), Build(reserves_copies=False), n_outputs_max=1)
    assert old == new


def test_weights_and_caches_are_of_no_build(make_model: MakeModel) -> None:
    new, old = changed_by(make_model(n_expert=8), build_of(0), type_k="q8_0", type_v="q8_0")
    assert (new.weights_bytes, new.kv_cache_bytes) == (old.weights_bytes, old.kv_cache_bytes)


def test_a_build_that_never_was_is_refused() -> None:
    with pytest.raises(ConfigError, match="no build 400000"):
        build_of(400_000)


def test_a_mixed_batch_keeps_a_copy_of_the_embeddings(make_model: MakeModel) -> None:
    """The copy that SET_ROWS writes into is never freed: n_embd_inp × n_ubatch in F32."""
    new, old = changed_by(make_model(), Build(mixes_inputs=True), n_outputs_max=1)
    assert old.compute_bytes > new.compute_bytes
    assert (old.weights_bytes, old.kv_cache_bytes) == (new.weights_bytes, new.kv_cache_bytes)


def test_builds_have_dates_that_only_grow() -> None:
    years = [build_year(number) for number in range(1000, 12_000, 50)]
    assert years == sorted(years)
    assert build_year(2824) == pytest.approx(2024.353)
    assert (years[0], years[-1]) == (2024.03, 2026.797)


def test_the_build_that_is_named_sets_the_speed() -> None:
    """Quantized prompts run on int8 tensor cores since June 2024: faster than cuBLAS in 16 bits,
    and growing."""
    model, card = catalogue_model("llama-3.1-8b", "Q4_K_M"), gpu("RTX 4090")
    rates = []
    for build in (2824, 5000, 10_800):
        speed = Estimator(model, card, build=build).predict(RunConfig(flash_attn="off")).speed
        assert speed is not None
        rates.append(speed.prefill_tokens_per_s)
    assert rates == sorted(rates)
    assert rates[-1] > 1.3 * rates[0]
