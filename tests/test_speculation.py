"""Kinds of speculative decoding, and how far ahead each drafts."""

import pytest

from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.speculation import most_drafted, rolled_back


@pytest.mark.parametrize(
    ("spec_type", "drafted", "rolled"),
    [
        (None, 0, 0),
        ("none", 0, 0),
        ("draft-mtp", 4, 4),
        ("draft-simple", 4, 0),
        ("draft-eagle3", 4, 4),
        ("ngram-mod", 64, 0),
        ("ngram-cache,draft-mtp", 8, 4),
    ],
)
def test_drafted_and_rolled_back(spec_type: str | None, drafted: int, rolled: int) -> None:
    assert (most_drafted(spec_type, 4), rolled_back(spec_type, 4)) == (drafted, rolled)


def test_slots_want_logits_of_every_drafted_token() -> None:
    config = RunConfig(n_seq_max=4, spec_type="draft-mtp", spec_draft_n_max=2)
    assert config.n_verified == 12
    assert config.with_(n_batch=8).n_verified == 8
    assert RunConfig(n_seq_max=4).n_verified == 4


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match="has no 'draft-magic'"):
        RunConfig(spec_type="draft-mtp,draft-magic")
