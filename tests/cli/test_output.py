"""Tables in a pipe."""

from oomph.cli.output import render_plain
from oomph.views.table import Cell, Table, number


def test_plain_table_is_aligned_complete_and_without_control_characters() -> None:
    table = Table(
        caption="caption",
        columns=("name", "MiB", "empty"),
        rows=(
            (Cell("short"), number(5.0), Cell("")),
            (Cell("a\x1b[2Jlonger name" * 9), number(12345.0), Cell("")),
        ),
    )
    caption, head, first, second, _ = render_plain(table).split("\n")
    assert caption == "caption"
    assert head.split() == ["name", "MiB"]
    assert len({len(head), len(first), len(second)}) == 1
    assert second.endswith("12,345")
    assert "\x1b" not in second
