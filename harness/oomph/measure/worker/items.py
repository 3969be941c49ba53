"""A process that lays items of tasks out by a model's vocabulary, its weights left on disk.

The parent says one job: `model_path`, `parent_pid`, `pools` and `items`. It is answered with an
event for each item, and one at the end.
"""

import json
import os
import sys
from typing import IO

from oomph.measure.worker.answering import NO_TEMPLATE
from oomph.measure.worker.loading import StageError, import_llama
from oomph.measure.worker.parent import die_with
from oomph.measure.worker.protocol import DONE, LAID_OUT, Say
from oomph.measure.worker.replies import answer
from oomph.measure.worker.vocabulary import layout_of


def serve(commands: IO[str], say: Say) -> None:
    """Load the vocabulary and say each item's prompt; None for one that its length cannot hold."""
    job = json.loads(commands.readline())
    die_with(job["parent_pid"])
    api, log = import_llama()
    api.llama_backend_init()
    params = api.llama_model_default_params()
    params.vocab_only = True
    model = api.llama_model_load_from_file(os.fsencode(job["model_path"]), params)
    if not model:
        raise StageError("load", "llama.cpp cannot load its vocabulary")
    layout = layout_of(api, model, job["pools"])
    if layout is None:
        raise StageError("config", NO_TEMPLATE)
    for item in job["items"]:
        prompt = layout.prompt(item)
        say(LAID_OUT, text=prompt and layout.text_of(prompt))
    say(DONE)
    del log  # C has held a pointer to it until here


if __name__ == "__main__":
    sys.exit(answer(int(sys.argv[1]), serve))
