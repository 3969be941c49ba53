"""What llama-server's own --fit chooses, in words and as JSON."""

from typing import Any

from oomph.advise.own_fit import OwnFit
from oomph.estimate.fitting.question import DIES
from oomph.estimate.fitting.shares import Kept, Spill, spills
from oomph.views.language import render_text


def own_fit_paragraph(fit: OwnFit | None, language: str = "en") -> str:
    """What is chosen, what it leaves of each card, and when it dies; nothing where --fit is off."""
    if fit is None:
        return ""
    asked, chosen = fit.asked, fit.config
    parts = spills(chosen.override_tensor)
    some = 0 <= chosen.n_gpu_layers <= fit.n_layer
    split = [f"{share:g}" for share in chosen.tensor_split or ()]
    is_placed = chosen.n_gpu_layers != asked.n_gpu_layers
    return render_text(
        "own_fit",
        language,
        gave_up=fit.gave_up,
        dies=fit.gave_up == DIES,
        changes=chosen != asked,
        n_ctx=chosen.n_ctx if chosen.n_ctx != asked.n_ctx else None,
        asked_n_ctx=asked.n_ctx,
        n_gpu_layers=chosen.n_gpu_layers if is_placed and some else None,
        n_layer=fit.n_layer,
        split=",".join(split) if is_placed else "",
        on_host=[_layers(s) for s in parts if s.kept is Kept.ALL_BUT_EXPERTS],
        in_part=[
            {"layer": s.first, "kept": s.kept.name, "home": s.home}
            for s in parts
            if s.kept is not Kept.ALL_BUT_EXPERTS
        ],
        left=[{"card": f"CUDA{i}", "bytes": n_bytes} for i, n_bytes in enumerate(fit.left_bytes)],
        failure=fit.failure,
    )


def _layers(spill: Spill) -> str:
    return str(spill.first) if spill.first == spill.last else f"{spill.first}–{spill.last}"


def own_fit_json(fit: OwnFit | None) -> dict[str, Any] | None:
    """The choice by llama.cpp's knobs, why no more was changed, and what each card has left in
    bytes; None where --fit is off."""
    if fit is None:
        return None
    config = fit.config
    return {
        "n_ctx": config.n_ctx,
        "n_gpu_layers": config.n_gpu_layers,
        "tensor_split": list(config.tensor_split) if config.tensor_split else None,
        "override_tensor": config.override_tensor,
        "gave_up": fit.gave_up,
        "left_bytes": list(fit.left_bytes),
    }
