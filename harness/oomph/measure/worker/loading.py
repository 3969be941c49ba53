"""From a job to a loaded model: llama.cpp's libraries, its log, and its load knobs."""

import ctypes
import os
from typing import Any

from oomph.measure.worker.protocol import Job

LOAD_MODES = {"auto": -1, "none": 0, "mmap": 1, "mlock": 2, "mmap+mlock": 3, "dio": 4}
LOG_DEBUG, LOG_CONTINUED = 1, 5
DEVICE_TYPE_GPU = 1


class StageError(Exception):
    """llama.cpp returned an error; `stage` says at what."""

    def __init__(self, stage: str, message: str) -> None:
        super().__init__(message)
        self.stage = stage


class TensorOverride(ctypes.Structure):
    """llama_model_tensor_buft_override, which llama-cpp-python leaves opaque."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buft", ctypes.c_void_p))


def import_llama() -> tuple[Any, Any]:
    """llama_cpp's low-level API and the log callback to keep alive: unbuffered, so that each line
    is out before an abort, and without the debug lines, which list every node of every reserved
    graph."""
    import llama_cpp.llama_cpp as api

    shown = True

    @api.llama_log_callback  # type: ignore[untyped-decorator]
    def log(level: int, text: bytes, _: Any) -> None:
        nonlocal shown
        shown = shown if level == LOG_CONTINUED else level != LOG_DEBUG
        if shown:
            os.write(2, text)

    api.llama_log_set(log, ctypes.c_void_p(0))
    return api, log


def load_ggml(api: Any) -> Any:
    """ggml's own library beside libllama, for the few calls that llama.h does not carry."""
    return set_up_ggml(
        ctypes.CDLL(os.path.join(os.path.dirname(api.__file__), "lib", "libggml.so.0"))
    )


def set_up_ggml(ggml: Any) -> Any:
    """A library of ggml's, with the types of the calls that are made."""
    for name, arguments in {
        "ggml_backend_load": [ctypes.c_char_p],
        "ggml_backend_dev_get": [ctypes.c_size_t],
        "ggml_backend_dev_buffer_type": [ctypes.c_void_p],
        "ggml_backend_cpu_buffer_type": [],
    }.items():
        getattr(ggml, name).restype, getattr(ggml, name).argtypes = ctypes.c_void_p, arguments
    size = ctypes.POINTER(ctypes.c_size_t)
    ggml.ggml_backend_dev_memory.restype, ggml.ggml_backend_dev_memory.argtypes = (
        None,
        [ctypes.c_void_p, size, size],
    )
    ggml.ggml_backend_dev_type.restype, ggml.ggml_backend_dev_type.argtypes = (
        ctypes.c_int,
        [ctypes.c_void_p],
    )
    ggml.ggml_backend_dev_name.restype, ggml.ggml_backend_dev_name.argtypes = (
        ctypes.c_char_p,
        [ctypes.c_void_p],
    )
    ggml.ggml_backend_dev_count.restype, ggml.ggml_backend_dev_count.argtypes = ctypes.c_size_t, []
    ggml.ggml_backend_buft_name.restype, ggml.ggml_backend_buft_name.argtypes = (
        ctypes.c_char_p,
        [ctypes.c_void_p],
    )
    return ggml


def load_plugin(ggml: Any, path: str) -> int | None:
    """A backend that is a plug-in, by its file: the address of its registry, None where it cannot
    be loaded."""
    registry: int | None = ggml.ggml_backend_load(os.fsencode(path))
    return registry


def start_backends(api: Any, ggml: Any, path: str | None) -> None:
    """llama.cpp's backends, with the plug-in at `path` if one is named; StageError where that
    cannot be loaded."""
    if path and not load_plugin(ggml, path):
        raise StageError("backend", f"ggml could not load the backend {path}")
    api.llama_backend_init()


def free_bytes(ggml: Any) -> dict[str, int]:
    """What each card has left, as CUDA says it (cudaMemGetInfo through ggml), by llama.cpp's name;
    not the CPU's.

    Once the model is loaded the CUDA context is there: asking makes none.
    """
    found = {}
    for index in range(ggml.ggml_backend_dev_count()):
        device, free, total = ggml.ggml_backend_dev_get(index), ctypes.c_size_t(), ctypes.c_size_t()
        if ggml.ggml_backend_dev_type(device) == DEVICE_TYPE_GPU:
            ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
            found[ggml.ggml_backend_dev_name(device).decode()] = free.value
    return found


def tensor_overrides(ggml: Any, job: Job) -> Any:
    """The `pattern=buffer type` list of `override_tensor`, then the experts of the first
    `n_cpu_moe` layers on the CPU (the pattern is that of llama.cpp's --n-cpu-moe), ended by an
    empty item; None where there are none."""
    types = {}
    for index in range(ggml.ggml_backend_dev_count()):
        buft = ggml.ggml_backend_dev_buffer_type(ggml.ggml_backend_dev_get(index))
        types[ggml.ggml_backend_buft_name(buft).decode()] = buft
    items = []
    for item in filter(None, (job["override_tensor"] or "").split(",")):
        pattern, _, name = item.rpartition("=")
        if name not in types:
            raise StageError(
                "config",
                f"override_tensor names the buffer type {name!r}; there are {', '.join(types)}",
            )
        items.append(TensorOverride(pattern.encode(), types[name]))
    cpu = ggml.ggml_backend_cpu_buffer_type()
    pattern = r"blk\.%d\.ffn_(up|down|gate|gate_up)_(ch|)exps"
    items.extend(
        TensorOverride((pattern % layer).encode(), cpu) for layer in range(job["n_cpu_moe"])
    )
    return (TensorOverride * (len(items) + 1))(*items) if items else None


def model_params(api: Any, ggml: Any, job: Job) -> tuple[Any, list[Any]]:
    """llama_model_params for the job, and the arrays that must outlive the load."""
    params, kept = api.llama_model_default_params(), []
    for name, value in job["params"].items():
        setattr(params, name, value)
    params.load_mode = LOAD_MODES[job["load_mode"]]
    if job["tensor_split"]:
        shares = list(job["tensor_split"]) + [0.0] * (
            api.llama_max_devices() - len(job["tensor_split"])
        )
        params.tensor_split = (ctypes.c_float * len(shares))(*shares)
    if job["n_expert_used"] is not None:  # the array ends with an empty key
        overrides = (api.llama_model_kv_override * 2)()
        overrides[0].key = f"{job['arch']}.expert_used_count".encode()
        overrides[0].tag, overrides[0].value.val_i64 = (
            api.LLAMA_KV_OVERRIDE_TYPE_INT,
            job["n_expert_used"],
        )
        params.kv_overrides = overrides
        kept.append(overrides)
    placed = tensor_overrides(ggml, job)
    if placed is not None:
        params.tensor_buft_overrides = ctypes.cast(placed, ctypes.c_void_p)
        kept.append(placed)
    return params, kept
