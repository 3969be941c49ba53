"""Measured speeds beside the question that each answers.

Public tables (`bench.train.public_rows`) and our own records (`comparison`) both become
observations.
"""

import math
from collections.abc import Hashable, Mapping
from typing import Literal

from oomph.estimate.speed import SpeedQuestion, decode_seconds, prefill_seconds
from oomph.frozen import frozen


@frozen
class SpeedObservation:
    """One measured rate. Prefill is of `n_prompt` tokens after `n_depth` cells, decode at a mean
    depth of `n_depth`.

    `source` is where it comes from (a record's id, a public table), `load` what was loaded for it:
    rows of one load err together. A disturbed one says little and is not fitted. A sampled one is a
    server's, which draws each token from the whole vocabulary; llama-bench draws none. A doubted
    one weighs little, and tells no error.
    """

    question: SpeedQuestion
    test: Literal["prefill", "decode"]
    n_prompt: int
    n_depth: float
    tokens_per_s: float
    weight: float = 1.0
    card: str = ""
    model: str = ""
    source: str = ""
    label: str = ""
    load: str = ""
    is_disturbed: bool = False
    is_doubted: bool = False
    is_sampled: bool = False

    @property
    def asked(self) -> Hashable:
        """Equal for observations whose predicted time is the same function of the coefficients, as
        long as their questions live."""
        return id(self.question), self.test, self.n_prompt, self.n_depth, self.is_sampled

    @property
    def group(self) -> str:
        """`decode dense`, `prefill MoE` …: what errors and intervals are kept apart by."""
        return self.question.group(self.test)

    def seconds(self, values: Mapping[str, float]) -> float:
        """Predicted, of one decoding step or of the prompt; an array where `values` are arrays."""
        if self.test == "decode":
            seconds = decode_seconds(self.question, values, n_depth=self.n_depth)
            if self.is_sampled:
                seconds = seconds + self.question.on_card.n_vocab * values["decode.sampled_logit_s"]
            return seconds
        return prefill_seconds(self.question, values, n_prompt=self.n_prompt, n_depth=self.n_depth)

    def seconds_per_token(self, values: Mapping[str, float]) -> float:
        """Predicted; an array where `values` are arrays."""
        n_tokens = self.question.config.n_parallel if self.test == "decode" else self.n_prompt
        return self.seconds(values) / n_tokens

    def log_error(self, values: Mapping[str, float]) -> float:
        """ln(predicted / measured) tokens per second."""
        return -math.log(self.seconds_per_token(values) * self.tokens_per_s)
