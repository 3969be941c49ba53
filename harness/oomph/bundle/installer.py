"""Sets oomph up from a bundle's parts, without a network: `install.py` beside them.

It imports the standard library alone, for it runs before anything else is there. The parts are
checked against the manifest first, all of them, and nothing is written before they are whole.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Final

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
HEADER: Final = "oomph bundle {bundle} part {number}\n"
"""Each part's first line: it tells whose part it is, whatever its name."""
STAMP: Final = "bundle.json"
_BEGUN: Final = ".oomph-install"
_UNPACKED: Final = ".unpacked"
_BLOCK: Final = 1 << 20
_NOT_COMPILED: Final = "site-packages/(pip|.+/tests)/"
"""What no command imports: most of the time that compiling takes."""
_LAUNCHER: Final = """#!/bin/sh
# oomph with the models and backends that came with it; OOMPH_CACHE names another folder for them.
here=$(dirname "$(readlink -f "$0")")
OOMPH_CACHE=${OOMPH_CACHE:-$here/cache} exec "$here/venv/bin/oomph" "$@"
"""


class InstallError(Exception):
    """What a user can mend; `str(error)` is the one sentence that says what and how."""


def main() -> None:
    """The program: exit code 2 and one sentence for what a user can mend."""
    parser = argparse.ArgumentParser(
        prog="install",
        description="Set oomph up from the parts beside this file, without a network.",
    )
    parser.add_argument("folder", type=Path, help="where to: /opt/oomph, ~/oomph, …")
    options = parser.parse_args()
    try:
        install(Path(__file__).resolve().parent, options.folder)
    except InstallError as error:
        sys.exit(f"install: {error}")
    except OSError as error:
        sys.exit(
            f"install: {error.filename or options.folder}: {error.strerror}; mend it and run "
            "install again"
        )


def install(bundle: Path, folder: Path) -> None:
    """Set up in `folder` what the parts in `bundle` hold; nothing is done where that stands
    already."""
    manifest = read_manifest(bundle)
    folder = folder.expanduser().absolute()
    if _installed(folder) == manifest["id"]:
        print(f"bundle {manifest['id']} is installed in {folder}: nothing to do")
        return
    check_machine(manifest, folder)
    check_parts(bundle, manifest)
    print(f"bundle {manifest['id']}: {len(manifest['parts'])} parts are whole", flush=True)
    _begin(folder)
    unpack(bundle, manifest, folder / _UNPACKED)
    _set_up(folder, manifest)
    print(f"ready: {folder}/oomph doctor, or in {folder}: ./oomph demo")


def read_manifest(bundle: Path) -> dict[str, Any]:
    """The manifest beside the parts; InstallError where it is missing or of another version."""
    try:
        manifest: dict[str, Any] = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
        written = manifest["oomph_bundle"]
    except FileNotFoundError:
        raise InstallError(
            f"{bundle / MANIFEST} is missing; copy it from the bundle, beside install"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise InstallError(
            f"{bundle / MANIFEST} is damaged; copy it from the bundle again"
        ) from None
    if written != FORMAT:
        raise InstallError(
            f"{bundle / MANIFEST} has format {written} and install.py knows {FORMAT}; copy both "
            "again"
        )
    return manifest


def check_machine(manifest: dict[str, Any], folder: Path) -> None:
    """InstallError where this machine cannot run what the bundle holds, or has no room for it."""
    running = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if running != manifest["python"]:
        raise InstallError(
            f"this bundle is for Python {manifest['python']} and {sys.executable} is {running}; "
            f"name one that is: PYTHON=/path/to/python{manifest['python']} install {folder}"
        )
    if os.uname().machine != manifest["machine"]:
        raise InstallError(
            f"this bundle is for {manifest['machine']} and this machine is {os.uname().machine}"
        )
    flags = _cpu_flags()
    if flags and (missing := [flag for flag in manifest["cpu_flags"] if flag not in flags]):
        raise InstallError(
            f"llama.cpp in this bundle needs a CPU with {', '.join(missing)}, and this one has none"
        )
    glibc = _glibc()
    if glibc < _version(manifest["glibc"]):
        raise InstallError(
            f"this bundle needs glibc {manifest['glibc']} and this system has "
            f"{'.'.join(map(str, glibc)) or 'none'}; take a newer distribution"
        )
    there = next(place for place in (folder, *folder.parents) if place.exists())
    needed, free = manifest["installed_bytes"], shutil.disk_usage(there).free
    if free < needed:
        raise InstallError(
            f"{folder} needs {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free on its disk"
        )


def check_parts(bundle: Path, manifest: dict[str, Any]) -> None:
    """InstallError naming the parts that are missing, or the first that is damaged or of another
    bundle."""
    parts, mine = manifest["parts"], manifest["id"]
    strange = [
        path.name
        for path in sorted(bundle.glob("oomph-*-part*"))
        if _owner(path) not in (mine, None)
    ]
    if missing := [part["name"] for part in parts if not (bundle / part["name"]).is_file()]:
        others = f" ({', '.join(strange)} belongs to another bundle)" if strange else ""
        raise InstallError(
            f"{len(missing)} of {len(parts)} parts are missing: {', '.join(missing)}{others}; "
            "copy them beside install"
        )
    for part in parts:
        path = bundle / part["name"]
        if (owner := _owner(path)) not in (mine, None):
            raise InstallError(
                f"{part['name']} is a part of bundle {owner}, and this is {mine}; copy the right "
                "one"
            )
        if (size := path.stat().st_size) != part["n_bytes"]:
            raise InstallError(
                f"{part['name']} has {size:,} bytes of {part['n_bytes']:,}; copy it again"
            )
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != part["sha256"]:
            raise InstallError(
                f"{part['name']} is damaged: its sha256 is {digest[:16]}… and not "
                f"{part['sha256'][:16]}…; copy it again"
            )
    for name in strange:
        print(f"left aside: {name} belongs to another bundle")


def _owner(part: Path) -> str | None:
    """The bundle that a part's first line names; None for no such line."""
    with part.open("rb") as file:
        words = file.readline(200).decode("ascii", "replace").split()
    return (
        words[2]
        if len(words) == 5 and words[:2] == ["oomph", "bundle"] and words[3] == "part"
        else None
    )


def _installed(folder: Path) -> str | None:
    """The id of the bundle that stands in `folder`, whole and startable."""
    try:
        found = str(json.loads((folder / STAMP).read_text(encoding="utf-8"))["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    python = folder / "venv" / "bin" / "python"
    return found if os.access(python, os.X_OK) and (folder / "oomph").is_file() else None


def _begin(folder: Path) -> None:
    """Claim `folder`; InstallError where it holds something else."""
    ours = (folder / _BEGUN).exists() or (folder / STAMP).exists()
    if folder.exists() and not ours and any(folder.iterdir()):
        raise InstallError(f"{folder} holds other files; name an empty or a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _BEGUN).touch()
    (folder / STAMP).unlink(missing_ok=True)
    shutil.rmtree(folder / _UNPACKED, ignore_errors=True)
    shutil.rmtree(folder / "venv", ignore_errors=True)


def unpack(bundle: Path, manifest: dict[str, Any], folder: Path) -> None:
    """Write the files of the manifest, and no others, below `folder`; each is held against its
    sha256."""
    expected = {file["path"]: file["sha256"] for file in manifest["files"]}
    joined = io.BufferedReader(
        _Joined([bundle / part["name"] for part in manifest["parts"]]), _BLOCK
    )
    with (
        gzip.GzipFile(fileobj=joined) as stream,
        tarfile.open(fileobj=stream, mode="r|") as archive,
    ):
        for member in archive:
            source = archive.extractfile(member)
            digest = expected.pop(member.name, None)
            if source is None or digest is None:
                raise InstallError(
                    f"the parts hold {member.name!r}, which the manifest does not name; make them "
                    "again"
                )
            target = folder / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            if _copy(source, target) != digest:
                raise InstallError(
                    f"{member.name} in the parts is not what the manifest says; make the bundle "
                    "again"
                )
    if expected:
        raise InstallError(f"the parts do not hold {min(expected)}; make the bundle again")


def _copy(source: IO[bytes], target: Path) -> str:
    digest = hashlib.sha256()
    with target.open("wb") as file:
        while block := source.read(_BLOCK):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def _set_up(folder: Path, manifest: dict[str, Any]) -> None:
    unpacked = folder / _UNPACKED
    wheels = sorted((unpacked / "wheels").glob("*.whl"))
    venv.EnvBuilder(symlinks=True, with_pip=False).create(
        folder / "venv"
    )  # pip comes as a wheel: no ensurepip needed
    python = str(folder / "venv" / "bin" / "python")
    pip = next(wheel for wheel in wheels if wheel.name.startswith("pip-"))
    quiet = [
        "--isolated",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--root-user-action",
        "ignore",
    ]
    local = ["--no-index", "--no-deps", "--no-cache-dir", "--no-compile"]
    _run([python, f"{pip}/pip", *quiet, *local, *map(str, wheels)])
    compile_all = [
        python,
        "-m",
        "compileall",
        "-q",
        "-j",
        "0",
        "-x",
        _NOT_COMPILED,
        str(folder / "venv" / "lib"),
    ]  # on all cores; pip takes one
    subprocess.run(
        compile_all, stdout=subprocess.DEVNULL, check=False, env=_bare()
    )  # what nobody imports need not compile
    print(f"{len(wheels)} wheels are installed in {folder / 'venv'}", flush=True)
    shutil.rmtree(unpacked / "wheels")
    for path in _files(unpacked):
        target = folder / path.relative_to(unpacked)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    shutil.rmtree(unpacked)
    launcher = folder / "oomph"
    launcher.write_text(_LAUNCHER, encoding="utf-8")
    launcher.chmod(0o755)
    _run([python, "-c", "import llama_cpp"])
    print(f"llama.cpp loads; the demo model is {_run([str(launcher), 'demo-model'])}", flush=True)
    if (folder / "cache" / "cuda" / "backend").is_dir():
        _set_up_cuda(launcher)
    shutil.copyfile(Path(__file__).resolve().parent / MANIFEST, folder / STAMP)
    (folder / _BEGUN).unlink()
    print(f"installed: {manifest['title']}")


def _set_up_cuda(launcher: Path) -> None:
    """Let llama.cpp have the CUDA backend. Without NVIDIA's libraries or a driver that fails, and
    the rest serves."""
    done = subprocess.run(
        [str(launcher), "setup", "cuda"], capture_output=True, text=True, check=False, env=_bare()
    )
    print((done.stdout + done.stderr).strip())
    if done.returncode:
        print(
            f"the CUDA backend is not set up; mend that, then run {launcher} setup cuda", flush=True
        )


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _run(command: list[str]) -> str:
    """What a command printed; InstallError with its last line where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_bare())
    if done.returncode:
        last = (
            (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        )[-1]
        raise InstallError(f"`{' '.join(command[:3])} …` failed: {last}")
    return done.stdout.strip()


def _bare() -> dict[str, str]:
    """The environment without what would change how Python, pip or oomph behave."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "PYTHON", "OOMPH_"))
    }


def _cpu_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    return next(
        (set(line.split()) for line in text.splitlines() if line.startswith("flags")), set()
    )


def _glibc() -> tuple[int, ...]:
    try:
        return _version((os.confstr("CS_GNU_LIBC_VERSION") or "").removeprefix("glibc "))
    except (ValueError, OSError):  # musl has no such name
        return ()


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(".") if word)


class _Joined(io.RawIOBase):
    """The parts' contents as one stream, without their first lines."""

    def __init__(self, parts: list[Path]) -> None:
        self._parts = iter(parts)
        self._file: IO[bytes] | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self._file is not None:
                if n := self._file.readinto(buffer):  # type: ignore[attr-defined]
                    return int(n)
                self._file.close()
            part = next(self._parts, None)
            if part is None:
                self._file = None
                return 0
            self._file = part.open("rb")
            self._file.readline()


if __name__ == "__main__":
    main()
