"""What is said of a backend that meets a card and a driver, and what to do about it."""

import pytest

from oomph.cuda.compatibility import card_verdict, driver_verdict
from oomph.cuda.fatbin import GpuCode

CODE = tuple(
    [GpuCode(is_ptx=True, capability=cc, isa=(9, 1)) for cc in ((7, 5), (8, 0), (9, 0))]
    + [GpuCode(is_ptx=False, capability=cc) for cc in ((8, 6), (8, 9))]
    + [GpuCode(is_ptx=False, capability=cc, suffix="a") for cc in ((12, 0), (12, 1))]
)
"""As in the prebuilt backend."""


@pytest.mark.parametrize("capability", [(8, 6), (8, 9), (12, 0), (12, 1)])
def test_native_code_runs_on_the_first_driver_of_its_major(capability: tuple[int, int]) -> None:
    verdict = card_verdict(CODE, capability, (13, 0))
    assert (verdict.runs, verdict.compiles_first, verdict.remedy) == (True, False, None)


@pytest.mark.parametrize(
    ("capability", "best"),
    [((7, 5), "7.5"), ((8, 0), "8.0"), ((9, 0), "9.0"), ((10, 0), "9.0"), ((10, 3), "9.0")],
)
def test_other_cards_compile_the_newest_ptx_that_they_take(
    capability: tuple[int, int], best: str
) -> None:
    verdict = card_verdict(CODE, capability, (13, 1))
    assert verdict.runs
    assert verdict.compiles_first
    assert f"compiles PTX for {best} for some minutes" in verdict.detail


def test_an_older_driver_of_the_same_major_cannot_compile_newer_ptx() -> None:
    verdict = card_verdict(CODE, (9, 0), (13, 0))
    assert not verdict.runs
    assert (
        "the driver (CUDA 13.0) is too old to compile the backend's PTX (CUDA 13.1)"
        in verdict.detail
    )
    assert "install a driver for CUDA 13.1 or newer (590), or oomph setup cuda --build" in str(
        verdict.remedy
    )


@pytest.mark.parametrize("capability", [(6, 1), (7, 0)])
def test_a_card_before_the_oldest_code_is_too_old(capability: tuple[int, int]) -> None:
    verdict = card_verdict(CODE, capability, (13, 1))
    assert not verdict.runs
    assert "the backend's code begins at 7.5" in verdict.detail
    assert "setup cuda --build" in str(verdict.remedy)


def test_a_library_without_code_runs_nowhere() -> None:
    assert card_verdict((), (8, 9), (13, 1)).detail.endswith("the backend has no GPU code")


@pytest.mark.parametrize(
    ("major", "spoken", "runs"),
    [
        ("13", (13, 0), True),
        ("13", (14, 2), True),
        ("13", (12, 9), False),
        ("12", (13, 1), True),
        ("13", None, True),
    ],
)
def test_a_driver_takes_its_own_major_and_those_before(
    major: str, spoken: tuple[int, int] | None, runs: bool
) -> None:
    verdict = driver_verdict(major, spoken)
    assert verdict.runs is runs
    if not runs:
        assert verdict.detail == "CUDA 12.9, the backend needs 13"
        assert (
            verdict.remedy
            == "install driver 580.65 or newer, or oomph setup cuda --build with CUDA 12's "
            "toolkit"
        )
