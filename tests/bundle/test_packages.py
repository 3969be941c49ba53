"""Which wheels another Python needs, whatever the markers say of this one."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.bundle.packages import Target, unmet

TARGET = Target(python="3.12", glibc=(2, 34))
Wheel = Callable[..., Path]


@pytest.fixture
def wheel(tmp_path: Path) -> Wheel:
    """`wheel("a", "1.0", "b>=2")` is a wheel that requires."""

    def make(name: str, version: str, *requires: str) -> Path:
        path = tmp_path / f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            lines = [
                f"Name: {name}",
                f"Version: {version}",
                *(f"Requires-Dist: {need}" for need in requires),
            ]
            archive.writestr(
                f"{name}-{version}.dist-info/METADATA", "\n".join(lines) + "\n\ntext\n"
            )
        return path

    return make


def test_a_set_that_is_whole_lacks_nothing(wheel: Wheel) -> None:
    assert unmet([wheel("a", "1.0", "B_b>=2"), wheel("b-b", "2.1")], TARGET) == []


def test_markers_are_read_as_the_target_reads_them(wheel: Wheel) -> None:
    needs = (
        "old; python_version < '3.12'",
        "new; python_version >= '3.12'",
        "win; sys_platform == 'win32'",
    )
    assert unmet([wheel("a", "1.0", *needs)], TARGET) == ["new"]
    assert unmet([wheel("a", "1.0", *needs)], Target(python="3.11", glibc=(2, 34))) == ["old"]


def test_a_version_that_does_not_fit_is_lacking(wheel: Wheel) -> None:
    assert unmet([wheel("a", "1.0", "b<2"), wheel("b", "2.1")], TARGET) == ["b<2"]


def test_an_extras_needs_count_where_it_is_asked_for(wheel: Wheel) -> None:
    b = wheel("b", "1.0", "c>=3; extra == 'x'", "d; extra == 'y'")
    assert unmet([wheel("a", "1.0", "b"), b], TARGET) == []
    assert unmet([wheel("a", "1.0", "b[x]"), b], TARGET) == ["c>=3"]


def test_pip_is_asked_for_wheels_of_that_python_and_no_newer_glibc() -> None:
    options = TARGET.pip_options()
    assert "cp312" in options
    assert "manylinux_2_34_x86_64" in options
    assert "manylinux_2_35_x86_64" not in options


def test_an_extra_that_is_asked_for_counts(wheel: Wheel) -> None:
    own = wheel("own", "1.0", 'b>=2; extra == "all"')
    assert unmet([own], TARGET) == []
    assert unmet([own], TARGET, [("own", "all")]) == ["b>=2"]
