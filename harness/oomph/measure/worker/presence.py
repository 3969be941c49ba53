"""Loads a backend as the worker does, and says which devices llama.cpp then has."""

import ctypes
import json
import sys
from typing import Any

from oomph.measure.worker.loading import import_llama, load_ggml, load_plugin

TYPES = ("CPU", "GPU", "IGPU", "ACCEL", "META")


def devices(ggml: Any) -> list[dict[str, Any]]:
    """Each device of ggml's registry by its name, its description and the kind that ggml gives
    it."""
    ggml.ggml_backend_dev_name.restype = ggml.ggml_backend_dev_description.restype = ctypes.c_char_p
    found = []
    for index in range(ggml.ggml_backend_dev_count()):
        device = ctypes.c_void_p(ggml.ggml_backend_dev_get(index))
        kind = ggml.ggml_backend_dev_type(device)
        found.append(
            {
                "name": ggml.ggml_backend_dev_name(device).decode(),
                "description": ggml.ggml_backend_dev_description(device).decode(),
                "type": TYPES[kind] if kind < len(TYPES) else str(kind),
            }
        )
    return found


def main(backend_path: str) -> int:
    """The script: one line of JSON on stdout, llama.cpp's words on stderr. An empty path loads no
    plug-in."""
    api, log = import_llama()
    ggml = load_ggml(api)
    registry = load_plugin(ggml, backend_path) if backend_path else None
    # ggml_backend_reg begins with it
    version = ctypes.c_int.from_address(registry).value if registry else None
    print(json.dumps({"loaded": bool(registry), "api_version": version, "devices": devices(ggml)}))
    del log  # C has held a pointer to it until here
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
