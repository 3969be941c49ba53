"""Parts keep to their size, hold what went in, and say by name what is wrong with one of them."""

import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.bundle import installer
from oomph.bundle.parts import BundlePart, write_parts

LIMIT = 1_000_000
ABOUT = {
    "title": "a test",
    "python": "{}.{}".format(*sys.version_info[:2]),
    "machine": "x86_64",
    "glibc": "2.17",
    "cpu_flags": [],
    "installed_bytes": 1000,
}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., tuple[Path, tuple[BundlePart, ...]]]:
    """`make(seed)` writes a bundle of incompressible files: its folder and its parts."""

    def bundle(seed: int, **about: object) -> tuple[Path, tuple[BundlePart, ...]]:
        files = {}
        for name, size in (("cache/a", 1_700_000), ("cache/empty", 0), ("bench/b", 900_001)):
            files[name] = tmp_path / f"{seed}-{Path(name).name}"
            files[name].write_bytes(random.Random(seed).randbytes(size))
        folder = tmp_path / f"bundle-{seed}"
        folder.mkdir(exist_ok=True)
        _, parts = write_parts(files, folder, part_bytes=LIMIT, about=ABOUT | about)
        shutil.copy(installer.__file__, folder / "install.py")
        return folder, parts

    return bundle


Make = Callable[..., tuple[Path, tuple[BundlePart, ...]]]


def complaint(bundle: Path, target: Path) -> str:
    """What `install` ends with, run as on a bare machine: no package of this environment is to be
    seen."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(bundle / "install.py"), str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert not target.exists(), "something was written before the parts were found whole"
    (sentence,) = done.stderr.splitlines()
    return sentence


def test_parts_are_full_and_no_larger_than_asked(make: Make) -> None:
    folder, parts = make(1)
    assert [part.n_bytes for part in parts[:-1]] == [LIMIT] * (len(parts) - 1)
    assert 0 < parts[-1].n_bytes <= LIMIT
    assert [(folder / part.name).stat().st_size for part in parts] == [
        part.n_bytes for part in parts
    ]
    assert len(parts) == 3


def test_what_went_in_comes_out(make: Make, tmp_path: Path) -> None:
    folder, _ = make(1)
    installer.unpack(folder, installer.read_manifest(folder), tmp_path / "out")
    for name in ("cache/a", "cache/empty", "bench/b"):
        assert (tmp_path / "out" / name).read_bytes() == (
            tmp_path / f"1-{Path(name).name}"
        ).read_bytes()


def test_the_same_files_give_the_same_bytes_and_others_another_name(make: Make) -> None:
    once, again, other = make(1)[1], make(1)[1], make(2)[1]
    assert once == again
    assert not {part.name for part in once} & {part.name for part in other}


def test_missing_parts_are_named_and_a_strange_one_beside_them(make: Make, tmp_path: Path) -> None:
    (folder, parts), (other, strange) = make(1), make(2)
    for part in parts[1:]:
        (folder / part.name).unlink()
    shutil.copy(other / strange[0].name, folder)
    assert complaint(folder, tmp_path / "to") == (
        f"install: 2 of 3 parts are missing: {parts[1].name}, {parts[2].name} ({strange[0].name} "
        "belongs to another bundle); copy them beside install"
    )


def test_a_part_of_another_bundle_under_this_ones_name_is_named(make: Make, tmp_path: Path) -> None:
    (folder, parts), (other, strange) = make(1), make(2)
    shutil.copy(other / strange[1].name, folder / parts[1].name)
    told = complaint(folder, tmp_path / "to")
    assert told.startswith(
        f"install: {parts[1].name} is a part of bundle {strange[1].name.split('-')[1]}, and this is"
    )


def test_a_cut_and_a_damaged_part_are_named(make: Make, tmp_path: Path) -> None:
    folder, parts = make(1)
    path = folder / parts[1].name
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    assert (
        complaint(folder, tmp_path / "to")
        == f"install: {path.name} has 999,993 bytes of 1,000,000; copy it again"
    )
    path.write_bytes(whole[:500_000] + bytes([whole[500_000] ^ 1]) + whole[500_001:])
    assert complaint(folder, tmp_path / "to").startswith(
        f"install: {path.name} is damaged: its sha256 is "
    )
    path.write_bytes(b"\0" * 100 + whole[100:])
    assert complaint(folder, tmp_path / "to").startswith(
        f"install: {path.name} is damaged: its sha256 is "
    )


def test_a_manifest_that_is_missing_damaged_or_newer_is_named(make: Make, tmp_path: Path) -> None:
    folder, _ = make(1)
    manifest = folder / installer.MANIFEST
    text = manifest.read_text()
    manifest.write_text(text.replace('"oomph_bundle": 1', '"oomph_bundle": 2'))
    assert "has format 2 and install.py knows 1" in complaint(folder, tmp_path / "to")
    manifest.write_text(text[:-20])
    assert "manifest.json is damaged" in complaint(folder, tmp_path / "to")
    manifest.unlink()
    assert "manifest.json is missing" in complaint(folder, tmp_path / "to")


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({"python": "3.99"}, "this bundle is for Python 3.99 and "),
        ({"machine": "aarch64"}, "this bundle is for aarch64 and this machine is x86_64"),
        (
            {"cpu_flags": ["avx9"]},
            "llama.cpp in this bundle needs a CPU with avx9, and this one has none",
        ),
        ({"glibc": "2.99"}, "this bundle needs glibc 2.99 and this system has 2."),
        ({"installed_bytes": 10**18}, "needs 1,000,000,000,000 MB and "),
    ],
)
def test_a_machine_that_cannot_run_it_is_told(
    make: Make, tmp_path: Path, about: dict[str, object], told: str
) -> None:
    folder, _ = make(1, **about)
    assert told in complaint(folder, tmp_path / "to")


def test_a_folder_with_other_files_is_left_alone(make: Make, tmp_path: Path) -> None:
    folder, _ = make(1)
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "thesis.txt").write_text("years of work")
    with pytest.raises(
        installer.InstallError, match="holds other files; name an empty or a new folder"
    ):
        installer.install(folder, tmp_path / "to")
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["thesis.txt"]
