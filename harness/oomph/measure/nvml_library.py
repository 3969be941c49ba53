"""From libnvidia-ml.so.1 to pynvml with NVML initialised, or one sentence why not.

Apart from the door because it is about a library and a driver, not about cards.
"""

import ctypes
import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Final

from oomph.errors import ToolchainError
from oomph.extras import pip_install

NOT_THERE: Final = frozenset({9, 12})
"""NVML_ERROR_DRIVER_NOT_LOADED and LIBRARY_NOT_FOUND: a machine without NVIDIA's driver, which is
no fault."""
_WAYS_OUT: Final = {
    4: "run it as a user who may open /dev/nvidiactl",
    18: "the driver was updated while its kernel module was loaded: reboot, or unload the nvidia "
    "modules and load them",
    999: "restart the container if it runs in one (it loses its cards when systemd reloads), else "
    "the driver",
}


class NvmlError(ToolchainError):
    """NVML cannot be used; `is_absent` where there is no driver at all, `way_out` is what mends
    it."""

    def __init__(self, reason: str, way_out: str, *, is_absent: bool) -> None:
        super().__init__(f"NVML does not answer ({reason}); {way_out}")
        self.reason, self.way_out, self.is_absent = reason, way_out, is_absent


def open_library(library: Path | None = None) -> ModuleType:
    """pynvml, with NVML initialised; `library` is another libnvidia-ml.so.1 to ask. NvmlError
    where it cannot be."""
    module = _load(library)
    try:
        module.nvmlInit()
    except module.NVMLError as error:
        way_out = _WAYS_OUT.get(error.value, "install NVIDIA's driver, or use --phantom")
        raise NvmlError(str(error), way_out, is_absent=error.value in NOT_THERE) from None
    return module


def _pynvml() -> ModuleType:
    try:
        import pynvml
    except ModuleNotFoundError:
        way_out = f"run `{pip_install('pynvml')}` to see this machine's cards"
        raise NvmlError("nvidia-ml-py is not installed", way_out, is_absent=True) from None
    return pynvml  # type: ignore[no-any-return]


def _load(library: Path | None) -> ModuleType:
    """pynvml, or, for another library, a copy of the module of its own: pynvml keeps one library in
    a global."""
    if library is None:
        return _pynvml()
    found, name = importlib.util.find_spec("pynvml"), f"pynvml_{threading.get_ident()}"
    spec = (
        importlib.util.spec_from_file_location(name, found.origin)
        if found and found.origin
        else None
    )
    if spec is None or spec.loader is None:
        raise ToolchainError(f"nvidia-ml-py is not installed; run `{pip_install('pynvml')}`")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # it looks itself up while it is imported
    spec.loader.exec_module(module)
    del sys.modules[spec.name]
    module.nvmlLib = ctypes.CDLL(str(library))  # type: ignore[attr-defined]
    return module
