"""The dry run's process: llama.cpp counts what it would allocate, and allocates nothing.

A line in, a line out: on stdin the job (which library, which model, how it is loaded), then a
line of llama_context_params for each context; on the descriptor named by the first argument
`ready`, `loaded`, then `counted` with what llama.cpp has printed meanwhile. `failed` says what
llama.cpp returned an error at.
"""

import ctypes
import json
import os
import sys
from typing import IO, Any

from oomph.measure.worker.context import context_params
from oomph.measure.worker.loading import (
    LOG_CONTINUED,
    LOG_DEBUG,
    StageError,
    load_ggml,
    model_params,
    set_up_ggml,
    start_backends,
)
from oomph.measure.worker.other_build import open_build
from oomph.measure.worker.parent import die_with
from oomph.measure.worker.protocol import COUNTED, LOADED, READY, Say
from oomph.measure.worker.replies import answer


def open_llama(job: dict[str, Any]) -> tuple[Any, Any]:
    """llama.cpp's API and ggml's: of the library that the job names, or of the installed wheel."""
    if job["library"]:
        api = open_build(job["library"], job["header"])
        return api, set_up_ggml(ctypes.CDLL(job["library"]))
    import llama_cpp.llama_cpp as api

    return api, load_ggml(api)


def keep_lines(api: Any) -> tuple[list[str], Any]:
    """What llama.cpp logs from now on, but its debug lines, and the callback to keep alive."""
    pieces: list[str] = []
    shown = True

    @api.llama_log_callback  # type: ignore[untyped-decorator]
    def log(level: int, text: bytes, _: Any) -> None:
        nonlocal shown
        shown = shown if level == LOG_CONTINUED else level != LOG_DEBUG
        if shown:
            pieces.append(text.decode(errors="replace"))
            os.write(2, text)  # what an abort leaves behind

    api.llama_log_set(log, ctypes.c_void_p(0))
    return pieces, log


def serve(commands: IO[str], say: Say) -> None:
    """Load as the job says, then count context after context until `commands` ends."""
    job = json.loads(commands.readline())
    die_with(job["parent_pid"])
    api, ggml = open_llama(job)
    pieces, kept_log = keep_lines(api)
    start_backends(api, ggml, job["backend_path"])
    say(READY)
    params, kept = model_params(api, ggml, job)
    model = api.llama_model_load_from_file(os.fsencode(job["model_path"]), params)
    if not model:
        raise StageError("load", _error(pieces) or "llama_model_load_from_file returned NULL")
    load_lines, pieces[:] = "".join(pieces).splitlines(), []
    say(LOADED)
    for line in commands:
        context = api.llama_init_from_model(model, context_params(api, json.loads(line)))
        if not context:
            raise StageError("context", _error(pieces) or "llama_init_from_model returned NULL")
        say(COUNTED, log=[*load_lines, *"".join(pieces).splitlines()])
        pieces.clear()
        api.llama_free(context)
    del kept, kept_log  # C has held pointers to them until here


def _error(pieces: list[str]) -> str:
    """The last line in which llama.cpp says what is wrong."""
    lines = [line for line in "".join(pieces).splitlines() if "error" in line or "failed" in line]
    return lines[0].strip() if lines else ""


if __name__ == "__main__":
    sys.exit(answer(int(sys.argv[1]), serve))
