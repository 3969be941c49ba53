"""Seconds of one decoding step on a card: weights read, kernels launched, cells attended.

Every weight that a token uses is read once, so bandwidth leads; what keeps a card from its data
sheet's bandwidth is the arithmetic of unpacking (SM clocks for each byte), which adds in squares,
and the kernels' launch times, which add. Coefficients are looked up by name and only added,
multiplied and raised to powers, so a fit may pass numpy arrays (one entry a varied coefficient)
where a prediction passes floats.
"""

import math
from collections.abc import Mapping
from typing import Final

from oomph.estimate.card import CardTraits, fused_share
from oomph.estimate.work import AttentionWork, Work

LOGITS_BYTES_PER_S: Final = 12e9
"""Copying the logits to the host: PCIe to pageable memory."""
VECTOR_HEAD: Final = 256
"""Largest head that flash attention's one-token kernel has (fattn.cu); it unpacks a quantized cache
as it goes, where others want all of it in 16 bits first."""
SHARING_HEADS: Final = 4
"""Query heads beyond which, for more than `SHARING_CELLS`, one token takes the kernel in which they
share a head of the cache, from Ada on; Turing and Ampere take it always (fattn.cu)."""
SHARING_CELLS: Final = 8192
SHARING_BUILD: Final = 2025.4
"""Query heads share since PR 12014 of February 2025; rows of builds before May gain nothing by
it."""
ROTATION_BUILD: Final = 2026.24
"""A quantized cache holds rotated K and V since spring 2026 (PR 21038)."""
MATVEC_COLUMNS: Final = 8
"""Up to so many tokens ggml-cuda multiplies column by column (MMVQ_MAX_BATCH_SIZE)."""

REFERENCE_YEAR: Final = 2025.6
"""The build date that the rates are of; they grow before and after it."""
LAST_YEAR: Final = 2026.7
"""The newest build of which rates are known: they are taken to stay after it."""

Values = Mapping[str, float]


def decode_terms(
    card: CardTraits,
    work: Work,
    c: Values,
    *,
    n_depth: float,
    n_parallel: int,
    flash: bool,
    build_year: float,
) -> dict[str, float]:
    """Seconds of one step of `n_parallel` sequences, each `n_depth` cells deep, by what takes
    them."""
    columns = 1 + c["matvec.column_share"] * (n_parallel - 1)
    head = matrix_seconds(card, c, work.head_bytes)
    return {
        "weights": (matrix_seconds(card, c, work.dense_bytes) + head) * columns,
        "experts": expert_seconds(card, work, c, n_tokens=n_parallel),
        "kernels": token_seconds(card, c)
        + kernel_count(work, c, build_year) * kernel_seconds(card, c, build_year)
        + work.n_vocab * 4 * n_parallel / LOGITS_BYTES_PER_S,
        "attention": n_parallel
        * sum(
            attention_seconds(card, group, c, n_depth=n_depth, flash=flash, build_year=build_year)
            for group in work.attention
        ),
        "recurrent": n_parallel
        * work.recurrent_elements
        * 4
        * c["decode.recurrent_passes"]
        / card.bandwidth_bytes_per_s,
    }


def byte_seconds(card: CardTraits, c: Values, kind: str) -> float:
    """Seconds to read and multiply one byte of a matrix with one column: memory and arithmetic, in
    squares."""
    share = c["matvec.bandwidth_share"] * c[f"matvec.bandwidth_factor.{card.generation}"]
    if card.is_unified:
        share = share * c["card.unified_bandwidth_factor"]
    memory = memory_byte_seconds(card, c) / share
    clocks = c["matvec.clocks_per_byte"] * c[f"matvec.clocks_factor.{kind}"]
    if card.generation == "P100":
        clocks = clocks * c["matvec.clocks_without_dp4a"]
    slow = power_slowdown(card, c)
    arithmetic = clocks * slow / clock_hz(card, c)
    seconds: float = (memory**2 + arithmetic**2) ** 0.5 * slow**0.5 / c["card.bandwidth_factor"]
    return seconds


def matrix_seconds(card: CardTraits, c: Values, bytes_by_kind: Mapping[str, float]) -> float:
    """Seconds of reading and multiplying these matrices with one column."""
    return sum(n_bytes * byte_seconds(card, c, kind) for kind, n_bytes in bytes_by_kind.items())


def expert_seconds(card: CardTraits, work: Work, c: Values, *, n_tokens: float) -> float:
    """Seconds of the experts that `n_tokens` tokens touch, with one column each."""
    share = work.expert_share if n_tokens == 1 else work.touched(n_tokens)
    return matrix_seconds(card, c, work.expert_bytes) * share * c["matvec.expert_byte_factor"]


def kernel_count(work: Work, c: Values, build_year: float) -> float:
    """Kernels of a token; fusions take most of those that route to experts."""
    routing: float = work.routing_kernels * c["decode.fused_routing_factor"] ** fused_share(
        build_year
    )
    rotations = work.rotations if build_year > ROTATION_BUILD else 0.0
    recurrent = work.recurrent_layers * c["decode.recurrent_kernels"]
    return work.kernels + routing + rotations + recurrent


def kernel_seconds(card: CardTraits, c: Values, build_year: float) -> float:
    """Seconds that a kernel takes beyond its bytes."""
    seconds = (
        c["decode.kernel_s"]
        * c[f"decode.kernel_factor.{card.generation}"]
        / c["card.overhead_factor"]
    )
    if not card.has_graphs:
        seconds = seconds * c["decode.no_graph_factor"]
    if card.is_unified:
        seconds = seconds * c["card.unified_kernel_factor"]
    fused: float = c["decode.fused_factor"] ** fused_share(build_year)
    return (
        seconds
        * fused
        * growth(-c["decode.launch_gain_per_year"], build_year)
        * launch_factor(card, c)
    )


def token_seconds(card: CardTraits, c: Values) -> float:
    """Seconds that a token takes whatever the model: sampling, synchronisation."""
    return c["decode.token_s"] / c["card.overhead_factor"] * launch_factor(card, c)


def launch_factor(card: CardTraits, c: Values) -> float:
    """What the operating system makes of launches: Windows' display driver model puts a queue
    before the card."""
    return c["card.windows_launch_factor"] if card.is_windows else 1.0


def growth(per_year: float, build_year: float) -> float:
    """`exp(per_year * years since the reference)`; e as a power, so that `per_year` may be an
    array."""
    factor: float = math.e ** (per_year * (min(build_year, LAST_YEAR) - REFERENCE_YEAR))
    return factor


def attention_seconds(
    card: CardTraits,
    group: AttentionWork,
    c: Values,
    *,
    n_depth: float,
    flash: bool,
    build_year: float,
) -> float:
    """Seconds that one token's attention takes in these layers: KV bytes and clocks, in squares as
    for the weights.

    Flash attention takes clocks for each score, spread over the SMs, fewer where query heads share
    what they read of the cache. Of a quantized cache each query head unpacks the elements anew,
    which takes clocks for each of them; heads too large for that kernel have the whole cache
    unpacked through memory for every token. Without flash attention softmax and the product with V
    walk each row of cells in one block: clocks for each cell, however many SMs and heads there are.
    """
    n_cells = group.read_cells(n_depth)
    cells, unpacked, apart = n_cells * group.layers, 0.0, math.inf
    if flash:
        apart = apart_cells(card, group, build_year)
        factor = c["attention.flash_byte_factor"]
        clocks = c["attention.flash_clocks_per_score"] * group.n_head
        clocks = clocks * growth(-c["attention.flash_gain_per_year"], build_year)
        if card.is_before_turing:
            clocks = clocks * c["attention.flash_clocks_old_factor"]
        if group.quantized_share and group.head_size <= VECTOR_HEAD:
            elements = group.quantized_share * group.head_size * group.n_head
            clocks = clocks + c["attention.quantized_clocks_per_element"] * elements
        elif group.quantized_share:
            unpacked = unpacking_seconds(card, group, c, cells)
        hz = clock_hz(card, c)
    else:
        factor = c["attention.plain_byte_factor"]
        clocks = (
            c["attention.plain_clocks_per_cell"]
            * c[f"attention.plain_clocks_factor.{card.generation}"]
        )
        clocks = clocks * growth(-c["attention.plain_gain_per_year"], build_year)
        if card.is_server:
            clocks = clocks * c["attention.plain_server_factor"]
        hz = clock_hz(card, c) / card.sm_count
    read = factor * group.row_bytes * memory_byte_seconds(card, c) / c["card.bandwidth_factor"]
    alone: float = (read**2 + (clocks / hz) ** 2) ** 0.5
    if n_cells < apart:
        return cells * alone + unpacked
    shared = clocks * c["attention.shared_clocks_factor"]
    together: float = (read**2 + (shared / hz) ** 2) ** 0.5
    return _greater(cells * together, apart * group.layers * alone) + unpacked


def apart_cells(card: CardTraits, group: AttentionWork, build_year: float) -> float:
    """Cells below which one token's query heads each read a head of the cache for themselves, as
    fattn.cu chooses its kernel; a kernel that is taken from there on saves nothing of them."""
    if build_year < SHARING_BUILD or card.is_before_turing:
        return math.inf
    if group.head_size > VECTOR_HEAD:
        return 0.0
    if group.quantized_share or group.heads_to_cell < 2:
        return math.inf
    if card.is_before_ada:
        return 0.0
    if group.heads_to_cell <= SHARING_HEADS:
        return math.inf
    return 0.0 if group.head_size == VECTOR_HEAD else SHARING_CELLS


def _greater(a: float, b: float) -> float:
    """max(a, b) that also takes arrays."""
    return (a + b + abs(a - b)) / 2


def unpacking_seconds(card: CardTraits, group: AttentionWork, c: Values, cells: float) -> float:
    """Seconds of unpacking so many cells of a quantized cache to 16 bits: through memory and
    back."""
    elements = cells * group.n_head_kv * group.head_size * 2 * group.quantized_share
    n_bytes = elements * 4 * c["attention.unpack_passes"]
    return n_bytes * memory_byte_seconds(card, c) / c["card.bandwidth_factor"]


def memory_byte_seconds(card: CardTraits, c: Values) -> float:
    """Seconds of a byte at the data sheet's bandwidth, ECC paid."""
    ecc = c["card.ecc_factor"] if card.has_ecc else 1.0
    return ecc / card.bandwidth_bytes_per_s


def clock_hz(card: CardTraits, c: Values) -> float:
    """SMs x clock: consumer cards boost above the data sheet."""
    return card.sm_hz * boost(card, c)


def boost(card: CardTraits, c: Values) -> float:
    """The clock against the data sheet's."""
    return c["card.consumer_boost"] if card.is_consumer else 1.0


def power_slowdown(card: CardTraits, c: Values) -> float:
    """How much a board's power limit slows one-token work: 1 where it has watts to spare."""
    slowdown: float = (
        1 + (card.relative_w_per_sm_ghz / c["card.decode_w_per_sm_ghz"]) ** -4.0
    ) ** 0.25
    return slowdown
