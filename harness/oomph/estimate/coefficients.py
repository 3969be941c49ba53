"""Coefficients of the speed and overhead models: named values with their origin.

Stands apart from the models because values come from measured rows and formulas do not: the
formulas are in `speed`, `speed_decode`, `speed_prefill`, `speed_host` and `overhead`; what each
coefficient means and may be is in `coefficients.toml`; the values learned from public rows are in
`defaults.json`. A calibration is such values again, with the names of the card and the machine that
they hold for.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final, Self

from oomph.errors import OomphError
from oomph.estimate.coefficient_checks import check_coefficients
from oomph.estimate.posterior import Posterior
from oomph.foreign import parse_json, read_text
from oomph.frozen import frozen

MAX_BYTES: Final = 16 << 20
"""No calibration is longer."""
BEYOND: Final = 10.0
"""How far beyond its bounds a coefficient of a file may be, as a factor."""
FORMAT: Final = 2
"""Version of the JSON layout of defaults.json and of calibration files."""

KINDS: Final = (
    "f16",
    "q8_0",
    "q4_0",
    "q4_k",
    "q5_k",
    "q6_k",
    "q2_k",
    "q3_k",
    "iq4",
    "iq3",
    "iq2",
    "fp4",
)
GENERATIONS: Final = (
    "Pascal",
    "P100",
    "Volta",
    "Turing",
    "A100",
    "Ampere",
    "Ada",
    "Hopper",
    "Blackwell",
)
"""Generations as the kernels see them: compute capabilities 6.0 and 8.0 are apart from their
families."""

OWN: Final = (
    "card.bandwidth_factor",
    "card.overhead_factor",
    "card.compute_factor",
    "card.expert_factor",
)
"""The effects that one card has of its own; each is 1 for a card that was never measured."""


@frozen
class Definition:
    """What a coefficient means and may be; `sd` is of the logarithm unless `linear`, and `own` is a
    machine's."""

    name: str
    prior: float
    sd: float
    lower: float
    upper: float
    linear: bool
    own: bool
    meaning: str


@frozen
class Coefficients:
    """Values by name (`matvec.bandwidth_share`, `decode.kernel_factor.Ada`), in the unit the name
    ends with.

    `cards` holds the own effects of cards that were measured, by card name. `interval_widths`
    holds, for `decode dense`, `prefill MoE` … the half width of the 90 % interval as a logarithm,
    by how much was known of the card. `seen` are the models that each card's rows are of, `covered`
    is the range of each quantity that was seen, `tested` the rows that had each of
    `tested.asked_features`. `calibrated_on` names the machine of a calibration, `posterior` is what
    it knows of its coefficients together.
    """

    values: Mapping[str, float]
    cards: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    interval_widths: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    standard_errors: Mapping[str, float] = field(default_factory=dict)
    seen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    covered: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    tested: Mapping[str, int] = field(default_factory=dict)
    calibrated_on: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    posterior: Posterior | None = None

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    def for_card(self, card: str) -> Mapping[str, float]:
        """All values, with the card's own effects where it was measured."""
        return {**self.values, **self.cards.get(card, {})}

    def with_values(self, **changes: Any) -> Self:
        """A copy with other fields, as `dataclasses.replace`."""
        return replace(self, **changes)

    def to_json(self) -> str:
        """The versioned JSON text that `read_coefficients` reads."""
        content = {"format": FORMAT} | {name: getattr(self, name) for name in _FIELDS}
        if self.posterior:
            content["posterior"] = asdict(self.posterior)
        return json.dumps(content, indent=1, default=list) + "\n"

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Self:
        """The coefficients in `text`; `where` names the source in the error for another layout."""
        try:
            content = parse_json(text)
            if not isinstance(content, dict) or "format" not in content:
                raise ValueError("it has no format")
            if content["format"] != FORMAT:
                raise OomphError(
                    f"{where}: format {str(content['format'])[:20]} is not {FORMAT}; calibrate "
                    "again with this oomph"
                )
            check_coefficients(content, bounds=_bounds())
        except ValueError as error:
            raise OomphError(
                f"{where}: no coefficients of oomph ({error}); write them with oomph calibrate"
            ) from None
        return cls._of(content)

    @classmethod
    def _of(cls, content: Mapping[str, Any]) -> Self:
        """The coefficients of a file's content, which was checked."""
        posterior = Posterior.from_mapping(content.get("posterior") or {})
        return cls(
            **{name: content[name] for name in _FIELDS if name in content}, posterior=posterior
        )

    @classmethod
    def shipped(cls) -> Self:
        """Those of the package, which a test checks: reading them is a part of every answer."""
        return cls._of(parse_json(_beside("defaults.json")))


_FIELDS: Final = (
    "values",
    "cards",
    "interval_widths",
    "standard_errors",
    "seen",
    "covered",
    "tested",
    "calibrated_on",
    "provenance",
)


def _beside(name: str) -> str:
    """The text of the file `name` of this package."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


@cache
def default_coefficients() -> Coefficients:
    """The values that ship with the package, learned from public rows by
    `scripts/learn_defaults`."""
    return Coefficients.shipped()


def read_coefficients(path: Path | str) -> Coefficients:
    """The coefficients in the file at `path`; OomphError where it is missing or of another
    layout."""
    text = read_text(
        path, error=OomphError, remedy="give a file that oomph calibrate wrote", limit=MAX_BYTES
    )
    found = Coefficients.from_json(text, where=str(path))
    widths = {"context_bytes": default_coefficients().interval_widths["context_bytes"]}
    return replace(found, interval_widths={**widths, **found.interval_widths})


@cache
def definitions() -> Mapping[str, Definition]:
    """Every coefficient by its full name, those by kind and by generation spelled out."""
    tables = tomllib.loads(_beside("coefficients.toml"))
    return {definition.name: definition for definition in _spelled_out(tables)}


def _bounds() -> dict[str, tuple[float, float]]:
    """What each coefficient of a file may be: its own bounds, and as much again beyond them."""
    return {
        name: (each.lower - (each.upper - each.lower), each.upper + (each.upper - each.lower))
        if each.linear
        else (each.lower / BEYOND, each.upper * BEYOND)
        for name, each in definitions().items()
    }


def prior_values() -> dict[str, float]:
    """The prior of every coefficient: what is believed before any row is seen."""
    return {name: definition.prior for name, definition in definitions().items()}


def _spelled_out(tables: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[Definition]:
    for group, entries in tables.items():
        for key, entry in entries.items():
            labels = {"kind": KINDS, "generation": GENERATIONS, "": ("",)}[entry.get("by", "")]
            for label in labels:
                yield Definition(
                    name=f"{group}.{key}.{label}".rstrip("."),
                    prior=entry["prior"],
                    sd=entry["sd"],
                    lower=entry["lower"],
                    upper=entry["upper"],
                    linear=entry.get("scale") == "linear",
                    own=entry.get("own", False),
                    meaning=entry["meaning"],
                )
