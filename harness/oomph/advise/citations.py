"""What was measured on the card that is asked about: kept small, cited beside an estimate.

One file per card and source in the cache folder (or, once a card was measured by us, beside this
module), a line per run. A card without a file costs one look into the folder.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from oomph.advise.evidence import is_model, settled
from oomph.architectures.spec import ModelSpec
from oomph.config import RunConfig, padded_context
from oomph.errors import OomphError
from oomph.estimate.estimator import Estimator
from oomph.files import write_files
from oomph.foreign import kept_bytes, parse_json
from oomph.frozen import frozen
from oomph.paths import cache_folder

if TYPE_CHECKING:
    from oomph.records.schema import Record


_SLOTS: Final = ("n_seq_max", "kv_unified", "n_outputs_max")
"""What takes memory, but no time of the one sequence that runs."""
SHIPPED: Final = Path(__file__).parent / "measured"


@frozen
class Citation:
    """A measured run of the model and settings that are asked about. `vram_bytes` is None where its
    context was another one; rates are in tokens per second with the depth that they were measured
    at, the nearest to the one asked."""

    card: str
    day: str
    n_ctx: int
    vram_bytes: int | None
    prefill: tuple[int, float] | None
    decode: tuple[int, float] | None


def measured_folder() -> Path:
    """Where runs of real cards are kept; may not exist yet."""
    return cache_folder() / "measured"


def keep_measured(records: "Iterable[Record]", folder: Path | None = None) -> list[Path]:
    """Keep what ran on single real cards, scrubbed as for sharing; the files written, none where
    nothing did."""
    import hashlib  # loads OpenSSL, which a question needs nothing of

    from oomph.records.harmless import scrub

    by_card: dict[str, list[str]] = {}
    for record in map(scrub, records):
        names = [card.get("name") for card in record.environment.gpus]
        if (
            record.environment.backend == "cuda"
            and record.is_calibrating
            and record.outcome.label == "ok"
            and len(names) == 1
            and names[0]
        ):
            row = json.dumps(_row(record), sort_keys=True)
            by_card.setdefault(names[0], []).append(row)
    folder, written = folder or measured_folder(), []
    for name, rows in by_card.items():
        text = "\n".join(dict.fromkeys(rows)) + "\n"
        path = folder / f"{_slug(name)}--{hashlib.sha256(text.encode()).hexdigest()[:8]}.jsonl"
        write_files({path: text}, otherwise="set OOMPH_CACHE to a folder that can be written")
        written.append(path)
    return written


def cited(
    estimator: Estimator, config: RunConfig, *, folders: Sequence[Path] | None = None
) -> list[Citation]:
    """What was measured of this model with these settings on this card, newest first; memory only
    at the same n_ctx."""
    if estimator.gpu is None or config.n_devices != 1:
        return []
    asked = settled(config, estimator.model)
    found: list[Citation] = []
    for row in _rows(estimator.gpu.name, folders or (SHIPPED, measured_folder())):
        with contextlib.suppress(OomphError, ValueError):  # knobs or a model that are none
            if _is_of(row["model"], estimator.model):
                found.extend(filter(None, [_citation(row, asked, estimator)]))
    best = sorted(found, key=lambda each: (each.vram_bytes is not None, each.day), reverse=True)
    return list(dict.fromkeys(best))


def _is_of(said: Mapping[str, Any], model: ModelSpec) -> bool:
    """Whether a row's model is this one; pydantic is loaded for the few that may be."""
    if said.get("arch") != model.arch:
        return False
    from oomph.records.schema import ModelIdentity

    return is_model(ModelIdentity.model_validate(said), model)


def _row(record: "Record") -> dict[str, Any]:
    from statistics import median

    from oomph.calibrate.comparison import measured_vram_bytes, record_config
    from oomph.records.disturbance import quiet_samples

    rates: dict[str, dict[int, list[float]]] = {"pp": {}, "tg": {}}
    for timing in record.timings:
        quiet = quiet_samples(record, timing)
        if timing.test[:2] in rates and timing.n_parallel == 1 and "+" not in timing.test and quiet:
            rates[timing.test[:2]].setdefault(timing.n_depth, []).append(
                timing.n_tokens * 1e9 / median(quiet)
            )
    kept = ("name", "path", "arch", "file_bytes", "header_sha256")
    did_work = record.workload.get("n_prompt") or record.workload.get("n_gen")
    return {
        "card": record.environment.gpus[0]["name"],
        "day": record.started_at,
        "model": {key: getattr(record.model, key) for key in kept},
        "config": record_config(record).to_dict(),
        "vram_bytes": measured_vram_bytes(record).get("CUDA0") if did_work else None,
        **{
            kind: [[depth, max(found)] for depth, found in sorted(each.items())]
            for kind, each in rates.items()
        },
    }


def _rows(card: str, folders: Iterable[Path]) -> Iterator[Mapping[str, Any]]:
    for folder in folders:
        for path in sorted(folder.glob(f"{_slug(card)}--*.jsonl")):
            for line in (kept_bytes(path) or b"").splitlines():
                with contextlib.suppress(ValueError):
                    row = parse_json(line)
                    if _is_row(row) and row["card"] == card:
                        yield row


def _is_row(row: Any) -> bool:
    """Whether it has the form and the values of `_row`'s, whoever wrote it."""
    if not isinstance(row, dict):
        return False
    vram = row.get("vram_bytes", "")
    return (
        isinstance(row.get("card"), str)
        and isinstance(row.get("day"), str)
        and isinstance(row.get("model"), dict)
        and isinstance(row.get("config"), dict)
        and (vram is None or _is_number(vram, above=0))
        and all(isinstance(row.get(kind), list) for kind in ("pp", "tg"))
        and all(map(_is_rate, row["pp"] + row["tg"]))
    )


def _is_rate(pair: Any) -> bool:
    return (
        isinstance(pair, list)
        and len(pair) == 2
        and _is_number(pair[0], above=-1)
        and _is_number(pair[1], above=0)
    )


def _is_number(value: Any, *, above: int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > above


def _citation(row: Mapping[str, Any], asked: RunConfig, estimator: Estimator) -> Citation | None:
    """The row as a citation, None where it is of other settings or says nothing."""
    run = settled(RunConfig.from_mapping(row["config"]), estimator.model).of_memory()
    slots = {name: getattr(run, name) for name in _SLOTS}
    if run.with_(n_ctx=1) != asked.of_memory().with_(n_ctx=1, **slots):
        return None
    same = run.with_(n_ctx=padded_context(run.n_ctx))
    is_same = same == asked.of_memory().with_(n_ctx=padded_context(asked.n_ctx))
    vram = row["vram_bytes"] if is_same else None
    prefill, decode = (_nearest(row[kind], asked.n_depth) for kind in ("pp", "tg"))
    if vram is None and prefill is None and decode is None:
        return None
    return Citation(
        card=row["card"],
        day=row["day"],
        n_ctx=run.n_ctx,
        vram_bytes=vram,
        prefill=prefill,
        decode=decode,
    )


def _nearest(rates: Sequence[Sequence[float]], depth: int) -> tuple[int, float] | None:
    found = min(rates, key=lambda each: abs(each[0] - depth), default=None)
    return None if found is None else (int(found[0]), float(found[1]))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
