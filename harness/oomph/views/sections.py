"""What a page is made of: its sections, in reading order.

Stands between the views, which know one thing each, and `report`, which knows only how to write. A
section for which there are no data is left out. Captions say what is drawn, alternative texts what
can be read off it.
"""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from oomph.records.schema import Record
from oomph.views.calibration import errors_table, fit_sentences, fit_table
from oomph.views.figures import (
    Material,
    Picture,
    energy_pictures,
    fit_pictures,
    memory_pictures,
    quality_pictures,
    source_pictures,
    speed_pictures,
)
from oomph.views.headline import evidence, headline
from oomph.views.quality import quality_table, recall_table
from oomph.views.table import Table, trim
from oomph.views.tables import experts_table, machine_table, outcomes_table, points_table
from oomph.views.timings import first_token_table, time_in_words, timings_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading and what stands under it."""

    title: str
    text: str = ""
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One model on one machine: the answer, its evidence, the sections."""

    title: str
    headline: str
    evidence: tuple[str, ...]
    sections: tuple[Section, ...]


def build_chapter(material: Material, language: str = "en") -> Chapter:
    """A chapter of records of one model on one machine, of which there must be one; `language` is
    the headline's."""
    records = material.records
    sections = (
        Section(title="At a glance", tables=(trim(experts_table(records)),)),
        Section(title="Memory", pictures=tuple(memory_pictures(material))),
        Section(title="Memory by source", text=_SOURCES, pictures=tuple(source_pictures(material))),
        Section(title="Speed", pictures=(*speed_pictures(material), *energy_pictures(material))),
        Section(title="First token", text=_FIRST_TOKEN, tables=(trim(first_token_table(records)),)),
        Section(
            title="Quality",
            pictures=tuple(quality_pictures(material)),
            tables=tuple(
                trim(table)
                for table in (quality_table(records), recall_table(records))
                if table.rows
            ),
        ),
        _estimate_section(material),
        _outcome_section(records),
        Section(title="Every point", tables=(trim(points_table(records, material.predictions)),)),
        Section(title="Every test", tables=(trim(timings_table(records)),)),
        Section(title="Machine and model", tables=(machine_table(records[-1]),)),
        _repeat_section(records),
    )
    return Chapter(
        title=_title(records[0]),
        headline=headline(records, language),
        evidence=evidence(records, material.comparisons),
        sections=tuple(
            s for s in sections if s.pictures or s.commands or any(t.rows for t in s.tables)
        ),
    )


_SOURCES = (
    "The estimate, made from the model's header alone; what llama.cpp says it allocated; where "
    "there is one, a dry run, in which memory is allotted and nothing is computed (llama.cpp's "
    "CUDA backend on a phantom card, or llama.cpp's own breakdown from when it fits its "
    "parameters to a card); and the highest use that a probe saw from outside: NVML's for a card, "
    "the kernel's for the process on a host, where pages that were asked for and never touched do "
    "not count."
)


_FIRST_TOKEN = (
    "A prompt's last position gives the first token, so the wait is its prefill in an empty "
    "context: cold is the first prompt after the load, warm the median of later ones."
)


def _title(record: Record) -> str:
    cards = ", ".join(str(card.get("name", "a card")) for card in record.environment.gpus)
    where = (
        f"imported from {record.origin}" if record.origin else f"on {record.environment.machine}"
    )
    return f"{record.model.name} {where}" + (f" ({cards})" if cards else "")


def _estimate_section(material: Material) -> Section:
    title, pictures, fit = (
        "Predicted against measured",
        tuple(fit_pictures(material.shown_comparisons)),
        material.fit,
    )
    if fit is None:
        return Section(
            title=title, text="With the coefficients that ship with oomph.", pictures=pictures
        )
    text = (
        f"With coefficients fitted to {fit.n_measurements} measurements of {fit.n_records} of "
        "these very points. What was left out in turn says how well they foretell, what was "
        "fitted how well the formulas describe this machine."
    )
    tables = (trim(errors_table(fit)), trim(fit_table(fit)))
    return Section(
        title=title, text=text, notes=fit_sentences(fit), pictures=pictures, tables=tables
    )


def _outcome_section(records: Sequence[Record]) -> Section:
    text = (
        "A point that fails is a result too: its outcome, the line of llama.cpp's log that shows "
        "it, the next step."
    )
    return Section(title="Outcomes", text=text, tables=(trim(outcomes_table(records)),))


def _repeat_section(records: Sequence[Record]) -> Section:
    commands = []
    for sweep in dict.fromkeys(record.sweep for record in records):
        model = next(record.model.path for record in records if record.sweep == sweep)
        file = shlex.quote(model.replace("\\", "/").rpartition("/")[2])
        out = shlex.quote(f"results/{sweep}")
        commands += [_measuring(records, sweep, file, out), f"oomph report {out} --open"]
    if any(record.sweep == "demo" for record in records):
        commands = ["oomph demo", *commands]
    text = f"The {len(records)} points took {time_in_words(records)}, on the machine above."
    return Section(title="How to repeat it", text=text, commands=tuple(commands))


def _measuring(records: Sequence[Record], sweep: str, model: str, out: str) -> str:
    """The command that made the records of `sweep`: a search of frontiers and claims have their
    own."""
    own = [record for record in records if record.sweep == sweep]
    if sweep == "first-card":
        return f"oomph first-card --out {out}"
    if sweep.startswith("claims-"):
        claims = shlex.quote(f"bench/claims/{sweep.removeprefix('claims-')}.toml")
        return f"oomph claims {claims} --out {out}"
    if sweep != "frontier":
        return (
            f"oomph sweep {shlex.quote(f'bench/sweeps/{sweep}.toml')} --model {model} --out {out}"
        )
    axes = {
        "n-expert-used": "n_expert_used",
        "type-kv": "type_k",
        "flash-attn": "flash_attn",
        "n-ubatch": "n_ubatch",
    }
    asked = {
        option: dict.fromkeys(
            str(value) for record in own if (value := record.config.get(knob)) is not None
        )
        for option, knob in axes.items()
    }
    options = [
        f"--{option} {shlex.quote(','.join(values))}" for option, values in asked.items() if values
    ]
    cards = ",".join(str(card.get("name")) for card in own[0].environment.gpus)
    phantom = [f"--phantom {shlex.quote(cards)}"] if own[0].environment.backend == "phantom" else []
    return " ".join(("oomph frontier", model, *options, *phantom, "--out", out))
