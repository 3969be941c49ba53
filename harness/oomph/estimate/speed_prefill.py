"""Seconds of a prompt on a card: products, weights read, cells attended.

A prompt goes in micro-batches. Each multiplies its tokens with every matrix (compute) and reads
every weight that it touches once (memory); the two overlap, so they meet in a smooth maximum.
Experts get few tokens each and so fill the tiles badly; attention comes on top. As in
`speed_decode`, coefficients may be floats or numpy arrays.
"""

from typing import Final

from oomph.estimate.card import INT8_BUILD, NATIVE_FP4_BUILD, CardTraits
from oomph.estimate.speed_decode import (
    LAST_YEAR,
    MATVEC_COLUMNS,
    Values,
    boost,
    expert_seconds,
    growth,
    kernel_count,
    kernel_seconds,
    launch_factor,
    matrix_seconds,
    memory_byte_seconds,
    token_seconds,
    unpacking_seconds,
)
from oomph.estimate.work import AttentionWork, Work

TILE_FLOPS: Final = 2 * 128 * 128
LATENT_HEAD_SIZE: Final = 544
"""MLA's mean product size: (576 for the scores + 512 for the values) / 2."""


def prefill_terms(
    card: CardTraits,
    work: Work,
    c: Values,
    *,
    n_prompt: int,
    n_depth: float,
    n_ubatch: int,
    flash: bool,
    build_year: float,
) -> dict[str, float]:
    """Seconds of `n_prompt` tokens after `n_depth` cells, by what takes them."""
    micro_batches = -(-n_prompt // min(n_ubatch, n_prompt))
    n = n_prompt / micro_batches
    compute = compute_seconds(card, work, c, n=n, build_year=build_year)
    memory = read_seconds(card, work, c, n=n, build_year=build_year)
    power = c["prefill.overlap_power"]
    both = (compute**power + memory**power) ** (1 / power)
    touched = work.expert_matrices * work.touched(n) * c["expert.matrix_s"]
    kernels = kernel_count(work, c, build_year)
    own = launch_factor(card, c) / c["card.overhead_factor"]
    if has_float_experts(work) and n > MATVEC_COLUMNS:
        touched = (
            touched + work.expert_matrices * work.touched(n) * c["expert.float_matrix_s"] * own
        )
    launches = (kernels * c["prefill.kernel_s"] + c["prefill.micro_batch_s"]) * own + touched
    products, waiting = both, launches
    if n <= (1.5 if work.expert_share else MATVEC_COLUMNS):
        columns = matvec_seconds(card, work, c, n=n)
        launch = kernel_seconds(card, c, build_year) if n < 1.5 else c["prefill.kernel_s"] * own
        column_launches = kernels * launch + token_seconds(card, c)
        products = _lesser(columns + column_launches, both + launches)
        waiting = column_launches * 0
    return {
        "compute": micro_batches * products * (compute / (compute + memory)),
        "weights": micro_batches * products * (memory / (compute + memory)),
        "kernels": micro_batches * waiting,
        "attention": sum(
            prompt_attention_seconds(
                card, group, c, n_prompt=n_prompt, n_depth=n_depth, n=n, flash=flash
            )
            for group in work.attention
        ),
        "recurrent": n_prompt
        * work.recurrent_elements
        * 4
        * c["prefill.recurrent_passes"]
        / card.bandwidth_bytes_per_s,
        "activations": n_prompt * activation_seconds(card, work, c),
        "mask": n_prompt * _mean_cells(work, n_prompt, n_depth, n) * c["prefill.mask_entry_s"],
    }


def has_float_experts(work: Work) -> bool:
    """Whether experts' weights are not quantized: each expert's product is then a launch of its
    own, with the host in between (ggml_cuda_mul_mat_id)."""
    return work.expert_flops.get("f16", 0.0) > 0.5 * sum(work.expert_flops.values())


def activation_seconds(card: CardTraits, work: Work, c: Values) -> float:
    """Seconds a token's activations take on their way through memory between the products: norms,
    quantizing, sums."""
    n_bytes = 4 * sum(work.inner_sizes.values()) * c["prefill.activation_passes"]
    return n_bytes * memory_byte_seconds(card, c) / c["card.bandwidth_factor"]


def _mean_cells(work: Work, n_prompt: int, n_depth: float, n: float) -> float:
    """Cells that a token's row of the attention mask has in the mean; the host fills it, once for
    all layers."""
    return n_depth + (n_prompt + n) / 2 if work.attention else 0.0


def compute_seconds(
    card: CardTraits, work: Work, c: Values, *, n: float, build_year: float
) -> float:
    """Seconds of a micro-batch's products at the rate of each tensor kind, tiles lost at the edges
    included."""
    tile = c["prefill.tile_fill"] * TILE_FLOPS * card.sm_count
    rates = {
        kind: rate(card, c, kind, build_year) for kind in (*work.dense_flops, *work.expert_flops)
    }
    dense = sum(
        (flops * n + work.inner_sizes[kind] * tile) / rates[kind]
        for kind, flops in work.dense_flops.items()
    )
    if not work.expert_share:
        return dense
    touched = work.touched(n)
    tokens = n * work.expert_share / touched
    fill: float = (tokens / (tokens + c["expert.half_rate_tokens"])) ** c["expert.fill_exponent"]
    grown = growth(c["expert.growth_per_year"], build_year)
    share = c["expert.rate_share"] * c["card.expert_factor"] * grown * fill
    if card.has_wide_tensor_cores:
        share = share * c["expert.wide_factor"]
    return dense + sum(flops * n / rates[kind] for kind, flops in work.expert_flops.items()) / share


def rate(card: CardTraits, c: Values, kind: str, build_year: float) -> float:
    """FLOP/s that products of this tensor kind reach: int8 kernels where there are any, else cuBLAS
    in 16 bits."""
    own = c["card.compute_factor"] * boost(card, c)
    fp16_clock = clock_share(card, c, c["card.fp16_w_factor"]) * own
    fp16 = (
        c["prefill.fp16_share"]
        * c[f"prefill.fp16_factor.{card.generation}"]
        * card.fp16_flops
        * fp16_clock
    )
    if kind == "f16":
        return fp16
    if not uses_int8(card, build_year):
        return fp16 * c[f"prefill.kind_factor.{kind}"]
    share = c["prefill.int8_share"] * c[f"prefill.int8_factor.{card.generation}"]
    if card.generation == "Turing" and not card.has_int8_tensor_cores:
        share = share * c["prefill.dp4a_factor"]
    if card.has_wide_tensor_cores:
        share = share * c["prefill.int8_server_factor"]
    elif card.is_unified:
        share = share * c["card.unified_compute_factor"]
    grown = growth(c["prefill.int8_growth_per_year"], build_year)
    int8 = share * grown * card.int8_ops * clock_share(card, c, 1.0) * own
    if kind == "fp4" and card.has_fp4 and build_year > NATIVE_FP4_BUILD:
        int8 = int8 * c["prefill.native_fp4_factor"]
    return int8 * c[f"prefill.kind_factor.{kind}"]


def uses_int8(card: CardTraits, build_year: float) -> bool:
    """Whether quantized products run on int8: dp4a always (Pascal), tensor cores since June 2024
    (Turing and later)."""
    return card.int8_ops > 0 and (not card.has_int8_tensor_cores or build_year >= INT8_BUILD)


def read_seconds(card: CardTraits, work: Work, c: Values, *, n: float, build_year: float) -> float:
    """Seconds of reading the weights that a micro-batch touches, and of dequantizing them for
    cuBLAS."""
    n_bytes = work.weight_bytes(n)
    if not uses_int8(card, build_year):
        quantized = sum(flops for kind, flops in work.dense_flops.items() if kind != "f16")
        n_bytes = n_bytes + c["prefill.dequantize_factor"] * 2 * quantized
    return (
        n_bytes
        * memory_byte_seconds(card, c)
        * c["prefill.weight_read_factor"]
        / c["card.bandwidth_factor"]
    )


def matvec_seconds(card: CardTraits, work: Work, c: Values, *, n: float) -> float:
    """Seconds of a micro-batch so small that it is multiplied column by column."""
    once = matrix_seconds(card, c, work.dense_bytes) + matrix_seconds(card, c, work.head_bytes)
    once = once + expert_seconds(card, work, c, n_tokens=n)
    return once * (1 + c["matvec.column_share"] * (n - 1))


def prompt_attention_seconds(
    card: CardTraits,
    group: AttentionWork,
    c: Values,
    *,
    n_prompt: int,
    n_depth: float,
    n: float,
    flash: bool,
) -> float:
    """Seconds of a prompt's attention in these layers.

    The upper half of each micro-batch's square is masked but computed; a window's cache holds the
    window and the micro-batch. Cells that a window masks cost less where the cache keeps them.
    Without flash attention the scores go through memory several times; with it, each micro-batch
    first unpacks a quantized cache to 16 bits.
    """
    held = group.read_cells(n_depth + n_prompt / 2)
    cells = held if group.window is None else min(held, group.window + n)
    own = n / 2 / group.tokens_a_cell
    seen = cells + (held - cells) * c["attention.masked_share"] + own
    scores = n_prompt * seen * group.layers * group.n_head
    flops: float = scores * 4 * (LATENT_HEAD_SIZE if group.is_latent else group.head_size)
    if not flash:
        traffic = scores * c["attention.plain_bytes_per_score"] * memory_byte_seconds(card, c)
        return traffic / c["card.bandwidth_factor"] + flops / rate(card, c, "f16", LAST_YEAR)
    share = c["attention.flash_share"] * c[f"attention.flash_factor.{card.generation}"]
    if not card.has_tensor_cores:
        share = share * c["attention.no_tensor_cores_factor"]
    head: float = (min(group.head_size, 256) / 128) ** c["attention.flash_head_exponent"]
    slow: float = clock_share(card, c, 1.0) * c["card.compute_factor"] ** 0.5 * boost(card, c)
    unpacked = unpacking_seconds(card, group, c, n_prompt / n * held * group.layers)
    return flops / (share * head * card.fp16_flops * slow) + unpacked


def clock_share(card: CardTraits, c: Values, appetite: float) -> float:
    """The clock that the board's power limit leaves to products of this appetite: 1 where it has
    watts to spare."""
    watts = card.relative_w_per_sm_ghz / (c["card.prefill_w_per_sm_ghz"] * appetite)
    share: float = (1 + watts**-4.0) ** (-c["card.clock_exponent"] / 4)
    return share


def _lesser(a: float, b: float) -> float:
    """min(a, b) that also takes arrays."""
    return (a + b - abs(a - b)) / 2
