"""What a page is made of: its sections, in reading order.

Stands between the views, which know one thing each, and `report`, which knows only how to write. A
section for which there are no data is left out. Captions say what is drawn, alternative texts what
can be read off it.
"""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from oomph.frozen import frozen
from oomph.quality.comparisons import compare_by_length
from oomph.records.grouping import evenly, grouped
from oomph.records.summary import RecordSummary
from oomph.units import counted
from oomph.views.calibration import errors_table, fit_sentences, fit_table
from oomph.views.figures import (
    Picture,
    energy_pictures,
    fit_pictures,
    memory_pictures,
    quality_pictures,
    source_pictures,
    speed_pictures,
)
from oomph.views.imported_quality import means_table, printed_table
from oomph.views.lead import lead_of
from oomph.views.material import Material
from oomph.views.pareto import pareto_table
from oomph.views.quality import gains_table, quality_table, recall_table
from oomph.views.table import MOST_ROWS, Table, for_page
from oomph.views.tables import experts_table, machine_table, outcomes_table, points_table
from oomph.views.task_figures import cost_pictures, task_pictures
from oomph.views.task_tables import (
    lengths_table,
    pairs_table,
    power_table,
    scores_table,
    tasks_table,
)
from oomph.views.timings import first_token_table, time_in_words, timings_table

ESTIMATE_TITLE: Final = "Predicted against measured"


@frozen
class Section:
    """A heading and what stands under it."""

    title: str
    text: str = ""
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    commands: tuple[str, ...] = ()

    @property
    def holds(self) -> str:
        """What is folded in it: `2 figures, a table of 29 rows`."""
        parts = [counted(len(self.pictures), "figure")] if self.pictures else []
        parts += [f"a table of {counted(len(table.rows), 'row')}" for table in self.tables]
        parts += [counted(len(self.commands), "command")] if self.commands else []
        return ", ".join(parts)


@frozen
class Chapter:
    """One model on one machine: the question, the answer with the tables and figures that carry it
    and what is in its figures, its evidence, the sections."""

    title: str
    headline: str
    evidence: tuple[str, ...]
    sections: tuple[Section, ...]
    question: str = ""
    basis: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()

    @property
    def every_picture(self) -> tuple[Picture, ...]:
        """Those in front and those of the sections."""
        return (*self.pictures, *(each for s in self.sections for each in s.pictures))


def build_chapter(material: Material, language: str = "en") -> Chapter:
    """A chapter of records of one model on one machine, of which there must be one; `language` is
    the headline's."""
    summaries = material.summaries
    shown = evenly(summaries, MOST_ROWS)
    some = _SOME.format(len(shown), len(summaries)) if len(shown) < len(summaries) else ""
    lead = lead_of(material, language)
    sections = (
        _tasks_section(material),
        Section(title="By active experts", tables=_tables(experts_table(summaries))),
        Section(title="Memory", pictures=_drawn(memory_pictures(material))),
        Section(
            title="Memory by source", text=_SOURCES, pictures=_drawn(source_pictures(material))
        ),
        Section(
            title="Speed", pictures=_drawn(speed_pictures(material), energy_pictures(material))
        ),
        Section(
            title="First token",
            text=" ".join(filter(None, (_FIRST_TOKEN, some))),
            tables=_tables(first_token_table(shown)),
        ),
        Section(
            title="Quality",
            pictures=_drawn(quality_pictures(material), cost_pictures(material)),
            tables=tuple(
                for_page(table)
                for table in (
                    quality_table(summaries),
                    recall_table(summaries),
                    gains_table(summaries),
                    printed_table(summaries),
                    means_table(summaries),
                    pareto_table(summaries),
                )
                if table.rows
            ),
        ),
        _estimate_section(material),
        _outcome_section(summaries),
        Section(
            title="Every point",
            text=some,
            tables=_tables(points_table(shown, material.predictions)),
        ),
        Section(title="Every test", text=some, tables=_tables(timings_table(shown))),
        Section(title="Machine and model", tables=(machine_table(summaries[-1].record),)),
        _repeat_section(summaries),
    )
    drawn = {each.name: each for section in sections for each in section.pictures}
    front = tuple(drawn[name] for name in lead.figures if name in drawn)
    told = {table.caption for table in lead.tables}
    left = (
        replace(
            section,
            pictures=tuple(each for each in section.pictures if each not in front),
            tables=tuple(each for each in section.tables if each.caption not in told),
        )
        for section in sections
    )
    return Chapter(
        title=_title(summaries[0]),
        question=lead.question,
        headline=lead.headline,
        basis=lead.basis,
        evidence=lead.evidence,
        tables=lead.tables,
        pictures=front,
        sections=tuple(
            s for s in left if s.pictures or s.commands or any(t.rows for t in s.tables)
        ),
    )


def _tasks_section(material: Material) -> Section:
    runs, pairs = material.task_runs, material.task_pairs
    tables = (
        scores_table(runs),
        pairs_table(pairs, runs),
        pairs_table(compare_by_length(runs), runs),
        lengths_table(runs),
        tasks_table(runs),
        power_table([each.n_pairs for each in pairs]),
    )
    return Section(
        title="Tasks over a long context",
        text=_TASKS,
        pictures=_drawn(task_pictures(material)),
        tables=tuple(for_page(table) for table in tables if table.rows),
    )


def _tables(*tables: Table) -> tuple[Table, ...]:
    """As much of each as a page shows."""
    return tuple(map(for_page, tables))


def _drawn(*pictures: Iterable[Picture]) -> tuple[Picture, ...]:
    """The pictures, each with as much of its data as a page shows."""
    return tuple(
        replace(picture, table=for_page(picture.table)) if picture.table else picture
        for several in pictures
        for picture in several
    )


_SOURCES = (
    "The estimate, made from the model's header alone; what llama.cpp says it allocated; where "
    "there is one, a dry run, in which memory is allotted and nothing is computed (llama.cpp's "
    "CUDA backend on a phantom card, or llama.cpp's own breakdown from when it fits its "
    "parameters to a card); and the highest use that a probe saw from outside: NVML's for a card, "
    "the kernel's for the process on a host, where pages that were asked for and never touched do "
    "not count."
)


_TASKS = (
    "An interval is of one setting alone, and two that overlap may still differ: settings are "
    "compared item by item, on the items that both were asked. p counts how often items that "
    "differ by chance alone would differ so much."
)


_SOME = (
    "{:,} of {:,} points are shown, in even steps; `oomph records export` writes all of them as a "
    "table."
)


_FIRST_TOKEN = (
    "A prompt's last position gives the first token, so the wait is its prefill in an empty "
    "context: cold is the first prompt after the load, warm the median of later ones."
)


def _title(summary: RecordSummary) -> str:
    cards = ", ".join(str(card.get("name", "a card")) for card in summary.record.environment.gpus)
    where = (
        f"imported from {summary.record.origin}"
        if summary.record.origin
        else f"on {summary.record.environment.machine}"
    )
    return f"{summary.record.model.name} {where}" + (f" ({cards})" if cards else "")


def _estimate_section(material: Material) -> Section:
    title, pictures, fit = (
        ESTIMATE_TITLE,
        _drawn(fit_pictures(material.shown_comparisons)),
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
    tables = _tables(errors_table(fit), fit_table(fit))
    return Section(
        title=title, text=text, notes=fit_sentences(fit), pictures=pictures, tables=tables
    )


def _outcome_section(summaries: Sequence[RecordSummary]) -> Section:
    text = (
        "A point that fails is a result too: its outcome, the line of llama.cpp's log that shows "
        "it, the next step."
    )
    return Section(title="Outcomes", text=text, tables=_tables(outcomes_table(summaries)))


def _repeat_section(summaries: Sequence[RecordSummary]) -> Section:
    commands = []
    for sweep, own in grouped(summaries, lambda each: each.record.sweep).items():
        model = own[0].record.model.path
        file = shlex.quote(model.replace("\\", "/").rpartition("/")[2])
        out = shlex.quote(f"results/{sweep}")
        commands += [_measuring(own, sweep, file, out), f"oomph report {out} --open"]
    if any(summary.record.sweep == "demo" for summary in summaries):
        commands = ["oomph demo", *commands]
    took = time_in_words(each.record for each in summaries)
    text = f"The {len(summaries)} points took {took}, on the machine above."
    return Section(title="How to repeat it", text=text, commands=tuple(commands))


def _measuring(own: Sequence[RecordSummary], sweep: str, model: str, out: str) -> str:
    """The command that made `sweep`'s own records: a search of frontiers and claims have their
    own."""
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
            str(value) for summary in own if (value := summary.record.config.get(knob)) is not None
        )
        for option, knob in axes.items()
    }
    options = [
        f"--{option} {shlex.quote(','.join(values))}" for option, values in asked.items() if values
    ]
    cards = ",".join(str(card.get("name")) for card in own[0].record.environment.gpus)
    phantom = (
        [f"--phantom {shlex.quote(cards)}"]
        if own[0].record.environment.backend == "phantom"
        else []
    )
    return " ".join(("oomph frontier", model, *options, *phantom, "--out", out))
