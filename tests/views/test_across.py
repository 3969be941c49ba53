"""Machines and builds stand side by side: a column and a colour each, nothing merged."""

from collections.abc import Callable
from pathlib import Path

import pytest

from oomph.errors import ConfigError
from oomph.records.schema import Record
from oomph.records.store import Store
from oomph.records.summary import by_subject, summaries_of
from oomph.views.across import machines_of, plot_rates_across
from oomph.views.report import across_chapters, build_report
from oomph.views.reporting import report_of

Make = Callable[..., Record]


@pytest.fixture
def two(make_record: Make) -> list[Record]:
    """The same points on two machines of one name, which their processors tell apart."""
    environment = make_record().environment
    other = environment.model_copy(update={"cpu": "Another CPU"})
    return [
        make_record(n_ctx=n_ctx, environment=each, record_id=f"{each.cpu}-{n_ctx}")
        for each in (environment, other)
        for n_ctx in (1024, 2048)
    ]


def test_machines_of_one_name_are_told_apart(two: list[Record]) -> None:
    groups = by_subject(summaries_of(two))
    assert list(machines_of(groups)) == ["bench-1, Some CPU", "bench-1, Another CPU"]
    chapters = build_report(summaries_of(two)).chapters
    assert [chapter.title for chapter in chapters] == [
        "Tiny-8x192",
        "Tiny-8x192 on bench-1, Some CPU",
        "Tiny-8x192 on bench-1, Another CPU",
    ]


def test_builds_are_told_apart(make_record: Make) -> None:
    newer = make_record().environment.model_copy(update={"llama_cpp_commit": "def5678"})
    records = [make_record(), make_record(environment=newer, record_id="n")]
    names = list(machines_of(by_subject(summaries_of(records))))
    assert names == ["bench-1, llama.cpp abc1234", "bench-1, llama.cpp def5678"]


def test_each_has_its_column_and_its_line(two: list[Record]) -> None:
    (chapter,) = across_chapters(summaries_of(two))
    assert chapter.headline == (
        "Tiny-8x192 on 2 machines or builds, 2 configurations measured on all of them"
    )
    (decode,) = chapter.tables
    assert decode.columns == ("n_expert_used", "n_ctx", "bench-1, Some CPU", "bench-1, Another CPU")
    assert [picture.name for picture in chapter.pictures] == [
        "decode-across",
        "prefill-across",
        "memory-across",
    ]
    series = {
        name: own[0].decode for name, own in machines_of(by_subject(summaries_of(two))).items()
    }
    axes = plot_rates_across(series, kind="tg").axes[0]
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words == list(series)


def test_what_one_machine_alone_measured_has_a_dash_for_the_other(
    two: list[Record], make_record: Make
) -> None:
    more = make_record(n_ctx=4096, record_id="more")
    (chapter,) = across_chapters(summaries_of([*two, more]))
    rows = [[cell.text for cell in row] for row in chapter.tables[0].rows]
    assert rows[-1][1] == "4,096"
    assert rows[-1][3] == "—"


def test_two_folders_of_one_machine_are_refused_and_of_two_are_not(
    two: list[Record], tmp_path: Path
) -> None:
    for name, own in (("a", two[:2]), ("b", two[2:]), ("c", two[:2])):
        with Store(tmp_path / name) as store:
            for record in own:
                store.append(record)
    with pytest.raises(ConfigError, match="the same points of one machine"):
        report_of([tmp_path / "a", tmp_path / "c"])
    assert len(report_of([tmp_path / "a", tmp_path / "b"]).chapters) == 3
