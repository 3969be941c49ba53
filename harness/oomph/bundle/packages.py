"""Gathers oomph's wheel and those that it needs, for a Python that need not be this one.

pip downloads for another Python but follows the markers (`python_version < "3.13"`) of the one it
runs in. So what it brought is held against every wheel's own requirements, as that Python will read
them, and what lacks is fetched too.
"""

import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Sequence
from email.parser import HeaderParser
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from oomph.errors import ToolchainError
from oomph.frozen import frozen

_MACHINE: Final = "x86_64"
_ROUNDS: Final = 5
"""How often what lacks is fetched: each round can only bring what the one before asked for."""


@frozen
class Target:
    """The Python (`3.12`) and the glibc, as (2, 34), of the machine to be."""

    python: str
    glibc: tuple[int, int]

    def markers(self) -> dict[str, str]:
        """PEP 508's markers as they read there."""
        return {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "os_name": "posix",
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "sys_platform": "linux",
            "platform_machine": _MACHINE,
            "platform_release": "",
            "platform_version": "",
        }

    def pip_options(self) -> list[str]:
        """What makes pip choose wheels for it; a glibc takes wheels for every older one."""
        major, minor = self.glibc
        names = [f"manylinux_{major}_{older}_{_MACHINE}" for older in range(5, minor + 1)]
        names += [f"manylinux2014_{_MACHINE}", f"linux_{_MACHINE}"]
        tag = f"cp{self.python.replace('.', '')}"
        abis = [option for abi in (tag, "abi3", "none") for option in ("--abi", abi)]
        platforms = [option for name in names for option in ("--platform", name)]
        return [
            "--only-binary",
            ":all:",
            "--python-version",
            self.python,
            "--implementation",
            "cp",
            *abis,
            *platforms,
        ]


def own_wheel(folder: Path) -> Path:
    """oomph itself as a wheel in `folder`: built where it is installed from a checkout, else packed
    from its files."""
    installed = distribution("oomph")
    if (checkout := checkout_of(installed)) is None:
        return _packed(installed, folder)
    command = ["wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(checkout)]
    _pip(command, "oomph's own wheel could not be built")
    return next(folder.glob("oomph-*.whl"))


def checkout_of(installed: Distribution) -> Path | None:
    """The folder that an editable installation points at; None for an ordinary one."""
    origin = json.loads(installed.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(origin["url"]).path))


def fetch_wheels(
    oomph: Path, roots: Sequence[Path | str], target: Target, folder: Path
) -> list[Path]:
    """All wheels that oomph's own with all its parts and `roots` (wheels, or requirements) take on
    `target`, into `folder`; sorted.

    ToolchainError where pip cannot bring them, or where they do not fit together on that Python.
    """
    asked = [f"{oomph}[all]", *(str(root) for root in roots)]
    for _ in range(_ROUNDS):
        _pip(
            ["download", "--quiet", "--dest", str(folder), *target.pip_options(), *asked],
            f"the wheels for Python {target.python} could not be fetched",
        )
        wheels = sorted(folder.glob("*.whl"))
        lacking = unmet(wheels, target, [("oomph", "all")])
        if not lacking:
            return wheels
        asked += lacking
    raise ToolchainError(
        f"the wheels for Python {target.python} do not fit together: {', '.join(lacking)} is not "
        "met"
    )


def unmet(
    wheels: Iterable[Path], target: Target, extras: Iterable[tuple[str, str]] = ()
) -> list[str]:
    """The requirements of `wheels` that none of them meets on `target`, sorted.

    An extra's count where a wheel asks for it, or where it is among `extras`, as (name, extra).
    """
    metadata = [HeaderParser().parsestr(_metadata(wheel)) for wheel in wheels]
    there = {canonicalize_name(one["Name"]): one["Version"] for one in metadata}
    needs = {
        canonicalize_name(one["Name"]): [
            Requirement(text) for text in one.get_all("Requires-Dist", [])
        ]
        for one in metadata
    }
    wanted = {(name, "") for name in there} | set(extras)
    lacking: set[str] = set()
    to_read = list(wanted)
    while to_read:
        name, extra = to_read.pop()
        for need in needs.get(canonicalize_name(name), []):
            if need.marker and not need.marker.evaluate({**target.markers(), "extra": extra}):
                continue
            found = there.get(canonicalize_name(need.name))
            if found is None or not need.specifier.contains(found, prereleases=True):
                lacking.add(f"{need.name}{_extras(need)}{need.specifier}")
            fresh = {(canonicalize_name(need.name), one) for one in need.extras} - wanted
            wanted |= fresh
            to_read += fresh
    return sorted(lacking)


def _extras(need: Requirement) -> str:
    return f"[{','.join(sorted(need.extras))}]" if need.extras else ""


def _metadata(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return archive.read(name).decode("utf-8")


def _packed(installed: Distribution, folder: Path) -> Path:
    """The wheel that an ordinary installation came from, made again from its files: pure Python, so
    nothing is lost."""
    wheel = folder / f"oomph-{installed.version}-py3-none-any.whl"
    info = f"oomph-{installed.version}.dist-info/"
    made_here = {
        f"{info}{name}" for name in ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")
    }
    lines = io.StringIO()
    record = csv.writer(lines, lineterminator="\n")
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(installed.files or (), key=str):
            name = file.as_posix()
            if name.startswith("..") or name.endswith(".pyc") or name in made_here:
                continue
            content = Path(str(file.locate())).read_bytes()
            digest = (
                base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            )
            archive.writestr(name, content)
            record.writerow((name, f"sha256={digest}", len(content)))
        record.writerow((f"{info}RECORD", "", ""))
        archive.writestr(f"{info}RECORD", lines.getvalue())
    return wheel


def _pip(arguments: list[str], failure: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [
            line for line in done.stderr.splitlines() if line.startswith("ERROR")
        ] or done.stderr.splitlines()
        raise ToolchainError(
            f"{failure} ({(errors or ['pip said nothing'])[-1].strip()}); mend pip or its index"
        )
