"""What a started launch script kept of its promises, as a table."""

from collections.abc import Sequence

from oomph.advise.launch_check import LaunchFinding
from oomph.views.launch.spelling import plain
from oomph.views.table import Cell, Table


def findings_table(findings: Sequence[LaunchFinding]) -> Table:
    """A row per promise."""
    rows = tuple(
        (
            Cell(each.what),
            Cell(each.promised),
            Cell(plain(each.reported)),
            Cell("yes" if each.holds else "NO"),
        )
        for each in findings
    )
    return Table(
        caption="what the files promise", columns=("", "promised", "reported", "holds"), rows=rows
    )
