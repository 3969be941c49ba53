"""What `oomph verify` found, a line for each model and one for all."""

from collections.abc import Sequence

from oomph.analysis.verify import Verified
from oomph.foreign_text import visible
from oomph.units import MIB, counted, mib, share


def verified_line(each: Verified) -> str:
    """One model: exact, what moved and by how much, or why it could not be asked."""
    if each.failed:
        return f"--  {visible(each.model)}: {visible(each.failed)}"
    if not each.differences:
        return f"ok  {visible(each.model)}: all {each.n_figures} figures exact"
    moved = (
        f"{d.part} predicted {mib(round(d.predicted_mib * MIB), 2)}, counted "
        f"{mib(round(d.counted_mib * MIB), 2)} (off by {share(d.share, 1)})"
        for d in each.differences
    )
    return f"!!  {visible(each.model)}: {'; '.join(moved)}"


def summary_line(found: Sequence[Verified], what: str) -> str:
    """All of them together: how many figures are exact, and the bound that follows."""
    held = [each for each in found if not each.failed]
    if not held:
        return f"{what}: no model could be asked"
    n_figures = sum(each.n_figures for each in held)
    n_wrong = sum(len(each.differences) for each in held)
    worst = max((each.compute_share for each in held), default=0.0)
    bound = f"compute buffers ± {share(worst, 1)}" if worst else "± 0 bytes"
    models = counted(len(held), "model")
    return (
        f"{what}: {n_figures - n_wrong} of {n_figures} figures of {models} are exact; {bound}"
        + (f"; {len(found) - len(held)} could not be asked" if len(found) > len(held) else "")
    )
