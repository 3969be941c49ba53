"""One model's files side by side: what a smaller one costs in answers to the same items."""

from collections.abc import Sequence
from typing import Final

from oomph.quality.comparisons import compare_files
from oomph.quality.tasks import task_runs
from oomph.records.summary import RecordSummary
from oomph.units import counted
from oomph.views.sections import Chapter
from oomph.views.table import for_page
from oomph.views.task_tables import files_table
from oomph.views.task_words import file_name, finding_words, points_words

MOST_FILES: Final = 3
"""Files that the headline names."""


def files_chapters(groups: Sequence[Sequence[RecordSummary]]) -> list[Chapter]:
    """A chapter in front of those of several files that were asked the same items; none where no
    two were."""
    pairs = compare_files(task_runs(each for group in groups for each in group))
    if not pairs:
        return []
    names = {file_name(run) for pair in pairs for run in (pair.run, pair.reference)}
    told = "; ".join(
        f"{file_name(pair.run)}: {points_words(pair)}, {finding_words(pair)}"
        for pair in pairs[:MOST_FILES]
    )
    places = {run.first.environment.machine for p in pairs for run in (p.run, p.reference)}
    return [
        Chapter(
            title=f"{counted(len(names), 'file')} on the same items",
            question="What does a smaller file cost in answers?",
            headline=f"Against {file_name(pairs[0].reference)} on the same items: {told}",
            basis=(
                "That no difference is shown is no sign that there is none: the intervals hold "
                "what it may be. Items are the same where their tokens are, whatever file reads "
                f"them; they were asked on {', '.join(sorted(places))}.",
            ),
            evidence=(
                f"{counted(len(pairs), 'comparison')} of files, and each p counts among all of "
                "them (Holm).",
            ),
            tables=(for_page(files_table(pairs)),),
            sections=(),
        )
    ]
