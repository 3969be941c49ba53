"""The machine and the software that points run on, read without touching a card.

Cards are asked for in `oomph.measure`, the only layer with a door to NVML, and handed in.
"""

import ctypes
import os
import platform
import re
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from oomph.records.schema import Environment

PACKAGES: Final = ("oomph", "llama-cpp-python", "numpy", "psutil", "nvidia-ml-py")
_GOVERNOR: Final = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
_CPU_INFO: Final = Path("/proc/cpuinfo")


def read_environment(
    *, backend: str | None = None, gpus: Iterable[Mapping[str, Any]] = (), driver: str | None = None
) -> "Environment":
    """This machine as it is now. `backend` None is what the installed build has: 'cuda' or
    'cpu'."""
    import psutil

    from oomph.records.schema import Environment

    return Environment(
        machine=machine_name(),
        os=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        cpu=_cpu_name(),
        cpu_count=physical_cores(),
        memory_bytes=psutil.virtual_memory().total,
        governor=_first_line(_GOVERNOR),
        backend=backend or installed_backend(),
        gpus=[dict(gpu) for gpu in gpus],
        driver=driver,
        llama_cpp_commit=llama_cpp_commit(),
        packages=_packages(),
    )


def machine_name() -> str:
    """A name for this machine that can be a folder's: `$OOMPH_MACHINE`, else the host's name."""
    name = os.environ.get("OOMPH_MACHINE") or platform.node().split(".")[0]
    return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "machine"


def installed_backend() -> str:
    """'cuda' where the installed llama-cpp-python carries the CUDA backend, 'cpu' otherwise; loads
    nothing."""
    return "cuda" if built_with_cuda() else "cpu"


def built_with_cuda() -> Path | None:
    """The CUDA backend that the installed llama-cpp-python carries itself; None where it was built
    for the CPU."""
    return next(iter(sorted(library_folder().glob("libggml-cuda.so*"))), None)


def physical_cores() -> int:
    """Cores that this process may run on, without their second hardware threads."""
    import psutil

    usable = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, min(psutil.cpu_count(logical=False) or usable, usable))


def library_folder() -> Path:
    """Where the installed wheel has llama.cpp's libraries; an empty path where there is none."""
    spec = find_spec("llama_cpp")
    return Path(spec.origin).parent / "lib" if spec and spec.origin else Path()


def llama_cpp_commit() -> str | None:
    """What ggml says it was built from; ggml-base is small and has no devices, so it may be loaded
    here."""
    for library in sorted(library_folder().glob("libggml-base.so*"))[:1]:
        ggml = ctypes.CDLL(str(library))
        ggml.ggml_commit.restype = ctypes.c_char_p
        return bytes(ggml.ggml_commit()).decode()
    return None


def _packages() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _cpu_name() -> str:
    text = _CPU_INFO.read_text(encoding="utf-8", errors="replace") if _CPU_INFO.exists() else ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match[1] if match else platform.processor() or platform.machine()


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text().splitlines()[0]
    except (OSError, IndexError):
        return None
