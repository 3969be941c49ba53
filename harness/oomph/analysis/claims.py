"""Published claims about memory, held against an estimate and against what was allocated.

A claim is a figure somebody gave for one configuration; a rule is a statement about how memory
changes with a knob. Both are tried with every combination of the settings that claims leave out
(flash attention, n_ubatch), because a figure that is wrong under one may be right under another. GB
are 10^9 bytes, as claims mean them.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from oomph.config import RunConfig
from oomph.errors import ConfigError
from oomph.estimate.prediction import is_card
from oomph.foreign import read_text
from oomph.frozen import frozen
from oomph.records.grouping import knob_set
from oomph.records.schema import Record
from oomph.units import MIB, count

CLAIMS_FILE: Final = "claims.toml"
"""Where a results folder keeps the claims that its records were measured for."""
MAX_BYTES: Final = 4 << 20
"""No claims file is longer."""
GB: Final = 1e9
TOLERANCE: Final = 0.05
"""A claimed figure holds within this share: claims are round numbers."""
NOTICEABLE: Final = 0.02
"""A knob matters where it moves the total by more than this share."""
STRAIGHT: Final = 0.01
"""A series is linear where no point is further from its line than this share of the total."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Claim(_Table):
    """One configuration and what is said of it: a figure `gb` (from, to), or whether it `fits`."""

    says: str
    quantization: str
    n_expert_used: Annotated[int, Field(ge=1)]
    n_ctx: Annotated[int, Field(ge=1)]
    gb: tuple[float, float] | None = None
    fits: bool | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.gb is None) == (self.fits is None):
            raise ValueError("a claim gives gb or fits, one of the two")
        return self

    def config(self, setting: Mapping[str, Any]) -> RunConfig:
        """The configuration that it is about, under `setting`."""
        return RunConfig(n_expert_used=self.n_expert_used, n_ctx=self.n_ctx, **setting)

    def configs(self, setting: Mapping[str, Any]) -> tuple[RunConfig, ...]:
        """That one, as a rule gives its series."""
        return (self.config(setting),)


class Rule(_Table):
    """A statement of how memory changes with `varies`: it grows with experts, or in a line with the
    context."""

    says: str
    quantization: str
    n_expert_used: Annotated[list[int], Field(min_length=1)]
    n_ctx: Annotated[list[int], Field(min_length=1)]
    varies: Literal["n_expert_used", "n_ctx"]

    def configs(self, setting: Mapping[str, Any]) -> tuple[RunConfig, ...]:
        """The series that it is about, under `setting`."""
        pairs = product(self.n_expert_used, self.n_ctx)
        return tuple(
            RunConfig(n_expert_used=n_used, n_ctx=n_ctx, **setting) for n_used, n_ctx in pairs
        )


class ClaimsFile(_Table):
    """The whole of a claims file: whose claims, on which card, under which settings they are
    tried."""

    name: str
    model: str
    card: str
    flash_attn: list[Literal["on", "off"]]
    n_ubatch: list[int]
    claim: list[Claim] = []
    rule: list[Rule] = []

    def quantizations(self) -> tuple[str, ...]:
        """Every quantization that is needed, once."""
        return tuple(dict.fromkeys(item.quantization for item in self._items()))

    def settings(self) -> Iterator[dict[str, Any]]:
        """Every combination of what the claims leave open."""
        for flash_attn, n_ubatch in product(self.flash_attn, self.n_ubatch):
            yield {"flash_attn": flash_attn, "n_ubatch": n_ubatch}

    def configs(self, quantization: str) -> tuple[RunConfig, ...]:
        """Every configuration to try in that quantization, once."""
        asked = [
            config
            for item in self._items()
            if item.quantization == quantization
            for setting in self.settings()
            for config in item.configs(setting)
        ]
        return tuple(dict.fromkeys(asked))

    def _items(self) -> tuple[Claim | Rule, ...]:
        return (*self.claim, *self.rule)


@frozen
class ClaimRun:
    """One configuration: bytes on the cards as predicted, None where nobody asked, and the record
    of the run, filled to the end."""

    config: RunConfig
    predicted_bytes: int | None
    record: Record

    @property
    def allocated_bytes(self) -> int | None:
        """The highest use of all cards, None where it did not run."""
        if self.record.outcome.label != "ok":
            return None
        return sum(series.peak_bytes for series in self.record.memory if series.quantity == "vram")


@frozen
class ClaimVerdict:
    """Whether something said holds, and why."""

    holds: bool
    reason: str


def read_claims(path: Path) -> ClaimsFile:
    """The claims file at `path`; ConfigError names the key and the way out."""
    text = read_text(
        path, error=ConfigError, remedy="check the path of the claims file", limit=MAX_BYTES
    )
    try:
        return ClaimsFile.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}; mend that line") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {key}: {first['msg'].lower()}; mend that key") from None


def runs_of(
    claims: ClaimsFile, records: Iterable[Record], predicted_bytes: Mapping[str, int]
) -> dict[tuple[str, RunConfig], ClaimRun]:
    """The runs among `records` that the claims are about, by quantization and knobs, with what was
    predicted of them, by record id. ConfigError where one is missing."""
    kept = {(record.model.path, knob_set(_asked(record.config))): record for record in records}
    runs = {}
    for quantization in claims.quantizations():
        for config in claims.configs(quantization):
            record = kept.get((f"{claims.model}:{quantization}", knob_set(config.to_dict())))
            if record is None:
                raise ConfigError(
                    f"no record of {claims.model}:{quantization} with n_ctx {count(config.n_ctx)}, "
                    f"which {CLAIMS_FILE} is about; run `oomph claims` to its end"
                )
            runs[quantization, config] = ClaimRun(
                config=config,
                predicted_bytes=predicted_bytes.get(record.record_id),
                record=record,
            )
    return runs


def _asked(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """A record's knobs as a configuration has them, so that equal ones are equal."""
    return RunConfig.from_mapping(dict(knobs)).to_dict()


def judge(claim: Claim, run: ClaimRun) -> ClaimVerdict:
    """Whether the claim holds under the settings of `run`."""
    allocated = run.allocated_bytes
    if allocated is None:
        holds = claim.fits is False
        return ClaimVerdict(holds=holds, reason=_failure(run.record))
    parts = _composition(run.record, allocated)
    if claim.gb is None:
        return ClaimVerdict(holds=claim.fits is True, reason=f"it runs: {parts}")
    low, high = claim.gb
    off = allocated / GB - (low if allocated / GB < low else min(allocated / GB, high))
    holds = abs(off) <= TOLERANCE * low
    return ClaimVerdict(
        holds=holds,
        reason=parts if holds else f"{abs(off):.1f} GB {'more' if off > 0 else 'less'}: {parts}",
    )


def judge_rule(rule: Rule, tried: Sequence[ClaimRun]) -> ClaimVerdict:
    """Whether the rule holds over a series that differs in `rule.varies` alone."""
    ran = [(int(getattr(each.config, rule.varies)), each.allocated_bytes) for each in tried]
    series = sorted((value, n_bytes) for value, n_bytes in ran if n_bytes is not None)
    if len(series) < 2:
        return ClaimVerdict(holds=False, reason="too few of the configurations run to tell")
    verdict = _judge_growth(series) if rule.varies == "n_expert_used" else _judge_line(series)
    failed = [
        f"{getattr(e.config, rule.varies)}: {e.record.outcome.label}"
        for e in tried
        if e.allocated_bytes is None
    ]
    return (
        replace(verdict, reason=f"{verdict.reason}; not run: {', '.join(failed)}")
        if failed
        else verdict
    )


def _judge_growth(series: Sequence[tuple[int, int]]) -> ClaimVerdict:
    sizes = [n_bytes for _, n_bytes in series]
    spread = max(sizes) - min(sizes)
    grows = all(after >= before for before, after in pairwise(sizes))
    shown = ", ".join(f"{value}: {n_bytes / GB:.2f}" for value, n_bytes in series)
    return ClaimVerdict(
        holds=grows and spread > NOTICEABLE * min(sizes),
        reason=f"{spread / MIB:,.0f} MiB between the extremes, {spread / min(sizes):.1%} of the "
        "total (GB by experts "
        f"{shown}): all experts are resident, however many are active",
    )


def _judge_line(series: Sequence[tuple[int, int]]) -> ClaimVerdict:
    """Held against the line through the first and the last point."""
    (first, least), (last, most) = series[0], series[-1]
    slope = (most - least) / (last - first)
    off = max(abs(n_bytes - least - slope * (value - first)) / n_bytes for value, n_bytes in series)
    return ClaimVerdict(
        holds=off <= STRAIGHT,
        reason=f"{slope * 1024 / MIB:.1f} MiB for each 1,024 tokens on top of "
        f"{(least - slope * first) / GB:.1f} GB, "
        f"no point further than {off:.1%} from the line",
    )


def _failure(record: Record) -> str:
    """How a configuration ended that did not run."""
    outcome, n_filled = record.outcome, record.conditions.n_filled
    if outcome.label == "oom_runtime":
        return (
            f"it loads, and aborts after {count(n_filled or 0)} of "
            f"{count(int(record.config['n_ctx']))} tokens"
        )
    short = "" if outcome.short_mib is None else f", {outcome.short_mib:,.0f} MiB short"
    return f"it does not load ({outcome.label}{short})"


def _composition(record: Record, allocated: int) -> str:
    """Where the bytes went, in GB: llama.cpp's buffers on the cards, and what the run added."""
    parts = {"weights": "model_mib", "KV cache": "kv_cache_mib", "compute": "compute_mib"}
    named = {
        name: sum(mib for device, mib in record.buffer_mib(kind).items() if is_card(device))
        for name, kind in parts.items()
    }
    run_time = allocated / MIB - sum(named.values())
    return " + ".join(
        f"{name} {mib * MIB / GB:.1f}" for name, mib in (named | {"run time": run_time}).items()
    )
