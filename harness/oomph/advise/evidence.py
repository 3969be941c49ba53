"""Which records speak for a configuration on a card, and what they say.

Stands apart from `compare`, which puts figures beside figures: here a record is a source. One that
asked for at least as much and ran full shows that the configuration runs; one that asked for no
more and ran out shows that it cannot.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Literal

from oomph.architectures.layers import sliding_window
from oomph.architectures.spec import ModelSpec
from oomph.calibrate.expected_memory import PHANTOM
from oomph.config import RunConfig, padded_context
from oomph.errors import UnknownNameError
from oomph.estimate.estimator import Estimator
from oomph.estimate.memory import MemoryModel
from oomph.estimate.prediction import is_card
from oomph.frozen import frozen
from oomph.gpus import gpu
from oomph.units import MIB

if TYPE_CHECKING:
    from oomph.records.schema import ModelIdentity, Record


HEADER: Final = 64 * MIB
"""More than the header and the padding of any GGUF file: tensors of a published shape and their
file differ by less."""

_PROGRAM_KNOBS: Final = ("n_seq_max", "kv_unified", "n_outputs_max", "swa_full")
"""What programs have by themselves, so that two of them differ though nobody said so."""

Says = Literal["runs", "loads", "runs_out"]


@frozen
class Evidence:
    """What one record says. `is_same` is False where it asked for more (and ran) or for less (and
    ran out).

    `n_filled` are the tokens that were in the context at the end, `vram_bytes` the peak on the
    cards; None where nobody looked. A phantom card has no CUDA context: there, what runs has yet to
    fit beside one.
    """

    record_id: str
    says: Says
    is_same: bool
    outcome: str
    backend: str
    machine: str
    n_ctx: int
    n_filled: int | None
    vram_bytes: int | None

    @property
    def settles(self) -> bool:
        """Whether no further measurement is needed."""
        return self.says == "runs_out" or (self.says == "runs" and self.backend != PHANTOM)


def evidence(
    estimator: Estimator, config: RunConfig, records: "Iterable[Record]"
) -> tuple[Evidence, ...]:
    """What `records` say of `config` on the estimator's card; what settles the question first, then
    the closest."""
    asked = settled(config, estimator.model)
    found = (
        _evidence_of(record, asked, estimator) for record in records if is_of(record, estimator)
    )
    told = [each for each in found if each]
    return tuple(
        sorted(
            told,
            key=lambda each: (not each.settles, not each.is_same, abs(each.n_ctx - config.n_ctx)),
        )
    )


def is_of(record: "Record", estimator: Estimator) -> bool:
    """Whether a record is of the estimator's model and card (or of a machine without one, where
    none is named), and of a backend that is estimated."""
    is_its = is_model(record.model, estimator.model) and _is_card(record, estimator)
    return is_its and record.is_calibrating


def settled(config: RunConfig, model: ModelSpec) -> RunConfig:
    """`config` with what two spellings of one configuration differ in made equal; for comparison
    only."""
    experts = (config.n_expert_used or model.n_expert_used) if model.is_moe else None
    return config.with_(
        n_expert_used=experts,
        flash_attn="off" if config.flash_attn == "off" else "on",
        n_gpu_layers=-1 if config.n_gpu_layers > model.n_layer else config.n_gpu_layers,
        swa_full=config.swa_full or not sliding_window(model),
        rope_scaling=None,
        rope_scale=None,
        yarn_orig_ctx=None,
    )


def filled(record: "Record") -> int | None:
    """Tokens in the context when the record's point ended, None where it does not say."""
    before = record.conditions.n_filled
    if before is None:
        return None
    n_ctx = int(record.config["n_ctx"])
    ran = record.outcome.label == "ok"
    return min(before + (int(record.workload.get("n_prompt") or 0) if ran else 0), n_ctx)


def _evidence_of(record: "Record", asked: RunConfig, estimator: Estimator) -> Evidence | None:
    from oomph.calibrate.comparison import measured_vram_bytes, record_config

    tried = settled(record_config(record), estimator.model)
    says = _says(record, _padded(tried), _padded(asked), n_promised=asked.n_ctx)
    if says is None and (alike := like_its_program(asked, record, estimator)):
        says = _says(record, _padded(tried), _padded(alike), n_promised=asked.n_ctx)
    if says is None:
        return None
    peaks = measured_vram_bytes(record).values()
    return Evidence(
        record_id=record.record_id,
        says=says,
        is_same=_padded(tried) == _padded(asked),
        outcome=record.outcome.label,
        backend=record.environment.backend,
        machine=record.environment.machine,
        n_ctx=tried.n_ctx,
        n_filled=filled(record),
        vram_bytes=sum(peaks) if peaks else None,
    )


def like_its_program(asked: RunConfig, record: "Record", estimator: Estimator) -> RunConfig | None:
    """`asked` with slots, outputs and windows as the program of the record has them, where that
    takes at least as much memory of every card (no more, where the record ran out).

    So a sweep by llama-cpp-python speaks for llama-server. None where it does not, or where the
    model's graph is not known to the byte.
    """
    from oomph.calibrate.comparison import record_config

    tried = settled(record_config(record), estimator.model)
    alike = asked.with_(**{name: getattr(tried, name) for name in _PROGRAM_KNOBS})
    if alike == asked or not MemoryModel(estimator.model).is_known:
        return None
    from oomph.measure.accidents import ran_out

    own, its = (
        {
            name: part.total_bytes
            for name, part in estimator.memory(each).devices.items()
            if is_card(name)
        }
        for each in (asked, alike)
    )
    if ran_out(record):
        own, its = its, own
    return alike if all(its.get(name, 0) >= n_bytes for name, n_bytes in own.items()) else None


def _says(record: "Record", tried: RunConfig, asked: RunConfig, *, n_promised: int) -> Says | None:
    from oomph.measure.accidents import ran_out
    from oomph.measure.pruning import asks_at_least

    if record.outcome.label == "ok" and asks_at_least(tried, asked):
        return "runs" if (filled(record) or 0) >= n_promised else "loads"
    cards = record.environment.gpus
    had_limit = record.limits.get("memory_bytes") is not None or any(
        "ballast_bytes" in card for card in cards
    )
    # with a limit, or beside a ballast, it ran out of less than the card
    return "runs_out" if ran_out(record) and not had_limit and asks_at_least(asked, tried) else None


def _padded(config: RunConfig) -> RunConfig:
    """As llama.cpp rounds the context up, without what memory does not depend on."""
    return config.of_memory().with_(n_ctx=padded_context(config.n_ctx))


def is_model(measured: "ModelIdentity", model: ModelSpec) -> bool:
    """Whether a record's model is this one: by its file's size, its published name, or the size of
    its tensors."""
    if measured.arch != model.arch:
        return False
    if model.file_bytes is not None:
        return measured.file_bytes == model.file_bytes
    if _is_published(measured.path) and _is_published(model.source):
        return measured.path.lower() == model.source.lower()
    return 0 <= measured.file_bytes - model.n_bytes < HEADER


def _is_published(source: str) -> bool:
    """Whether a source is a name of the catalogue with a quantization, and no file."""
    return ":" in source and "/" not in source and not source.endswith(".gguf")


def _is_card(record: "Record", estimator: Estimator) -> bool:
    names = [str(card.get("name")) for card in record.environment.gpus]
    if estimator.gpu is None or not names:
        return not names and estimator.gpu is None
    own = [card.spec.name for card in estimator.cards if card.spec]
    found = [_catalogue_name(name) for name in names]
    return found == own if len(set(own)) > 1 else set(found) == set(own)


def _catalogue_name(name: str) -> str | None:
    try:
        return gpu(name).name
    except UnknownNameError:
        return None
