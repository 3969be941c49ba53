"""Files that are named beside a model, as the riders of its estimator."""

import pytest

from oomph.architectures.catalogue import catalogue_model
from oomph.calibrate.aboard import inferred, model_beside, riders_of
from oomph.errors import ConfigError, ModelFileError
from oomph.estimate.draft import DraftModel
from oomph.programs.said import Said
from oomph.speculation import MTP

TARGET = catalogue_model("qwen3-14b", "Q4_K_M")


def test_nothing_rides_along_where_nothing_was_said() -> None:
    assert riders_of(TARGET, Said()) == ()


def test_a_draft_is_named_as_a_model_is() -> None:
    said = Said(knobs={"spec_type": "draft-simple"}, files={"draft": "qwen3-0.6b:Q8_0"})
    (rider,) = riders_of(TARGET, said)
    assert isinstance(rider, DraftModel)
    assert rider.model.source == "qwen3-0.6b:Q8_0"
    assert inferred(said, [rider]) == said


def test_a_file_that_is_not_here_is_what_it_is_called_after() -> None:
    assert model_beside("/models/Qwen3-0.6B-Q8_0.gguf").source == "qwen3-0.6b:Q8_0"
    with pytest.raises(ModelFileError, match="does not exist; check the path, or name the model"):
        model_beside("/models/secret.gguf")


def test_the_kind_of_speculation_is_taken_from_a_file_with_a_head() -> None:
    said = Said(files={"draft": "qwen3.5-4b-mtp:Q8_0"})
    riders = riders_of(catalogue_model("qwen3.5-9b", "Q4_K_M"), said)
    assert inferred(said, riders).knobs == {"spec_type": MTP}


def test_a_draft_of_another_vocabulary_is_refused() -> None:
    said = Said(knobs={"spec_type": "draft-simple"}, files={"draft": "llama-3.2-1b:Q8_0"})
    with pytest.raises(ConfigError, match="same vocabulary"):
        riders_of(TARGET, said)
