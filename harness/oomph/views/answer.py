"""An answer as sentences in plain words, as a table of several, and as JSON.

Stands apart from `oomph.advise.answer`, which finds it out: here it only gets its words, which are
in the templates `texts/*/answer.jinja`, one per language.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from oomph.advise.alternatives import CRAWLS, EASY, Offer
from oomph.advise.answer import MODEL_FILE, Answer
from oomph.advise.placement.knobs import spelled_places
from oomph.advise.quality_cited import QualityCited
from oomph.advise.verdict import host_verdict, worse
from oomph.architectures.rope import RopeScaling
from oomph.calibrate.expected_memory import PHANTOM
from oomph.cards import kind_counts
from oomph.estimate.machine import DESKTOP_BYTES
from oomph.estimate.prediction import is_card
from oomph.units import MIB, NOT_MEASURED
from oomph.views.asked import asked_json, asked_paragraph
from oomph.views.host import host_json, host_paragraph
from oomph.views.language import NBSP, chance, render_text, respell, words_of
from oomph.views.own_fit import own_fit_json, own_fit_paragraph
from oomph.views.placement import placed_json
from oomph.views.readings import predicted_components
from oomph.views.table import Cell, Table, number
from oomph.views.trust_words import trust_json

_KEYS: Final = {"first_failure": "shortage", "first_failure_n_ctx": "shortage_n_ctx"}


def verdicts_text(answers: Sequence[Answer], language: str) -> str:
    """One sentence for each answer: yes, no or how likely, and by how much."""
    text = render_text(
        "answer", language, part="verdicts", answers=[_fields(answer) for answer in answers]
    )
    besides = ("n_expert_used",) if len(answers) > 1 else ()
    asked = asked_paragraph(answers[0].said, answers[0].config, language, besides=besides)
    fit = own_fit_paragraph(answers[0].own_fit, language)
    return f"{text.rstrip()}\n\n{asked}\n{fit}"


def details_text(answer: Answer, language: str) -> str:
    """What the verdict rests on: memory, speed, what runs out first, evidence, next step, what
    would do instead."""
    host = host_paragraph(answer.host, answer.config, language)
    return render_text("answer", language, part="details", a=_fields(answer), host=host)


def answers_table(answers: Sequence[Answer], language: str) -> Table:
    """Several numbers of experts side by side."""
    words = words_of(language, "answer")
    return Table(
        caption=words["caption"],
        columns=tuple(words["columns"]),
        rows=tuple(_row(a, language) for a in answers),
    )


def answer_json(answer: Answer) -> dict[str, Any]:
    """The answer for programs: sizes in bytes, rates per second, None where nothing is known.

    What fails first keeps the keys `shortage` and `shortage_n_ctx` of the first release.
    """
    fields = {_KEYS.get(name, name): value for name, value in asdict(answer).items()}
    del fields["said"]
    return fields | {
        "host": host_json(answer.host),
        "machine": answer.machine.to_dict(),
        "asked_as": asked_json(answer.said, answer.config),
        "own_fit": own_fit_json(answer.own_fit),
        "best": placed_json(answer.best),
        "front": [placed_json(each) for each in answer.front],
    }


def _row(answer: Answer, language: str) -> tuple[Cell, ...]:
    speeds = answer.speeds
    cells = (
        number(answer.n_expert_used),
        Cell(words_of(language, "answer")["verdicts"][answer.verdict]),
        Cell(
            NOT_MEASURED if answer.probability is None else chance(answer.probability),
            answer.probability,
        ),
        number(answer.memory.total_vram_bytes, unit=MIB),
        number(answer.margin_bytes, unit=MIB),
        number(speeds.full.prefill_tokens_per_s if speeds else None),
        number(speeds.full.decode_tokens_per_s if speeds else None, digits=1),
        number(speeds.first_token_s if speeds else None, digits=1),
    )
    return tuple(Cell(respell(cell.text, language).replace(NBSP, " "), cell.key) for cell in cells)


def _fields(answer: Answer) -> dict[str, Any]:
    """The answer's fields and what the sentences ask of them besides."""
    nothing = dict.fromkeys(("weights", "recurrent", "overhead", "kv_cache", "compute"), 0)
    parts = nothing | predicted_components(answer.memory)
    offers = [_offer(offer, answer) for offer in answer.offers]
    scaling, failure = answer.scaling, answer.first_failure
    failing = next((c for c in answer.cards if failure and c.device == failure.device), None)
    fields = {name: getattr(answer, name) for name in Answer.__dataclass_fields__}
    return fields | {
        "weights_alone": failure is not None and failure.stage in ("context", "weights"),
        "weights_bytes": answer.memory.devices[failing.device].weights_bytes if failing else 0,
        "failing": failing,
        "spare_bytes": answer.margin_bytes
        + (
            0
            if answer.card
            else max(part.overhead_bytes for part in answer.memory.devices.values())
        ),
        "kinds": kind_counts(card.name or "" for card in answer.cards),
        "easy": next((offer for offer in offers if offer["kind"] in EASY), None),
        "offers": offers,
        "nearest": next(
            (offer for offer in offers if (offer["decode_share"] or 1) >= CRAWLS), None
        ),
        "parts": parts,
        "riders": [
            (name, sum(part.total_bytes for each, part in devices.items() if is_card(each)))
            for name, devices in answer.memory.riders.items()
        ],
        "total_vram_bytes": answer.memory.total_vram_bytes,
        "nearest_quality": nearest_quality(answer.quality or ()),
        "is_split": _is_split(answer),
        "is_wanting": bool(answer.offers) or answer.verdict in ("no", "doubtful", "refused"),
        "max_split": ",".join(f"{share:g}" for share in answer.max_context_split or ()),
        "is_all": answer.max_context == answer.furthest_context,
        "host_decides": worse(answer.card_verdict, host_verdict(answer.host)) != answer.card_verdict
        and worse(answer.verdict, answer.card_verdict) != answer.card_verdict,
        "is_windows": answer.machine.system == "windows",
        "reserve_bytes": answer.machine.reserve_bytes,
        "lacks_desktop": bool(answer.cards)
        and not answer.machine.reserve_bytes
        and 0 <= answer.margin_bytes < DESKTOP_BYTES,
        "desktop_bytes": DESKTOP_BYTES,
        "exact_compute": answer.memory.exact_compute,
        "trust": trust_json(answer.memory.trust),
        "is_dense_with_experts": answer.n_expert_used is None
        and answer.config.n_expert_used is not None,
        "quantized_cache": answer.config.type_k not in ("f16", "bf16", "f32"),
        "on_phantom": f"--{PHANTOM}" in (answer.next_command or ""),
        "needs_file": MODEL_FILE in (answer.next_command or ""),
        "scaling_name": None
        if scaling is None
        else {"yarn": "YaRN"}.get(scaling.type, scaling.type),
        "scaling_flags": None if scaling is None else rope_flags(scaling),
    }


def _offer(offer: Offer, answer: Answer) -> dict[str, Any]:
    fields = {name: getattr(offer, name) for name in Offer.__dataclass_fields__}
    knobs = {name: name for name in ("flash_attn", "n_outputs_max", "swa_full", "n_ubatch")} | {
        "type_k": "type_kv"
    }
    changed = [
        {"kind": kind, "value": getattr(offer.config, knob)}
        for knob, kind in knobs.items()
        if getattr(offer.config, knob) != getattr(answer.config, knob)
    ]
    return fields | {
        "n_layer": answer.n_layer,
        "places": ", ".join(spelled_places(offer.config)),
        "split": _split(offer, answer),
        "moves_to_host": offer.host_bytes > answer.host_bytes,
        "parts": changed,
    }


def nearest_quality(found: Sequence[QualityCited]) -> list[QualityCited]:
    """Of tasks and of texts the nearest setting, and the nearest that was compared with another."""
    shown: list[QualityCited] = []
    for kind in ("tasks", "text"):
        own = [each for each in found if each.kind == kind]
        compared = [each for each in own if each.compared and each.apart == own[0].apart]
        shown += compared[:1] or own[:1]
    return shown


def _split(offer: Offer, answer: Answer) -> str:
    """The split that an offer needs besides, where it is about something else."""
    split = offer.config.tensor_split
    if offer.kind in ("tensor_split", "n_cpu_moe", "n_gpu_layers"):
        return ""
    if split == answer.config.tensor_split or not split:
        return ""
    return ",".join(f"{share:g}" for share in split)


def _is_split(answer: Answer) -> bool:
    """Whether more than the token embedding stays off the cards because it was asked for."""
    config = answer.config
    some_layers = 0 <= config.n_gpu_layers <= answer.n_layer
    is_moved = config.n_cpu_moe or config.tensor_overrides or not config.offload_kqv
    return bool(some_layers or is_moved)


def rope_flags(scaling: RopeScaling) -> str:
    """As llama-server spells it."""
    origin = f" --yarn-orig-ctx {scaling.original_context_length}" if scaling.type == "yarn" else ""
    return f"--rope-scaling {scaling.type} --rope-scale {scaling.factor:g}{origin}"
