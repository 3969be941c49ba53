"""One configuration to measure: what it is, what names it, and which load it shares."""

import hashlib
import json
from dataclasses import field, replace
from typing import Self

from oomph.config import LOAD_KNOBS, RunConfig
from oomph.frozen import frozen
from oomph.measure.limits import ExpectedSeconds, Limits, Timeouts
from oomph.measure.workload import Workload


@frozen
class Point:
    """One configuration to measure. `label` names it by the knobs that its sweep varies; `expected`
    is how long it is said to take, which is no part of what it is."""

    group: str
    label: str
    config: RunConfig
    workload: Workload
    limits: Limits
    load_mode: str
    fresh_process: bool
    expected: ExpectedSeconds = field(default_factory=ExpectedSeconds)

    @property
    def timeouts(self) -> Timeouts:
        """How long its load and itself may take, and why."""
        return Timeouts.of(self.limits, self.expected)

    def point_id(self, header_sha256: str) -> str:
        """Twelve hex digits that say "the same point of the same model": what a resumed sweep goes
        by."""
        what = {
            "model": header_sha256,
            "config": self.config.to_dict(),
            "workload": self.workload.identity(),
            "limits": self.limits.model_dump(include={"memory_bytes", "memory_kind"}),
            "load_mode": self.load_mode,
        }
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def reference_point(self) -> Self | None:
        """The point whose likelihoods this one's text is compared with, None where the sweep names
        none."""
        text = self.workload.text
        knobs = text.reference if text else None
        return replace(self, config=self.config.with_(**knobs)) if knobs else None

    @property
    def is_reference(self) -> bool:
        """Whether others are compared with this point."""
        return (reference := self.reference_point) is not None and reference.config == self.config

    @property
    def is_task_reference(self) -> bool:
        """Whether the tasks of other points are compared with this one's."""
        tasks = self.workload.tasks
        knobs = tasks.reference if tasks else None
        return knobs is not None and self.config.with_(**knobs) == self.config

    @property
    def comes_first(self) -> bool:
        """Whether it is measured before what is compared with it."""
        return self.is_reference or self.is_task_reference

    @property
    def context_order(self) -> tuple[int, ...]:
        """Where it stands among the points of its load: references first, contexts ascending."""
        config = self.config
        return not self.comes_first, config.n_ctx, config.n_ubatch, config.n_seq_max

    @property
    def load_key(self) -> tuple[object, ...]:
        """What two points must share to be measured in one process."""
        knobs = (getattr(self.config, knob) for knob in LOAD_KNOBS)
        how = (self.load_mode, self.workload.through, self.workload.draft)
        return (*knobs, *how, self.limits.memory_bytes, self.limits.memory_kind)

    def build(self) -> Self:
        """Itself, as it is built."""
        return self
