"""llama.cpp's own count of what a configuration takes, with nothing allocated (`no_alloc`).

The model's file may be sparse: only its header is read. A child process asks the installed
llama-cpp-python, or the library of another build whose header is at hand; what it aborts of, or
hangs at, is one sentence here.
"""

import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, Final

from oomph.config import MAX_LAYERS, RunConfig
from oomph.errors import ToolchainError
from oomph.foreign import read_bytes
from oomph.frozen import frozen
from oomph.measure.child import Child
from oomph.measure.executors import QUIET
from oomph.measure.logs.reported import read_buffers
from oomph.measure.worker import protocol

WORKER: Final = ("-P", "-m", "oomph.measure.worker.dry_run")
TIMEOUT_S: Final = 120.0
"""How long a model's load and a context may take each; most take under a second."""
_CACHE: Final = re.compile(r"size = {1,12}([0-9.]{1,12}) MiB \( {0,9}[0-9]{1,9} cells")


@frozen
class Counted:
    """What llama.cpp counts, in MiB as printed: compute buffers and recurrent states by device, and
    the KV caches of all devices together, for a cache that is not allocated is on none."""

    compute_mib: Mapping[str, float]
    recurrent_mib: Mapping[str, float]
    kv_cache_mib: float


@frozen
class Llama:
    """The llama.cpp that is asked: the installed wheel, or another's `library` with its `header`.

    `backend_path` is a ggml backend to load as a plug-in, `environment` what to add to the
    child's.
    """

    library: Path | None = None
    header: Path | None = None
    backend_path: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def dry_run(
    path: Path,
    arch: str,
    configs: Sequence[RunConfig],
    *,
    llama: Llama | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Iterator[Counted]:
    """What llama.cpp counts under each of `configs`, which share one load of the file.

    ToolchainError, saying at what, where llama.cpp refuses, aborts or hangs.
    """
    llama = llama or Llama()
    with tempfile.TemporaryFile() as log:
        child = Child(WORKER, environment=QUIET | dict(llama.environment), log=log)
        try:
            child.send(_job(path, arch, configs[0], llama))
            for event in (protocol.READY, protocol.LOADED):
                _await(child, event, timeout_s, log.fileno())
            for config in configs:
                child.send(config.llama_params("context") | {"n_threads": 1, "n_threads_batch": 1})
                yield read_counted(_await(child, protocol.COUNTED, timeout_s, log.fileno())["log"])
        finally:
            child.end(at_once=True)


def read_counted(lines: Sequence[str]) -> Counted:
    """The buffer lines of one context."""
    buffers = read_buffers(lines)
    caches = (match for line in lines if "kv_cache" in line and (match := _CACHE.search(line)))
    return Counted(
        compute_mib={device: sizes[-1] for device, sizes in buffers.compute_mib.items()},
        recurrent_mib={device: sum(sizes) for device, sizes in buffers.recurrent_mib.items()},
        kv_cache_mib=sum(float(match[1]) for match in caches),
    )


def _job(path: Path, arch: str, config: RunConfig, llama: Llama) -> dict[str, Any]:
    header = (
        b""
        if llama.header is None
        else read_bytes(llama.header, error=ToolchainError, remedy="name a llama.h")
    )
    return {
        "library": str(llama.library or ""),
        "header": header.decode(errors="replace"),
        "backend_path": str(llama.backend_path or ""),
        "parent_pid": os.getpid(),
        "model_path": str(path),
        "arch": arch,
        "params": config.llama_params("model") | {"no_alloc": True, "use_extra_bufts": False},
        "load_mode": "none",
        "tensor_split": config.tensor_split,
        "override_tensor": config.override_tensor,
        "n_cpu_moe": min(config.n_cpu_moe, MAX_LAYERS),
        "n_expert_used": config.n_expert_used,
    }


def _await(child: Child, wanted: str, timeout_s: float, log: int) -> Mapping[str, Any]:
    """What the child says with the event `wanted`; ToolchainError where it says another, ends or
    hangs."""
    said = child.event(time.monotonic() + timeout_s)
    if said is None:
        end = f"did not answer in {timeout_s:.0f} s" if child.timed_out else "ended"
        last = _last_line(log)
        raise ToolchainError(
            f"llama.cpp {end} before the dry run had {wanted}{': ' if last else ''}{last}"
        )
    if said["event"] != wanted:
        raise ToolchainError(f"llama.cpp refuses the dry run: {said.get('message', said['event'])}")
    return said


def _last_line(log: int) -> str:
    size = os.fstat(log).st_size
    tail = os.pread(log, 4096, max(0, size - 4096)).decode(errors="replace").splitlines()
    return tail[-1].strip() if tail else ""
