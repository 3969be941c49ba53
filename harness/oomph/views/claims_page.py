"""What stands before a claims page's single models: each claim with its verdict, a figure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oomph.analysis.claims import GB, ClaimsFile, runs_of
from oomph.records.schema import Record
from oomph.views.claims import Judged, judged_claims, verdicts_table
from oomph.views.figures import Picture
from oomph.views.plots_memory import plain
from oomph.views.readings import card_bytes
from oomph.views.sections import Chapter, Section
from oomph.views.style import BLUE, GRID, INK, ORANGE, legend_above, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def claims_chapter(
    claims: ClaimsFile, records: Sequence[Record], predicted_bytes: Mapping[str, int]
) -> Chapter:
    """What stands before a page's chapters of single models: each claim with its verdict."""
    card = str(records[0].environment.gpus[0]["name"])
    judged = judged_claims(claims, runs_of(claims, records, predicted_bytes), card)
    everything = [tries for _, tries in (*judged.claims, *judged.rules)]
    holding = sum(all(verdict.holds for _, verdict in tries) for tries in everything)
    partly = sum(any(v.holds for _, v in t) and not all(v.holds for _, v in t) for t in everything)
    return Chapter(
        title=f"{claims.name} on a phantom {card}",
        question="Do these claims about memory hold?",
        headline=f"Of {len(everything)} claims {holding or 'none'} "
        f"{'holds' if holding < 2 else 'hold'} whatever the settings, {partly or 'none'} with some "
        f"of them, {len(everything) - holding - partly or 'none'} not at all",
        basis=(
            "Allocated is what llama.cpp’s CUDA backend took on a phantom card with the context "
            "filled to its end, without a CUDA context, which a real card adds.",
        ),
        evidence=(),
        tables=(verdicts_table(judged),),
        pictures=(_picture(judged),),
        sections=(Section(title="Every setting", notes=judged.sentences, tables=judged.tables),),
    )


def _picture(judged: Judged) -> Picture:
    table = judged.tables[0]
    return Picture(
        name="claims",
        figure=plot_claims(judged),
        caption="What is claimed (bars) and what is allocated under each setting (points), in GB "
        "of 10^9 bytes. An arrow is a configuration that does not run.",
        alt="; ".join(judged.sentences),
        table=table,
    )


def plot_claims(judged: Judged) -> "Figure":
    """A row for each claim: a bar from what is claimed at least to at most, a point for each
    setting's allocation, the card as a line."""
    claims = judged.claims
    figure, (axes,) = new_figure(height=1.3 + 0.55 * len(claims))
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x")
    sizes = [n / GB for _, tries in claims for run, _ in tries if (n := run.allocated_bytes)]
    card = card_bytes(claims[0][1][0][0].record) if claims else None
    edge = (card or max(sizes) * GB) / GB
    looks: list[dict[str, Any]] = [{"color": BLUE}, {"color": ORANGE}]
    kinds = list(dict.fromkeys(run.config.flash_attn for _, tries in claims for run, _ in tries))
    for row, (claim, tries) in enumerate(claims):
        if claim.gb is not None:
            low, high = claim.gb
            axes.plot([low, high], [row, row], color=GRID, linewidth=9, solid_capstyle="butt")
            if low == high:
                axes.plot([low], [row], marker="|", markersize=14, color=GRID, markeredgewidth=4)
        for run, _ in tries:
            look = looks[kinds.index(run.config.flash_attn) % 2]
            n_bytes = run.allocated_bytes
            at = edge if n_bytes is None else n_bytes / GB
            axes.plot([at], [row], marker=">" if n_bytes is None else "o", markersize=6, **look)
        axes.annotate(
            plain(claim.says),
            (0, row),
            xycoords=("axes fraction", "data"),
            xytext=(2, 9),
            textcoords="offset points",
            fontsize=7.5,
            color=INK,
        )
    for kind, look in zip(kinds, looks, strict=False):
        axes.plot(
            [], [], marker="o", linestyle="none", label=f"allocated, flash_attn {kind}", **look
        )
    axes.plot([], [], color=GRID, linewidth=7, label="claimed")
    if card:
        axes.axvline(edge, color=INK, linewidth=1, linestyle=(0, (5, 2)), label="the card")
    axes.set_yticks([])
    axes.set_ylim(len(claims) - 0.4, -0.75)
    axes.set_xlim(0, 1.06 * max([edge, *sizes]))
    axes.set_xlabel("GB (10^9 bytes)")
    legend_above(axes, columns=2)
    return figure
