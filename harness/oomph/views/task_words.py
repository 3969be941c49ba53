"""Settings and comparisons of tasks in words: what tells a setting apart, what a pair shows."""

from collections.abc import Mapping, Sequence

from oomph.quality.comparisons import Paired
from oomph.quality.intervals import Interval
from oomph.quality.tasks import TaskRun, run_name
from oomph.records.grouping import Setting, SettingNames, model_key
from oomph.units import points, share
from oomph.views.table import Cell

FINDINGS: Mapping[str, str] = {
    "better": "better",
    "worse": "worse",
    "not shown": "no difference shown",
}


class RunNames:
    """Short names of several settings, each of which tells what the others have otherwise."""

    def __init__(self, runs: Sequence[TaskRun]) -> None:
        self._settings = SettingNames(_setting(run) for run in runs)
        self._several = len({run.n_expert_used for run in runs}) > 1
        self._names = len({run_name(run.first) for run in runs}) > 1
        self._models = len({model_key(run.first.model) for run in runs}) > 1

    def of(self, run: TaskRun) -> str:
        """Its experts where settings differ in them, its file where there are several, and every
        other knob that differs."""
        experts = f"{run.n_expert_used} experts" if run.n_expert_used else ""
        knobs = self._settings.of(_setting(run))
        is_told = knobs or self._models or self._names
        parts = [
            experts if self._several or not is_told else "",
            file_name(run) if self._models else "",
            f"run {run_name(run.first)}" if self._names and run_name(run.first) else "",
            knobs,
        ]
        return ", ".join(filter(None, parts)) or "as it is"


def file_name(run: TaskRun) -> str:
    """The model's file as it was named, without its folder."""
    path = run.first.model.path or run.first.model.name
    return path.replace("\\", "/").rpartition("/")[2]


def _setting(run: TaskRun) -> Setting:
    """The knobs that a name may need: the experts have a word of their own."""
    told = {knob: value for knob, value in run.knobs.items() if knob != "n_expert_used"}
    return tuple(
        (knob, tuple(value) if isinstance(value, list) else value)
        for knob, value in sorted(told.items())
    )


def share_cell(value: float, interval: Interval) -> Cell:
    """`83.3 % (74 to 90)`: a share and its 95 % interval."""
    low, high = (f"{100 * end:.0f}" for end in interval)
    return Cell(f"{share(value)} ({low} to {high})", value)


def points_words(comparison: Paired) -> str:
    """`+1.2 points (-0.8 to +3.1)`: the mean difference of scores and its 95 % interval."""
    low, high = map(points, comparison.interval)
    return f"{points(comparison.difference)} points ({low} to {high})"


def p_word(p: float) -> str:
    """A p-value to two digits; none is 0."""
    return "<0.001" if p < 0.001 else f"{p:.2g}" if p < 0.995 else "1"


def finding_words(comparison: Paired) -> str:
    """What a pair shows; "no difference shown" where it shows none, which is no sign of none."""
    return FINDINGS[comparison.finding]
