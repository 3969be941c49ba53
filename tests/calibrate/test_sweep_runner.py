"""What a sweep asks for that its model cannot do is told before anything starts."""

from pathlib import Path

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.calibrate.sweep_runner import check_drafts
from oomph.errors import ConfigError
from oomph.measure.sweep import Sweep
from oomph.models.demo import demo_model


def _sweep(spec_type: str, draft: Path | None = None) -> Sweep:
    named = f', draft = "{draft}"' if draft else ""
    return Sweep.parse(
        f'name = "test"\nmodel = "m.gguf"\nconfig.spec_type = "{spec_type}"\n'
        f'measure = {{ through = "llama-server"{named} }}'
    )


def test_a_model_without_a_head_does_not_draft_with_it() -> None:
    with pytest.raises(ConfigError, match="has no MTP head, and --spec-type draft-mtp needs one"):
        check_drafts(_sweep("draft-mtp"), catalogue_model("qwen3-8b", "Q4_K_M"))


def test_a_draft_of_another_vocabulary_is_refused() -> None:
    with pytest.raises(ConfigError, match="only with a model of the same vocabulary"):
        check_drafts(_sweep("draft-simple", demo_model()), catalogue_model("qwen3-8b", "Q4_K_M"))


def test_a_model_with_a_head_and_one_that_looks_itself_up_may_draft() -> None:
    check_drafts(_sweep("draft-mtp"), catalogue_model("qwen3.6-27b-mtp", "Q4_K_M"))
    check_drafts(_sweep("ngram-mod"), catalogue_model("qwen3-8b", "Q4_K_M"))
