"""RAM against what a run holds, maps and fills: four states, and caches that fit."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from oomph.config import RunConfig
from oomph.estimate.host import HostMemory, host_fit, host_state, runs
from oomph.estimate.host_memory import CACHE_STEP_MIB, fitting_caches
from oomph.units import MIB

SIZES = st.integers(0, 1 << 40)
HELD = HostMemory(
    process_bytes=100,
    weights_bytes=10,
    mapped_bytes=1000,
    cache_bytes=20,
    buffer_bytes=30,
    checkpoints_bytes=5000,
    prompt_cache_bytes=50_000,
)


def test_each_part_that_does_not_fit_has_its_own_state() -> None:
    assert (HELD.held_bytes, HELD.busy_bytes, HELD.most_bytes) == (160, 1160, 56_160)
    states = [host_state(HELD, room) for room in (159, 160, 1159, 1160, 56_159, 56_160)]
    assert states == ["short", "reads_disk", "reads_disk", "may_fill", "may_fill", "holds"]
    assert [runs(state) for state in (*states[::2], "holds", None)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_a_cache_without_limit_fits_no_ram() -> None:
    endless = replace(HELD, prompt_cache_bytes=None)
    assert endless.most_bytes is None
    assert host_state(endless, 1 << 60) == "may_fill"


def test_nothing_is_said_of_ram_that_nobody_knows() -> None:
    unknown = host_fit(HELD, None)
    assert (unknown.state, unknown.room_bytes) == (None, None)
    assert fitting_caches(unknown, RunConfig(cache_ram_mib=8192)) is None


@given(
    held=SIZES,
    mapped=SIZES,
    each=st.integers(0, 1 << 34),
    n=st.integers(0, 64),
    cache=st.integers(-1, 1 << 16),
    room=SIZES,
)
def test_caches_that_fit_do_fit_and_are_no_larger_than_asked(
    held: int, mapped: int, each: int, n: int, cache: int, room: int
) -> None:
    config = RunConfig(ctx_checkpoints=n, cache_ram_mib=cache)
    memory = HostMemory(
        process_bytes=held,
        weights_bytes=0,
        mapped_bytes=mapped,
        cache_bytes=0,
        buffer_bytes=0,
        checkpoints_bytes=n * each,
        prompt_cache_bytes=None if cache < 0 else cache * MIB,
    )
    fit = host_fit(memory, room)
    fitting = fitting_caches(fit, config)
    assert (fitting is not None) == (fit.state == "may_fill")
    if fitting is None:
        return
    smaller = replace(
        memory,
        checkpoints_bytes=fitting.ctx_checkpoints * each,
        prompt_cache_bytes=fitting.cache_ram_mib * MIB,
    )
    assert host_state(smaller, room) == "holds"
    assert 0 <= fitting.ctx_checkpoints <= n
    assert fitting.cache_ram_mib == cache or fitting.cache_ram_mib % CACHE_STEP_MIB == 0
    assert cache < 0 or fitting.cache_ram_mib <= cache
