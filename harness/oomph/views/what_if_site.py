"""The what-if pages of a site: one a model of the catalogue, and a search of them and cards.

The estimator and the cards are kept once for all of them, in two files beside the pages.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from oomph.architectures.catalogue import catalogue_entries, catalogue_model, catalogue_names
from oomph.errors import OomphError, UnknownNameError
from oomph.estimate.estimator import Estimator
from oomph.files import write_files
from oomph.gpus import gpu, gpu_specs
from oomph.units import gib
from oomph.views.what_if import USUAL_CARD, shared_facts, what_if
from oomph.views.what_if_page import (
    content_hash,
    page_file,
    page_style,
    page_templates,
    start_config,
    what_if_script,
)

ASK: Final = "what-if.html"
FOLDER: Final = "what-if"
QUANTIZATION: Final = "Q4_K_M"
"""What a model is asked in: the usual one."""


def write_what_ifs(
    out: Path,
    models: Sequence[str] | None = None,
    *,
    tell: Callable[[str], None] | None = None,
) -> None:
    """Write the search page, and in the folder `what-if` the page of each of `models`, of the whole
    catalogue if left out. UnknownNameError for a name that is not in it; StoreError where the
    folder cannot be written."""
    names = models if models is not None else catalogue_names()
    if unknown := [name for name in names if name not in catalogue_names()]:
        raise UnknownNameError(f"{unknown[0]} is not in the catalogue; `oomph models` lists it")
    facts = f"const WHAT_IF_SHARED = {json.dumps(shared_facts(), separators=(',', ':'))};\n"
    script = facts + what_if_script()
    shared = f"what-if-site-{hashlib.sha256(script.encode()).hexdigest()[:8]}.js"
    files = {out / shared: script}
    shown = []
    entries = {entry.name: entry for entry in catalogue_entries()}
    for number, name in enumerate(names):
        if tell and number % 20 == 0:
            tell(f"what-if pages: {number} of {len(names)} models")
        try:
            files[out / FOLDER / f"{name}.html"] = _page(name, f"../{shared}")
        except OomphError:  # a model that no quantization of that name is made of
            continue
        shown.append((name, entries[name].arch))
    files[out / ASK] = _search(shown)
    write_files(files, otherwise="name another folder with --out")


def _page(name: str, script: str) -> str:
    model = catalogue_model(name, QUANTIZATION)
    estimator = Estimator(model, gpu(USUAL_CARD))
    asked = what_if(
        estimator,
        start_config(estimator),
        program="llama-server",
        reference=f"{name}:{QUANTIZATION}",
    )
    small = page_file("page.js")
    return (
        page_templates()
        .get_template("ask.html.jinja")
        .render(
            what_if=asked,
            shared=None,
            shared_script=script,
            style=page_style(),
            script=small,
            script_hash=content_hash(small),
            home=f"../{ASK}",
        )
    )


def _search(models: Sequence[tuple[str, str]]) -> str:
    script = page_file("site.js")
    cards = [(spec.name, gib(spec.memory_bytes, 0)) for spec in gpu_specs()]
    return (
        page_templates()
        .get_template("models.html.jinja")
        .render(
            models=models,
            cards=cards,
            usual=USUAL_CARD,
            quantization=QUANTIZATION,
            folder=FOLDER,
            style=page_style(),
            script=script,
            script_hash=content_hash(script),
        )
    )
