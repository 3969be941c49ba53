"""Three CUDA fusions that keep tensors alive past their last use.

A fused kernel reads its sources until its last node, so their room cannot be given to a node in
between. Only the choice of experts and the weighted sum of their outputs are fused over so many
nodes that it changes a buffer's size; since 0.6.0 a shared expert's products are, too, and come
right behind the routed experts'.
"""

from collections.abc import Mapping, MutableSequence, Sequence

from oomph.estimate.graph.tensor import Tensor

MAX_SUMMED_EXPERTS = 15
MAX_CHOSEN_FROM = 512
_ALSO_CHOSEN_FROM = (288, 576)

Kept = dict[Tensor, list[Tensor]]
"""Tensors to keep alive until the node that is the key has run; it may be the first node of the
next split."""


def kept_by_fusions(
    nodes: Sequence[Tensor], start: int, end: int, n_uses: Mapping[Tensor, int], kept: Kept
) -> None:
    """Add to `kept` what the fusions of a split, nodes `start` to `end`, keep alive."""
    i = start
    while i < end:
        node = nodes[i]
        if node.op == "MUL":
            length = _weighted_sum(nodes, i, end)
            if length:
                _keep(kept, nodes[i + length - 1], node.src[:2])
                i += length - 1
                node = nodes[i]
        if (node.op == "SOFT_MAX" and len(node.src) == 1) or (
            node.op == "UNARY" and node.kind in ("SIGMOID", "SOFTPLUS")
        ):
            length = _choice(nodes, i, end, n_uses)
            if length:
                part = nodes[i : i + length]
                _keep(
                    kept, nodes[i + length], [t for member in part for t in (member, *member.src)]
                )
                i += length - 1
        i += 1


_ROUTED = ("MUL_MAT_ID", "MUL_MAT_ID", "GLU")
_SHARED = ("MUL_MAT", "MUL_MAT", "GLU")


def group_shared_experts(
    nodes: MutableSequence[Tensor], start: int, end: int, n_uses: Mapping[Tensor, int], kept: Kept
) -> None:
    """Move each shared expert's products behind the routed experts' in a split, nodes `start` to
    `end`, and add to `kept` what both read (ggml_backend_cuda_graph_optimize of 0.6.0; read in its
    source, no backend here has shown it)."""
    i = start
    while i + 5 < end:
        at = _shared_behind(nodes, i, end, n_uses)
        if at:
            for k in range(3):
                nodes.insert(i + 3 + k, nodes.pop(at + k))
            up = nodes[i + 2].src[1]
            _keep(kept, nodes[i + 5], up.src[1:3])
            i += 5
        i += 1


def _shared_behind(nodes: Sequence[Tensor], i: int, end: int, n_uses: Mapping[Tensor, int]) -> int:
    """Where the shared expert of the routed experts at `i` is computed; 0 for nowhere."""
    if tuple(t.op for t in nodes[i : i + 3]) != _ROUTED:
        return 0
    for j in range(i + 3, end - 2):
        ops = tuple(t.op for t in nodes[j : j + 3])
        if ops[:2] == _ROUTED[:2]:
            return 0
        if ops == _SHARED and _is_one_layer(nodes[i : i + 3], nodes[j : j + 3], n_uses):
            return j
    return 0


def _is_one_layer(
    routed: Sequence[Tensor], shared: Sequence[Tensor], n_uses: Mapping[Tensor, int]
) -> bool:
    """Whether both read the same rows with matrices of one kind (ggml_cuda_match_shared_expert)."""
    pairs = (routed, shared)
    if any(len(glu.src) != 2 or a not in glu.src or b not in glu.src for a, b, glu in pairs):
        return False
    up, own_up = routed[2].src[1], shared[2].src[1]
    weight, own, rows = up.src[0], own_up.src[0], up.src[1]
    return (
        weight.device is not None
        and weight.quant.is_quantized
        and rows.op == "RESHAPE"
        and rows.src[0] is own_up.src[1]
        and rows.ne[1] == rows.ne[3] == 1
        and weight.quant == own.quant
        and weight.ne[:2] == own.ne[:2]
        and own.op == "NONE"
        and all(a.src[0].quant == b.src[0].quant for a, b, _ in pairs)
        and _is_closed((*routed, *shared), (routed[2], shared[2]), n_uses)
    )


def _keep(kept: Kept, until: Tensor, tensors: Sequence[Tensor]) -> None:
    held = kept.setdefault(until, [])
    held += [t for t in dict.fromkeys(tensors) if t not in held]


def _weighted_sum(nodes: Sequence[Tensor], i: int, end: int) -> int:
    """Nodes of the fused weighted sum that starts at `i`: MUL, a view an expert, and the additions;
    0 for none."""
    mul = nodes[i]
    if len(mul.src) != 2:
        return 0
    outputs, weights, n_experts = mul.src[0], mul.src[1], mul.ne[1]
    if weights.ne[0] != 1 or outputs.ne != mul.ne or weights.ne[1:] != mul.ne[1:]:
        return 0
    if not 2 <= n_experts <= MAX_SUMMED_EXPERTS:
        return 0
    rest = nodes[i + 1 : min(i + 2 * n_experts, end)]
    n_views = sum(1 for t in rest if t.op == "VIEW" and t.view_src is mul)
    n_adds = sum(1 for t in rest if t.op == "ADD")
    return 2 * n_experts if n_views == n_experts and n_adds == n_experts - 1 else 0


def _choice(nodes: Sequence[Tensor], i: int, end: int, n_uses: Mapping[Tensor, int]) -> int:
    """Nodes of the fused choice of experts that starts at `i`; 0 for none."""
    first = i
    if nodes[i].kind == "SOFTPLUS":
        i += 1
        if i >= end or nodes[i].op != "SQRT" or nodes[i].src[0] is not nodes[first]:
            return 0
    ops = [t.op for t in nodes[i : min(i + 13, end)]]
    wanted = ["RESHAPE", *(["ADD"] if ops[2:3] == ["ADD"] else []), "ARGSORT", "VIEW", "GET_ROWS"]
    if ops[1 : 1 + len(wanted)] != wanted or nodes[i + 1].src[0] is not nodes[i]:
        return 0
    length = 1 + len(wanted)
    scores = nodes[i + 2] if "ADD" in wanted else nodes[i]
    # llama4 sorts the logits and weighs by the scores
    if nodes[i + length - 3].src[0] is not scores:
        return 0
    ids = nodes[i + length - 2]
    if ops[length : length + 5] == ["RESHAPE", "SUM_ROWS", "CLAMP", "DIV", "RESHAPE"]:
        length += 5
    if ops[length : length + 1] == ["SCALE"] and nodes[i + length].src[0] is nodes[i + length - 1]:
        length += 1
    if i + length > end or i + length == len(nodes):
        return 0
    n_experts = ids.nb[1] // ids.nb[0]
    if (
        not (_is_power_of_two(n_experts) and n_experts <= MAX_CHOSEN_FROM)
        and n_experts not in _ALSO_CHOSEN_FROM
    ):
        return 0
    part = nodes[first : i + length]
    return len(part) if _is_closed(part, (ids, part[-1]), n_uses) else 0


def _is_power_of_two(n: int) -> bool:
    return n & (n - 1) == 0


def _is_closed(
    part: Sequence[Tensor], outputs: tuple[Tensor, ...], n_uses: Mapping[Tensor, int]
) -> bool:
    """Whether nothing outside `part` reads its members but `outputs` (ggml_can_fuse_subgraph)."""
    for t in part:
        if t in outputs:
            continue
        inside = sum(1 for member in part for source in member.src if source is t)
        if t.is_output or inside != n_uses.get(t, 0):
            return False
    return True
