"""The protocol as data: which models, which steps, and what each step does.

The two that come with oomph are `full.toml` and `small.toml` beside this file. A step is a sweep,
or a ballast in what is left of the card.
"""

import tomllib
from importlib import resources
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, ValidationError, model_validator

from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.measure.fields import Bytes, StrictTable
from oomph.measure.frontier import LIMIT, filled_sweep
from oomph.measure.point import Point
from oomph.measure.sweep import Sweep, SweepFile

SWEEP: Final = "first-card"
"""The sweep's name in the records of every step."""
Size = Literal["full", "small"]
LOAD_MODE: Final = "auto"


class Step(StrictTable):
    """One step. `model` is a role of the protocol's; `leave` makes it a ballast's, else it is a
    sweep.

    A ballast's step looks for the frontier of each of `frontier`, and makes each stage of running
    out of memory happen with one of the settings in `provoke`, at contexts up to `limit`.
    """

    name: Annotated[str, Field(min_length=1)]
    asks: str
    model: str
    needs: tuple[Literal["card", "speed"], ...] = ()
    config: dict[str, Any] = Field(default={})
    measure: dict[str, Any] = Field(default={})
    group: list[dict[str, Any]] = Field(default=[])
    leave: Bytes | None = None
    limit: int = LIMIT
    frontier: list[dict[str, Any]] = Field(default=[])
    provoke: list[dict[str, Any]] = Field(default=[])

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, data: Any) -> Any:
        return {**data, "needs": tuple(data.get("needs", ()))} if isinstance(data, dict) else data

    def sweep(self, model: str) -> Sweep:
        """The step's sweep over the model that it is given."""
        assert self.leave is None, "a ballast has frontiers"
        return Sweep(
            file=SweepFile.model_validate(
                {
                    "name": SWEEP,
                    "question": self.asks,
                    "model": model,
                    "load_mode": LOAD_MODE,
                    "config": self.config,
                    "measure": self.measure,
                    "group": [
                        {**group, "name": f"{self.name}: {group['name']}"} for group in self.group
                    ],
                }
            )
        )

    def points(self, *, n_devices: int) -> tuple[Point, ...]:
        """The points of its sweep; of a ballast none, as they follow from what is found."""
        return () if self.leave is not None else self.sweep("").points(n_devices=n_devices)

    def configs(self, kind: Literal["frontier", "provoke"]) -> tuple[RunConfig, ...]:
        """The settings of a ballast's step."""
        return tuple(
            RunConfig.from_mapping(knobs, where=f"step {self.name}")
            for knobs in getattr(self, kind)
        )


class Protocol(StrictTable):
    """The models by role, and the steps in their order; `size` is which of oomph's own it is."""

    models: dict[str, str]
    step: list[Step]
    size: Size = "full"

    @classmethod
    def read(cls, size: Size) -> Self:
        """The protocol of that size."""
        text = (
            resources.files("oomph.measure.first_card")
            .joinpath(f"{size}.toml")
            .read_text(encoding="utf-8")
        )
        return cls.parse(text)

    @classmethod
    def parse(cls, text: str) -> Self:
        """A protocol that `text` (TOML) spells; ConfigError where it cannot be, each step's sweep
        included."""
        try:
            protocol = cls.model_validate(tomllib.loads(text))
            for step in protocol.step:
                step.points(n_devices=1)
                step.configs("frontier"), step.configs("provoke")
        except (tomllib.TOMLDecodeError, ValidationError) as error:
            raise ConfigError(
                f"the protocol cannot be read: {str(error).splitlines()[0]}"
            ) from None
        if strangers := {step.model for step in protocol.step} - set(protocol.models):
            raise ConfigError(
                f"the protocol has no model {min(strangers)!r}; name it in its table of models"
            )
        return protocol

    def asking(self, model: str) -> Self:
        """The same steps with another model in question."""
        return self.model_copy(update={"models": {**self.models, "question": model}})


def provoked_sweep(config: RunConfig, model: str, *, stage: str) -> Sweep:
    """One point that is meant to run out of memory, filled to its end as far as it comes."""
    sweep = filled_sweep(config, model)
    group = [{"name": f"to run out in: {stage}"}]
    file = SweepFile.model_validate(
        {**sweep.file.model_dump(), "name": SWEEP, "load_mode": LOAD_MODE, "group": group}
    )
    return Sweep(file=file)
