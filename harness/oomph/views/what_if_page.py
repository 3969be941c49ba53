"""The question page of one model: one HTML file that answers without a network.

Stands apart from `what_if`, which knows what is asked, because the report shows the same controls
among its sections.
"""

import hashlib
import json
from base64 import b64encode
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from oomph.calibrate.subject import cards_said, machine_around, named_estimator, own_cards
from oomph.cards import CardNames
from oomph.errors import ConfigError
from oomph.files import write_file
from oomph.foreign_text import visible
from oomph.programs.said import Said
from oomph.views.what_if import USUAL_CARD, WhatIf, estimator_script, shared_facts, what_if

if TYPE_CHECKING:
    import jinja2

    from oomph.config import RunConfig
    from oomph.estimate.estimator import Estimator

START_CONTEXT: Final = 8192
"""Where the context slider stands if nothing is said."""


def render_what_if(asked: WhatIf) -> str:
    """The page for `asked`: controls, the answer, and a table where scripts do not run."""
    script = page_script(asks=True)
    return (
        page_templates()
        .get_template("ask.html.jinja")
        .render(
            what_if=asked,
            shared=shared_facts(),
            shared_script=None,
            home=None,
            style=page_style(),
            script=script,
            script_hash=content_hash(script),
        )
    )


def write_what_if(
    model: str,
    gpu: CardNames = None,
    out: Path | None = None,
    *,
    said: Said | None = None,
    calibration: Path | None = None,
) -> Path:
    """Write the page of a model; its path, what-if.html if `out` is left out.

    It begins with what was `said` (n_ctx left out: START_CONTEXT, or the model's own if less) on
    the named cards, the machine's own, or else a usual one. StoreError where it cannot be written.
    """
    cards, said = cards_said(gpu, None, said or Said())
    if not cards:
        try:
            cards, said = own_cards(said)
        except ConfigError:
            cards, said = cards_said(USUAL_CARD, None, said)
    machine = machine_around(said, is_own=False)
    estimator, _ = named_estimator(
        model, cards, calibration, on_host=False, machine=machine, beside=said
    )
    config = start_config(estimator, said)
    page = render_what_if(what_if(estimator, config, program=said.program, reference=model))
    path = out or Path("what-if.html")
    return write_file(path, page, otherwise="name another file with --out")


def start_config(estimator: "Estimator", said: Said | None = None) -> "RunConfig":
    """Where the controls stand at first: as `said`, with no longer a context than START_CONTEXT
    unless it was said."""
    said = said or Said()
    config = said.config(estimator.model, estimator.gpu_memory_bytes)
    if "n_ctx" in said.knobs:
        return config
    return config.with_(n_ctx=min(config.n_ctx, START_CONTEXT))


def page_templates() -> "jinja2.Environment":
    """The templates of every page; what they are given is escaped."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("oomph.views", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_inert,
    )
    environment.policies["json.dumps_function"] = lambda value, **how: json.dumps(
        _inert(value), **how
    )
    return environment


def _inert(value: Any) -> Any:
    """A value for a page, in which every text shows what does not print."""
    if isinstance(value, dict):
        return {key: _inert(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_inert(each) for each in value]
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return visible(value, keep="\n\t")
    return value


def what_if_script() -> str:
    """The estimate layer with its controls, the same for every page."""
    return estimator_script() + page_file("what_if.js")


def page_script(*, asks: bool) -> str:
    """What a page runs: sorting and copying, and where it `asks`, the what-if."""
    return page_file("page.js") + (what_if_script() if asks else "")


def page_style() -> str:
    """The style sheet of every page."""
    return page_file("page.css") + page_file("what_if.css")


def content_hash(script: str) -> str:
    """A script's hash as a content security policy names it: the page runs this script and no
    other."""
    return f"sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def page_file(name: str) -> str:
    """The text of a file of the page."""
    return resources.files("oomph.views").joinpath("page", name).read_text(encoding="utf-8")
