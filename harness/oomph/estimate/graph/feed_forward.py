"""Feed-forward parts: gated or plain, and experts with their router.

`dense` is llama.cpp's build_ffn, `experts` its build_moe_ffn; which tensors exist decides most of
both.
"""

from oomph.errors import ModelFileError
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import I32, Tensor


def dense(b: Builder, x: Tensor, il: int, tag: str = "") -> Tensor:
    """Up, activation, down; gated where the file has a gate, or where up holds both halves
    (phi3)."""
    up = b.linear(f"ffn_up{tag}", x, il)
    down = f"ffn_down{tag}"
    if b.has(f"ffn_gate{tag}.weight", il):
        h = _gate(b, b.linear(f"ffn_gate{tag}", x, il), up)
    elif up.ne[0] == 2 * b.weight(down, il).ne[0]:
        h = b.graph.glu(up)
    else:
        h = activation(b, up)
    return b.linear(down, h, il)


def activation(b: Builder, x: Tensor) -> Tensor:
    """The activation of a feed-forward without a gate."""
    if b.rules.activation == "relu_sqr":
        return b.graph.like("SQR", b.graph.unary("RELU", x))
    return b.graph.unary("GELU", x)


def routed(b: Builder, x: Tensor, il: int) -> Tensor:
    """The experts, plus the shared expert where there is one, behind its own gate where it has
    one."""
    if b.has("ffn_latent_down.weight", il):
        y = _latent_experts(b, x, il)
    elif b.has("ffn_routed_down.weight", il):
        y = _normed_latent_experts(b, x, il)
    else:
        y = experts(b, x, il)
    if not b.has("ffn_up_shexp.weight", il):
        return y
    if not b.has("ffn_gate_inp_shexp.weight", il):
        return b.graph.add(y, dense(b, x, il, "_shexp"))
    if b.rules.shared_gate == "silu_div":
        gate = _shared_gate(b, x, il)
        return b.graph.add(y, b.graph.mul(dense(b, x, il, "_shexp"), gate))
    shared = dense(b, x, il, "_shexp")
    return b.graph.add(y, b.graph.mul(shared, _shared_gate(b, x, il)))


def _shared_gate(b: Builder, x: Tensor, il: int) -> Tensor:
    logit = b.linear("ffn_gate_inp_shexp", x, il)
    if b.rules.shared_gate == "silu_div":  # qwen2moe writes the sigmoid as silu(x) / x
        return b.graph.like("DIV", b.graph.unary("SILU", logit), logit)
    return b.graph.unary("SIGMOID", logit)


def _latent_experts(b: Builder, x: Tensor, il: int) -> Tensor:
    """Experts on a narrower projection of the tokens, which the router does not see
    (nemotron_h_moe)."""
    low = b.linear("ffn_latent_down", x, il)
    return b.linear(
        "ffn_latent_up", experts(b, low, il, logits=b.linear("ffn_gate_inp", x, il)), il
    )


def _normed_latent_experts(b: Builder, x: Tensor, il: int) -> Tensor:
    """The same with a norm before they are projected up (kimi-k3)."""
    low = b.linear("ffn_routed_down", x, il)
    y = experts(b, low, il, logits=b.linear("ffn_gate_inp", x, il))
    if b.has("ffn_routed_norm.weight", il):
        y = b.norm(y, "ffn_routed_norm", il)
    return b.linear("ffn_routed_up", y, il)


def _gate(b: Builder, gate: Tensor, up: Tensor) -> Tensor:
    """The gated activation: fused, or of bounded parts (situ of kimi-k3)."""
    graph = b.graph
    if b.rules.gated_activation == "fused":
        return graph.glu(gate, up)
    bounded = graph.scale(graph.unary("TANH", graph.scale(gate)))
    bounded = graph.mul(bounded, graph.unary("SIGMOID", gate))
    if b.model.hparam("activation.situ_linear_beta", 0.0) > 0:
        up = graph.scale(graph.unary("TANH", graph.scale(up)))
    return graph.mul(bounded, up)


def beside_dense(b: Builder, x: Tensor, il: int) -> Tensor:
    """A dense feed-forward and experts side by side, each between norms of its own (gemma4)."""
    graph = b.graph
    plain = b.norm(dense(b, b.norm(x, "ffn_norm", il), il), "post_ffw_norm_1", il)
    scaled = graph.mul(graph.scale(b.norm(x, None)), b.weight("ffn_gate_inp.scale", il))
    logits = graph.mul_mat(b.weight("ffn_gate_inp", il), scaled)
    chosen = experts(b, b.norm(x, "pre_ffw_norm_2", il), il, logits=logits)
    return graph.add(plain, b.norm(chosen, "post_ffw_norm_2", il))


def experts(b: Builder, x: Tensor, il: int, *, logits: Tensor | None = None) -> Tensor:
    """The chosen experts' outputs, weighted and summed one by one (build_moe_ffn).

    `logits` [n_expert, n_tokens] are the router's, where it looks at something else than `x`.
    """
    graph, n_used, n = b.graph, b.shape(il).n_expert_used, x.ne[1]
    if n_used < 1:
        raise ModelFileError(
            f"{b.model.source}: layer {il} has a router, and the metadata say that no expert is "
            "used"
        )
    ids, weights = _route(
        b, b.linear("ffn_gate_inp", x, il) if logits is None else logits, il, n_used
    )
    graph.expand(weights)
    tokens = graph.reshape(x, x.ne[0], 1, n)
    if b.rules.weighs_inputs:
        tokens = graph.mul(graph.node("REPEAT", (x.ne[0], n_used, n), tokens), weights)
    y = _each(b, "down", _gated(b, tokens, ids, il), ids, il)
    if not b.rules.weighs_inputs:
        y = graph.mul(y, weights)
    graph.expand(y)
    parts = [
        graph.expand(graph.view(y, (y.ne[0], n), (y.nb[2],), i * y.nb[1])) for i in range(n_used)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = graph.expand(graph.add(total, part))
    return graph.cont(total) if n_used == 1 else total


def _each(b: Builder, which: str, x: Tensor, ids: Tensor, il: int) -> Tensor:
    """The chosen experts' matrix `which` on `x`, times its scales and plus its bias where the file
    has them."""
    graph, n = b.graph, x.ne[2]
    weight = b.weight(f"ffn_{which}_exps", il)
    y = graph.mul_mat_id(weight, x, ids)
    if scale := b.weight_if(f"ffn_{which}_exps.scale", il):
        n_expert = scale.ne[0]
        each = graph.node("REPEAT", (1, n_expert, n), graph.reshape(scale, 1, n_expert))
        y = graph.mul(y, graph.get_rows(each, ids))
    y = b.adapted(y, weight, x, ids)
    bias = b.weight_if(f"ffn_{which}_exps.bias", il)
    return graph.like("ADD_ID", y, bias, ids) if bias else y


def _gated(b: Builder, x: Tensor, ids: Tensor, il: int) -> Tensor:
    graph = b.graph
    if b.has("ffn_gate_up_exps.weight", il):
        both = _each(b, "gate_up", x, ids, il)
        half, steps = both.ne[0] // 2, both.nb[1:3]
        gate = graph.view(both, (half, *both.ne[1:3]), steps)
        return graph.glu(gate, graph.view(both, (half, *both.ne[1:3]), steps, half * both.nb[0]))
    up = _each(b, "up", x, ids, il)
    if not b.has("ffn_gate_exps.weight", il):
        return activation(b, up)
    return _gate(b, _each(b, "gate", x, ids, il), up)


def _route(b: Builder, logits: Tensor, il: int, n_used: int) -> tuple[Tensor, Tensor]:
    """The chosen experts [n_used, n_tokens] and their weights [1, n_used, n_tokens]."""
    graph, n_expert, n = b.graph, logits.ne[0], logits.ne[1]
    gating = _gating(b)
    probs = logits
    if gating == "softmax":
        probs = graph.like("SOFT_MAX", logits)
    elif gating == "sigmoid":
        probs = graph.unary("SIGMOID", logits)
    elif gating == "sqrt_softplus":
        probs = graph.like("SQRT", graph.unary("SOFTPLUS", logits))
    by_token = b.weight_if("ffn_gate_tid2eid.weight", il)
    bias = None if by_token else b.weight_if("exp_probs_b.bias", il)
    scores = graph.add(probs, bias) if bias else probs
    if b.model.integer("expert_group_count", 0) > 1:
        scores = _within_groups(b, scores)
    if by_token:
        ids = graph.node("GET_ROWS", (n_used, n), by_token, b.tokens(), quant=I32)
    else:
        ids = top_k(b, logits if b.rules.weighs_inputs else scores, n_used)
    weights = graph.get_rows(graph.reshape(probs, 1, n_expert, n), ids)
    if gating == "softmax_weight":
        weights = graph.reshape(
            graph.like("SOFT_MAX", graph.reshape(weights, n_used, n)), 1, n_used, n
        )
    if _renorms(b):
        weights = graph.reshape(weights, n_used, n)
        total = graph.like("CLAMP", graph.node("SUM_ROWS", (1, n), weights))
        weights = graph.reshape(graph.like("DIV", weights, total), 1, n_used, n)
    if b.model.hparam("expert_weights_scale", 0.0) not in (0.0, 1.0):
        weights = graph.scale(weights)
    return ids, weights


def _within_groups(b: Builder, scores: Tensor) -> Tensor:
    """`scores` with all but the best groups of experts masked; a group counts by the sum of its
    best two."""
    graph, (n_expert, n) = b.graph, scores.ne[:2]
    n_groups, n_used = (
        b.model.integer("expert_group_count"),
        b.model.integer("expert_group_used_count", 1),
    )
    width = n_expert // n_groups
    groups = graph.reshape(scores, width, n_groups, n)
    best = top_k(b, groups, 2)
    best = graph.get_rows(graph.reshape(groups, 1, width, n_groups, n), best)
    total = graph.node("SUM_ROWS", (1, n_groups, n), graph.reshape(best, 2, n_groups, n))
    chosen = top_k(b, graph.reshape(total, n_groups, n), n_used)
    kept = graph.get_rows(groups, chosen)
    return graph.reshape(graph.set_rows(graph.like("FILL", groups), kept, chosen), n_expert, n)


def top_k(b: Builder, x: Tensor, k: int) -> Tensor:
    """The first `k` of each row's order (ggml_argsort_top_k)."""
    order = b.graph.node("ARGSORT", x.ne, x, quant=I32)
    return b.graph.view(order, (k, *x.ne[1:]), order.nb[1:])


_GATING = {1: "softmax", 2: "sigmoid", 3: "softmax_weight", 4: "sqrt_softplus"}
"""llama_expert_gating_func_type as the metadata number it."""


def _gating(b: Builder) -> str:
    if not b.rules.expert_gating.startswith("metadata"):
        return b.rules.expert_gating
    default = "sigmoid" if b.rules.expert_gating == "metadata_or_sigmoid" else "softmax"
    return _GATING.get(b.model.integer("expert_gating_func", 0), default)


def _renorms(b: Builder) -> bool:
    if b.rules.expert_weights_norm is None:
        return bool(b.model.metadata.get(f"{b.model.arch}.expert_weights_norm", False))
    return b.rules.expert_weights_norm
