"""llama-batched-bench's and sweep-bench's rows as records: one for each run in a file.

A row of llama-batched-bench has `pl` sequences in step, a row of sweep-bench (ik_llama.cpp and its
port) the depth `n_kv` at which both tests were made. Neither says where it ran: the lines above do.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from oomph.config import RunConfig
from oomph.frozen import frozen
from oomph.records.device_lines import UNKNOWN
from oomph.records.schema import Record
from oomph.records.tables.found import Row, Values
from oomph.records.tools.llama_bench import settings_of
from oomph.records.tools.made import (
    Source,
    duration_ns,
    rate_ns,
    record_of,
    smallest_context,
    timing,
    whole,
)
from oomph.records.tools.placed import Place, place_of_lines

_NEEDS: Final = frozenset({"pp", "tg", "t_pp", "t_tg"})
_NOWHERE: Final = Place(backend=UNKNOWN, cards=(), n_devices=0)


def is_batched_row(values: Values) -> bool:
    """Whether the values are a row of one of the two."""
    return set(values) >= _NEEDS and ("pl" in values or "n_kv" in values)


@frozen
class Step:
    """A row understood: its timings, the knobs and the place of its run."""

    row: Row
    timings: tuple[dict[str, Any], ...]
    config: dict[str, Any]
    unread: dict[str, str]
    place: Place | None
    n_parallel: int
    depth: int

    def continues(self, last: "Step") -> bool:
        """Whether it is of the run of the row before: under the same header, with the same knobs,
        and for sweep-bench no less deep."""
        same = (self.config, self.place, self.row.table) == (
            last.config,
            last.place,
            last.row.table,
        )
        kinds = "pl" in self.row.values, "pl" in last.row.values
        return same and kinds[0] == kinds[1] and (kinds[0] or self.depth >= last.depth)


def read_step(row: Row) -> Step:
    """The row understood; ValueError or ConfigError, in a few words, where it cannot be."""
    values = {**row.around.knobs, **row.values} if row.table > 0 else dict(row.values)
    config, unread = settings_of(values)
    if values.get("n_kv_max"):
        config = {"n_ctx": whole(values["n_kv_max"], "n_kv_max"), **config}
    place = place_of_lines(row.around)
    n_devices = {"n_devices": place.n_devices} if place else {}
    RunConfig.from_mapping({**config, **n_devices}, where="it")
    timings = tuple(_timings(values))
    if not timings:
        raise ValueError("it tests no token")
    is_batched = "pl" in values
    return Step(
        row=row,
        timings=timings,
        config=config | n_devices,
        unread=unread,
        place=place,
        n_parallel=whole(values["pl"], "pl") if is_batched else 1,
        depth=0 if is_batched else whole(values["n_kv"], "n_kv"),
    )


def _timings(values: Values) -> Iterator[dict[str, Any]]:
    is_batched = "pl" in values
    n_parallel = max(whole(values["pl"], "pl"), 1) if is_batched else 1
    n_prompt, n_gen = whole(values["pp"], "pp"), whole(values["tg"], "tg")
    depth = 0 if is_batched else whole(values["n_kv"], "n_kv")
    n_prompting = 1 if _is_shared(values, n_prompt, n_parallel) else n_parallel
    after = n_prompt if is_batched else depth
    tests = (("pp", n_prompt, n_prompting, depth), ("tg", n_gen, n_parallel, after))
    for kind, n_tokens, n_sequences, at in tests:
        ns = _ns(values, kind, n_tokens * n_sequences)
        if ns is not None:
            yield timing(kind, n_tokens, ns, n_depth=at, n_parallel=n_sequences)


def _ns(values: Values, kind: str, n_tokens: int) -> int | None:
    """The time of one test; None where it was not made. A printed table rounds its seconds to
    milliseconds and its speeds to hundredths: there the speed is the finer one."""
    seconds, rate = float(values[f"t_{kind}"]), values.get(f"speed_{kind}")
    if not n_tokens:
        return None
    if values.get("rounded") and rate is not None and 0 < float(rate) < 1e9:
        return rate_ns(n_tokens, rate, f"speed_{kind}")
    return duration_ns(seconds * 1e9, f"t_{kind}") if seconds > 0 else None


def _is_shared(values: Values, n_prompt: int, n_parallel: int) -> bool:
    """Whether the sequences had one prompt: as the row says it, else as its figures do."""
    if values.get("is_pp_shared") is not None:
        return bool(int(values["is_pp_shared"]))
    done = float(values["t_pp"]) * float(values.get("speed_pp") or 0)
    return 0 < done < n_prompt * (1 + n_parallel) / 2 and n_parallel > 1


def step_runs(steps: Iterable[Step]) -> list[list[Step]]:
    """The rows of each run, in their order."""
    runs: list[list[Step]] = []
    for step in steps:
        if runs and step.continues(runs[-1][-1]):
            runs[-1].append(step)
        else:
            runs.append([step])
    return runs


def step_record(run: Sequence[Step], source: Source) -> Record:
    """The record of a run's rows."""
    first, timings = run[0], [timing for step in run for timing in step.timings]
    config = {"n_ctx": _context(run), **first.config}
    if (n_seq_max := max(step.n_parallel for step in run)) > 1:
        config["n_seq_max"] = n_seq_max
    commit, number = first.row.around.build or (None, None)
    return record_of(
        source,
        origin="llama-batched-bench" if "pl" in first.row.values else "sweep-bench",
        config=config,
        model=source.named_model(),
        place=first.place or _NOWHERE,
        timings=timings,
        unread=first.unread,
        commit=commit,
        build_number=number,
    )


def _context(run: Sequence[Step]) -> int:
    """What holds the deepest test of all sequences."""
    return max(step.n_parallel * smallest_context(step.timings) for step in run)
