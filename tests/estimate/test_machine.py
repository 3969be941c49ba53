"""What is told of a machine: systems, watts and memory in any usual spelling, nonsense refused."""

import pytest

from oomph.errors import ConfigError
from oomph.estimate.machine import LINUX, machine_of, ram_bandwidth


@pytest.mark.parametrize(
    ("text", "gb_s"),
    [
        ("51.2", 51.2),
        ("DDR4-3200", 51.2),
        ("ddr5-6000", 96.0),
        ("DDR4-2933x8", 187.712),
        ("LPDDR5X-8000", 128.0),
    ],
)
def test_memory_is_a_rate_or_a_kind(text: str, gb_s: float) -> None:
    assert ram_bandwidth(text) == pytest.approx(gb_s * 1e9)


@pytest.mark.parametrize("text", ["", "fast", "0", "-3", "DDR4", "nan", "1e9", "DDR4-3200x0"])
def test_memory_that_is_neither_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--host-bandwidth"):
        ram_bandwidth(text)


def test_nothing_told_is_linux_and_the_cards_own_limit() -> None:
    assert machine_of(None, None, None) == LINUX


def test_a_told_machine_is_kept() -> None:
    machine = machine_of("Windows", 250.0, "DDR4-3200")
    assert machine.to_dict() == {
        "os": "windows",
        "power_limit_w": 250.0,
        "host_bandwidth_gb_s": 51.2,
        "ram_bytes": None,
        "reserve_bytes": 0,
    }


@pytest.mark.parametrize("watts", [0.0, -1.0, 5000.0, float("nan")])
def test_a_power_limit_that_no_card_has_is_refused(watts: float) -> None:
    with pytest.raises(ConfigError, match="--power-limit"):
        machine_of(None, watts, None)


def test_an_unknown_system_is_refused() -> None:
    with pytest.raises(ConfigError, match="--os is 'amiga'; it is one of linux, windows"):
        machine_of("amiga", None, None)
