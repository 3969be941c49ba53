"""Seconds of the host's share: layers and experts in its memory, and the bus to the card.

A CPU reads weights at its memory's bandwidth and multiplies prompts at its arithmetic; its threads
meet at a barrier after each graph node. With a card beside it, a prompt's host weights are copied
over the bus and multiplied there (op_offload), where that is faster. All rates are one machine's
own: the defaults are a desktop's, for the first guess.
"""

from typing import Final

from oomph.estimate.speed_decode import Values
from oomph.estimate.work import AttentionWork, Work

HOST_OVERLAP: Final = 2.0
"""Power of the smooth maximum of a CPU's computing and reading."""
OP_OFFLOAD_TOKENS: Final = 32
"""From so many tokens on, a node with host weights is sent to the card
(ggml_backend_cuda_device_offload_op)."""


def host_values(c: Values, ram_bytes_per_s: float | None, bus_share: float) -> Values:
    """The coefficients for a card's bus, and for a told RAM where there is one.

    Weights on their way to the card pass through RAM several times: read, staged in pinned memory,
    read again.
    """
    bus = c["host.pcie_bytes_per_s"] * bus_share
    if ram_bytes_per_s is None:
        return {**c, "host.pcie_bytes_per_s": bus}
    copied = ram_bytes_per_s / c["host.copy_passes"]
    return {
        **c,
        "host.bandwidth_bytes_per_s": ram_bytes_per_s * c["host.ram_share"],
        "host.pcie_bytes_per_s": (copied**-HOST_OVERLAP + bus**-HOST_OVERLAP)
        ** (-1 / HOST_OVERLAP),
    }


def host_decode_terms(
    work: Work, c: Values, *, n_depth: float, n_parallel: int, has_card: bool
) -> dict[str, float]:
    """Seconds of one step on the host, by what takes them; nothing where nothing is placed
    there."""
    if work.is_idle:
        return {}
    experts = sum(work.expert_bytes.values()) * work.touched(n_parallel)
    dense = work.weight_bytes(n_parallel) - experts
    n_bytes = dense + experts * c["host.expert_byte_factor"]
    flops = n_parallel * (_flops(work) + 2 * _head_weights(work))
    terms = {
        "host memory": _smooth_maximum(
            n_bytes / c["host.bandwidth_bytes_per_s"], flops / c["host.flops_per_s"]
        ),
        "host nodes": c["host.token_s"] + _nodes(work) * c["host.node_s"],
        "host attention": n_parallel
        * sum(_kv_seconds(group, c, n_depth) for group in work.attention),
    }
    if has_card:
        terms["transfers"] = _crossings(work) * c["host.transfer_s"]
    return terms


def host_prefill_terms(
    work: Work,
    c: Values,
    *,
    n_prompt: int,
    n_depth: float,
    n_ubatch: int,
    op_offload: bool,
    card_compute_s: float | None,
) -> dict[str, float]:
    """Seconds of `n_prompt` tokens on the host; `card_compute_s` is what a card would take for its
    products, if any."""
    if work.is_idle:
        return {}
    n = min(n_ubatch, n_prompt)
    micro_batches = -(-n_prompt // n)
    n_bytes = work.weight_bytes(n)
    attention = sum(_scores_seconds(group, c, n_prompt, n_depth) for group in work.attention)
    if card_compute_s is not None and op_offload and n >= OP_OFFLOAD_TOKENS:
        copied = n_bytes / c["host.pcie_bytes_per_s"]
        return {
            "transfers": micro_batches * copied,
            "compute": micro_batches * card_compute_s,
            "host attention": attention,  # it has no weights, so that it is not sent to the card
        }
    compute = n * _flops(work) / c["host.flops_per_s"]
    return {
        "host compute": micro_batches
        * _smooth_maximum(n_bytes / c["host.bandwidth_bytes_per_s"], compute),
        "host nodes": micro_batches * (c["host.token_s"] + _nodes(work) * c["host.node_s"]),
        "host attention": attention,
    }


def _flops(work: Work) -> float:
    return sum(work.dense_flops.values()) + sum(work.expert_flops.values())


def _head_weights(work: Work) -> float:
    return float(work.n_vocab * work.n_embd) if work.head_bytes else 0.0


def _nodes(work: Work) -> float:
    """Graph nodes, near enough: a kernel of the card is a node of the graph."""
    return work.kernels + work.routing_kernels + 30 * work.recurrent_layers


def _crossings(work: Work) -> int:
    """Times that a token's activations change sides: in and out of the host's stretch, or of each
    expert layer's."""
    experts_only = work.expert_matrices and not work.attention
    return (
        2 * (len(work.attention) or 1)
        if not experts_only
        else 2 * max(int(work.routing_kernels // 15), 1)
    )


def _kv_seconds(group: AttentionWork, c: Values, n_depth: float) -> float:
    """One token's attention: the cache read at the share of bandwidth that strided rows reach."""
    n_bytes = group.cells(n_depth) * group.layers * group.row_bytes
    return n_bytes / (c["host.bandwidth_bytes_per_s"] * c["host.kv_bandwidth_share"])


def _scores_seconds(group: AttentionWork, c: Values, n_prompt: int, n_depth: float) -> float:
    """A prompt's attention: two products for each score."""
    cells = group.cells(n_depth + n_prompt / 2)
    flops = 4 * n_prompt * cells * group.layers * group.n_head * group.head_size
    return flops / (c["host.flops_per_s"] * c["host.attention_flops_share"])


def _smooth_maximum(a: float, b: float) -> float:
    maximum: float = (a**HOST_OVERLAP + b**HOST_OVERLAP) ** (1 / HOST_OVERLAP)
    return maximum
