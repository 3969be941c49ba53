"""Writes a bundle: what oomph needs without a network, in parts, with its installer.

On the target that takes a shell, its Python and glibc; no pip, no compiler, no network.
"""

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import Final, Self

from oomph.bundle import installer
from oomph.bundle.packages import Target, checkout_of, fetch_wheels, own_wheel
from oomph.bundle.parts import SMALLEST_PART, BundlePart, write_parts, written_parts
from oomph.bundle.portable import CPU_FLAGS, is_built, needed_glibc, portable_wheel
from oomph.cuda.backend import CudaBackend, fetch_backend, installed_backend
from oomph.cuda.compatibility import parse_capability
from oomph.cuda.cut import cut_library
from oomph.cuda.fatbin import Version, dotted
from oomph.cuda.native import compile_native
from oomph.cuda.nvidia import cuda_major, fetch_libraries, fetched_libraries
from oomph.errors import ConfigError, ToolchainError
from oomph.files import EXECUTABLE, write_file
from oomph.frozen import frozen
from oomph.models.demo import dense_model
from oomph.paths import cache_folder
from oomph.units import parse_size

OLDEST_PYTHON: Final = (3, 11)
_SHELL: Final = """#!/bin/sh
# Sets oomph up from the parts beside this file, without a network:  install /opt/oomph
here=$(cd "$(dirname "$0")" && pwd) || exit 2
for python in ${PYTHON:-python@PYTHON@ python3 python}; do
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
    if [ "$version" = "@PYTHON@" ]; then
        exec "$python" -I "$here/install.py" "$@"
    fi
done
echo "install: this bundle is for Python @PYTHON@, and ${PYTHON:-what PATH has} is none;" \\
    "name one: PYTHON=/path/to/python@PYTHON@ $0 $*" >&2
exit 2
"""


@frozen
class Contents:
    """What goes into a bundle.

    `python` is the target's (`3.12`). With `cuda` the CUDA backend goes along, with native code for
    cards of the compute capabilities `cards` alone where there are any, and NVIDIA's libraries that
    it links unless `system_cuda` says that the target has them. `sweeps` is a folder of sweep
    files; the folder `claims` beside it goes along.
    """

    python: str
    cuda: bool = False
    cards: Sequence[Version] = ()
    system_cuda: bool = False
    sweeps: Path | None = None

    @classmethod
    def named(
        cls, *, python: str, cuda: bool, cards: str | None, system_cuda: bool, sweeps: Path | None
    ) -> Self:
        """The contents by `parse_cards`' text, with the checkout's sweeps where none are named."""
        return cls(
            python=python,
            cuda=cuda,
            cards=parse_cards(cards),
            system_cuda=system_cuda,
            sweeps=sweeps or checkout_sweeps(),
        )


@frozen
class Bundle:
    """A bundle on disk."""

    id: str
    folder: Path
    title: str
    parts: tuple[BundlePart, ...]


def write_bundle(
    folder: Path,
    contents: Contents,
    *,
    part_bytes: int,
    say: Callable[[str], None],
    llama_wheel: Path | None = None,
) -> Bundle:
    """Write the parts, the manifest and `install` to `folder`, which is new, empty or an earlier
    bundle's.

    `say` hears what takes long. `llama_wheel` is a llama-cpp-python to take instead of the portable
    build, with the instructions that it happens to have. Raises ConfigError for contents or a
    folder that cannot be, ToolchainError where something cannot be fetched or built.
    """
    _check(contents)
    _claim(folder)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder) as scratch:
        wheels, files = Path(scratch) / "wheels", _models() | _sweeps(contents.sweeps)
        wheels.mkdir()
        if llama_wheel is None and not is_built():
            say("building llama.cpp for any CPU with AVX2, once: about 7 minutes on 2 cores")
        llama = llama_wheel or portable_wheel()
        target = Target(python=contents.python, glibc=max(needed_glibc(llama), (2, 28)))
        title = [
            f"oomph {distribution('oomph').version} for Python {contents.python}",
            "llama.cpp for " + ("this machine's CPU" if llama_wheel else "any CPU with AVX2"),
        ]
        if contents.cuda:
            files |= _backend(contents, Path(scratch), say)
            title.append(
                f"its CUDA backend for {' and '.join(map(dotted, contents.cards)) or 'all cards'}"
            )
            title += [] if contents.system_cuda else ["NVIDIA's CUDA libraries"]
        gathered = fetch_wheels(own_wheel(wheels), [llama, "pip"], target, wheels)
        files |= {f"wheels/{wheel.name}": wheel for wheel in gathered}
        about = {
            "title": ", ".join(title),
            "python": contents.python,
            "machine": "x86_64",
            "glibc": ".".join(map(str, target.glibc)),
            "cpu_flags": [] if llama_wheel else list(CPU_FLAGS),
            "installed_bytes": _installed_bytes(files),
        }
        bundle, parts = write_parts(files, folder, part_bytes=part_bytes, about=about)
    _write_installer(folder, contents.python)
    return Bundle(id=bundle, folder=folder, title=str(about["title"]), parts=parts)


def checkout_sweeps() -> Path | None:
    """The sweeps of the checkout that oomph is installed from; None for an ordinary installation,
    which has none."""
    checkout = checkout_of(distribution("oomph"))
    sweeps = checkout / "bench" / "sweeps" if checkout else None
    return sweeps if sweeps and sweeps.is_dir() else None


def parse_cards(text: str | None) -> tuple[Version, ...]:
    """`'9.0,12.0'` or `'90,120'` as ((9, 0), (12, 0)), each once; ConfigError for anything else."""
    words = [word.strip().removeprefix("sm_") for word in (text or "").split(",") if word.strip()]
    dots = [word if "." in word else f"{word[:-1]}.{word[-1:]}" for word in words]
    try:
        return tuple(sorted({parse_capability(word) for word in dots}))
    except ValueError:
        raise ConfigError(
            f"--cuda-arch {text!r} is no compute capability; give it as 9.0, several by comma"
        ) from None


def parse_part_size(text: str) -> int:
    """`'60MB'` in bytes; ConfigError for what is no size, or one below `SMALLEST_PART`."""
    try:
        part_bytes = parse_size(text)
    except ValueError:
        raise ConfigError(f"--parts {text!r} is no size; give it as 60MB or 2GB") from None
    if part_bytes < SMALLEST_PART:
        raise ConfigError(f"--parts {text} is too small; give at least {SMALLEST_PART / 1e6:.0f}MB")
    return part_bytes


def _check(contents: Contents) -> None:
    try:
        major, minor = map(int, contents.python.split("."))
    except ValueError:
        raise ConfigError(
            f"--python {contents.python!r} is no version; give two numbers, as 3.12"
        ) from None
    if (major, minor) < OLDEST_PYTHON:
        raise ConfigError(
            f"--python {contents.python} is too old: oomph needs "
            f"{OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]}"
        )
    if (contents.cards or contents.system_cuda) and not contents.cuda:
        raise ConfigError(
            "--cuda-arch and --system-cuda say what of CUDA goes along; they need --cuda"
        )
    if contents.sweeps is not None and not contents.sweeps.is_dir():
        raise ConfigError(f"--sweeps {contents.sweeps} is no folder; name one with sweep files")


def _claim(folder: Path) -> None:
    """Make `folder`, or take an earlier bundle out of it; ConfigError where it holds something
    else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        earlier = written_parts(folder)
        if earlier is None and any(folder.iterdir()):
            raise ConfigError(f"{folder} holds other files; name a new folder for the bundle")
        for name in (*(earlier or ()), installer.MANIFEST, "install", "install.py"):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or folder} cannot be written ({error.strerror}); name another"
        ) from None


def _models() -> dict[str, Path]:
    """The dense model, of which the target makes the demo model in seconds."""
    model = dense_model()
    return {f"cache/models/{model.name}": model}


def _sweeps(folder: Path | None) -> dict[str, Path]:
    if folder is None:
        return {}
    found = {f"bench/sweeps/{file.name}": file for file in folder.glob("*.toml")}
    return found | {
        f"bench/claims/{file.name}": file for file in folder.parent.glob("claims/*.toml")
    }


def _backend(contents: Contents, scratch: Path, say: Callable[[str], None]) -> dict[str, Path]:
    """The CUDA backend's files of the cache, cut where that is asked for, and NVIDIA's
    libraries."""
    try:
        backend = installed_backend()
    except ToolchainError:
        say("fetching llama.cpp's prebuilt CUDA backend by npm, once (143 MB)")
        backend = fetch_backend()
    files = _cached(backend.path.parent)
    if contents.cards:
        files |= _cut(backend, contents.cards, scratch, say)
    if not contents.system_cuda:
        major = cuda_major(backend.path)
        files |= _cached(fetched_libraries(major) or fetch_libraries(major, say))
    return files


def _cut(
    backend: CudaBackend, cards: Sequence[Version], scratch: Path, say: Callable[[str], None]
) -> dict[str, Path]:
    """The backend with native code for `cards`, compiled where it has PTX alone, and what tells of
    it."""
    compiled: dict[int, bytes] = {}
    for card in cards:
        for offset, entry in compile_native(backend.path, card, say).items():
            compiled[offset] = compiled.get(offset, b"") + entry
    library, origin = scratch / backend.path.name, scratch / "origin.txt"
    cut_library(backend.path, library, cards, compiled)
    names = " and ".join(map(dotted, cards))
    origin.write_text(
        f"{backend.ggml_version}\n{backend.source}, its GPU code for {names} alone\n",
        encoding="utf-8",
    )
    return {
        _in_cache(backend.path): library,
        _in_cache(backend.path.with_name("origin.txt")): origin,
    }


def _cached(folder: Path) -> dict[str, Path]:
    return {_in_cache(file): file for file in folder.iterdir() if file.is_file()}


def _in_cache(file: Path) -> str:
    return f"cache/{file.relative_to(cache_folder()).as_posix()}"


def _installed_bytes(files: Mapping[str, Path]) -> int:
    """What the target needs at most: the files, the wheels unpacked with their bytecode, the demo
    model."""
    total = 0
    for path, source in files.items():
        size = source.stat().st_size
        total += size
        if path.startswith("wheels/"):
            with zipfile.ZipFile(source) as archive:
                total += sum(member.file_size for member in archive.infolist())
                total += sum(
                    member.file_size
                    for member in archive.infolist()
                    if member.filename.endswith(".py")
                )
        elif path.startswith("cache/models/"):
            total += size
    return total


def _write_installer(folder: Path, python: str) -> None:
    shutil.copyfile(Path(installer.__file__), folder / "install.py")
    shell = write_file(folder / "install", _SHELL.replace("@PYTHON@", python))
    shell.chmod(EXECUTABLE)
