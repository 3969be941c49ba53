"""Which cards the protocol refuses, each by one sentence."""

from collections.abc import Iterator

import pytest

from oomph.errors import ToolchainError
from oomph.measure.ballast import door_to, holding
from oomph.measure.bench import Bench, cpu_bench, open_bench
from oomph.measure.first_card.facts import card_facts
from oomph.measure.first_card.fitness import only_card, refuse_unready
from oomph.units import GIB


@pytest.fixture
def bench(cuda_backend: object) -> Iterator[Bench]:
    with open_bench("RTX 4090") as opened:
        yield opened


def test_a_machine_without_a_card_is_told_how_to_try_it() -> None:
    with pytest.raises(ToolchainError, match=r"no card is seen.*--phantom.*--cpu"):
        only_card(cpu_bench())


@pytest.mark.phantom
class TestOnAPhantom:
    def test_an_idle_card_is_ready(self, bench: Bench) -> None:
        refuse_unready(bench, only_card(bench))

    def test_a_busy_card_is_refused_and_its_process_named(self, bench: Bench) -> None:
        card = only_card(bench)
        with (
            holding(door_to(bench, card), leave_bytes=20 * GIB) as other,
            pytest.raises(
                ToolchainError, match=rf"is busy: .* MiB are in use by process {other.pid}.*--busy"
            ),
        ):
            refuse_unready(bench, card)

    def test_the_facts_are_both_nvmls_and_the_drivers(self, bench: Bench) -> None:
        facts = card_facts(bench, only_card(bench))
        assert (
            facts["nvml"]["total_bytes"]
            == facts["cuda"]["total_bytes"]
            == only_card(bench).total_bytes
        )
        assert facts["nvml"]["compute_capability"] == facts["cuda"]["compute_capability"] == "8.9"
        assert (
            facts["context"]["nvml_device_bytes"] == 0
        )  # a phantom's context takes nothing unless told to
        assert (
            facts["nvml"]["pcie_generation"] is None
        )  # and what a card does not tell is not made up
