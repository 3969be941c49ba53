"""Feed-forward parts: gated or plain, and experts with their router.

`dense` is llama.cpp's build_ffn, `experts` its build_moe_ffn; which tensors exist decides most of
both.
"""

from oomph.errors import ModelFileError
from oomph.estimate.graph.builder import Builder
from oomph.estimate.graph.tensor import EXACT, I32, Tensor


def dense(b: Builder, x: Tensor, il: int, tag: str = "") -> Tensor:
    """Up, activation, down; gated where the file has a gate, or where up holds both halves
    (phi3)."""
    up = b.linear(f"ffn_up{tag}", x, il)
    down = f"ffn_down{tag}"
    if b.has(f"ffn_gate{tag}.weight", il):
        gate = b.linear(f"ffn_gate{tag}", x, il)
        h = _gate(b, gate, up, clamps=b.shape(il).clamps_dense)
    elif up.ne[0] == 2 * b.weight(down, il).ne[0]:
        h = b.graph.glu(up)
    else:
        h = activation(b, up)
    if scales := b.weight_if("ffn_act.scales", il):  # AWQ's, of an MPT
        h = b.graph.like("DIV", h, scales)
    if b.has(f"ffn_sub_norm{tag}.weight", il):
        h = b.norm(h, f"ffn_sub_norm{tag}", il)
    return b.linear(down, h, il)


def clamped(b: Builder, gate: Tensor, up: Tensor) -> Tensor:
    """A gated activation whose halves are clamped first (swiglu_clamp_exp, swiglu_clamp_shexp)."""
    graph = b.graph
    return graph.mul(graph.like("CLAMP", graph.unary("SILU", gate)), graph.like("CLAMP", up))


def activation(b: Builder, x: Tensor) -> Tensor:
    """The activation of a feed-forward without a gate."""
    if b.rules.activation == "relu_sqr":
        return b.graph.like("SQR", b.graph.unary("RELU", x))
    return b.graph.unary(b.rules.activation.upper(), x)


def routed(b: Builder, x: Tensor, il: int) -> Tensor:
    """The experts, plus the shared expert where there is one, behind its own gate where it has
    one."""
    if b.has("ffn_up_chexps.weight", il):
        return _with_adjugates(b, x, il)
    if b.has("ffn_latent_down.weight", il):
        y = _latent_experts(b, x, il)
    elif b.has("ffn_routed_down.weight", il):
        y = _normed_latent_experts(b, x, il)
    else:
        y = experts(b, x, il)
    if not b.has("ffn_up_shexp.weight", il):
        return y
    if not b.has("ffn_gate_inp_shexp.weight", il):
        y = b.graph.add(y, dense(b, x, il, "_shexp"))
        return b.graph.scale(y) if b.rules.averages_shared else y
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


def averaged(b: Builder, x: Tensor, il: int) -> Tensor:
    """A dense feed-forward and experts on the same tokens, their sum scaled (Grok 2)."""
    chosen = experts(b, x, il)
    return b.graph.scale(b.graph.add(dense(b, x, il), chosen))


def _with_adjugates(b: Builder, x: Tensor, il: int) -> Tensor:
    """The experts, plus the adjugate expert of each chosen one's group, which llama.cpp feeds with
    the experts' output (GroveMoE)."""
    logits = b.linear("ffn_gate_inp", x, il)
    own = experts(b, x, il, logits=logits)
    adjugates = experts(b, own, il, logits=logits, tag="_chexps")
    return b.graph.add(own, b.graph.scale(adjugates))


def _normed_latent_experts(b: Builder, x: Tensor, il: int) -> Tensor:
    """The same with a norm before they are projected up (kimi-k3)."""
    low = b.linear("ffn_routed_down", x, il)
    y = experts(b, low, il, logits=b.linear("ffn_gate_inp", x, il))
    if b.has("ffn_routed_norm.weight", il):
        y = b.norm(y, "ffn_routed_norm", il)
    return b.linear("ffn_routed_up", y, il)


def _gate(b: Builder, gate: Tensor, up: Tensor, *, clamps: bool) -> Tensor:
    """The gated activation: fused, of halves clamped first, or of bounded parts (situ of
    kimi-k3)."""
    graph = b.graph
    if clamps:
        return clamped(b, gate, up)
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


def experts(
    b: Builder, x: Tensor, il: int, *, logits: Tensor | None = None, tag: str = "_exps"
) -> Tensor:
    """The chosen experts' outputs, weighted and summed one by one (build_moe_ffn).

    `logits` [n_expert, n_tokens] are the router's, where it looks at something else than `x`. `tag`
    ends the names of the matrices.
    """
    graph, n_used, n = b.graph, b.shape(il).n_expert_used, x.ne[1]
    if n_used < 1:
        raise ModelFileError(
            f"{b.model.source}: layer {il} has a router, and the metadata say that no expert is "
            "used"
        )
    logits = b.linear("ffn_gate_inp", x, il) if logits is None else logits
    ids, weights = _route(b, logits, il, n_used, n_listed=b.weight(f"ffn_down{tag}", il).ne[2])
    graph.expand(weights)
    tokens = graph.reshape(x, x.ne[0], 1, n)
    if b.rules.weighs_inputs:
        tokens = graph.mul(graph.node("REPEAT", (x.ne[0], n_used, n), tokens), weights)
    y = _each(b, f"down{tag}", _gated(b, tokens, ids, il, tag), ids, il)
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
    weight = b.weight(f"ffn_{which}", il)
    y = graph.mul_mat_id(weight, x, ids)
    if b.rules.exact_down and which == "down_exps":
        y.kind = EXACT
    if scale := b.weight_if(f"ffn_{which}.scale", il):
        n_expert = scale.ne[0]
        each = graph.node("REPEAT", (1, n_expert, n), graph.reshape(scale, 1, n_expert))
        y = graph.mul(y, graph.get_rows(each, ids))
    y = b.adapted(y, weight, x, ids)
    bias = b.weight_if(f"ffn_{which}.bias", il)
    return graph.like("ADD_ID", y, bias, ids) if bias else y


def _gated(b: Builder, x: Tensor, ids: Tensor, il: int, tag: str) -> Tensor:
    graph = b.graph
    if b.has(f"ffn_gate_up{tag}.weight", il):
        both = _each(b, f"gate_up{tag}", x, ids, il)
        half, steps = both.ne[0] // 2, both.nb[1:3]
        gate = graph.view(both, (half, *both.ne[1:3]), steps)
        return graph.glu(gate, graph.view(both, (half, *both.ne[1:3]), steps, half * both.nb[0]))
    up = _each(b, f"up{tag}", x, ids, il)
    if not b.has(f"ffn_gate{tag}.weight", il):
        return activation(b, up)
    gate = _each(b, f"gate{tag}", x, ids, il)
    return _gate(b, gate, up, clamps=b.shape(il).clamps_experts)


def _route(
    b: Builder, logits: Tensor, il: int, n_used: int, *, n_listed: int
) -> tuple[Tensor, Tensor]:
    """The chosen experts [n_used, n_tokens] and their weights [1, n_used, n_tokens]. Of fewer
    experts than the router has, each stands for a group."""
    graph, n_expert, n = b.graph, logits.ne[0], logits.ne[1]
    gating = _gating(b)
    probs = _probabilities(b, logits, gating)
    if by_token := b.weight_if("ffn_gate_tid2eid.weight", il):
        ids = graph.node("GET_ROWS", (n_used, n), by_token, b.tokens(), quant=I32)
    else:
        scores = logits if b.rules.weighs_inputs else _scores(b, logits, probs, il)
        ids = top_k(b, scores, min(n_used, n_listed))
    if n_listed != n_expert:
        numbers = graph.scale(graph.node("CPY", ids.ne, ids))
        ids = graph.node("CPY", ids.ne, numbers, quant=I32)
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


def _probabilities(b: Builder, logits: Tensor, gating: str) -> Tensor:
    """What the router's logits say of each expert."""
    graph = b.graph
    if gating == "softmax":
        return graph.like("SOFT_MAX", logits)
    if gating == "sigmoid":
        return graph.unary("SIGMOID", logits)
    if gating == "sqrt_softplus":
        return graph.like("SQRT", graph.unary("SOFTPLUS", logits))
    return logits


def _scores(b: Builder, logits: Tensor, probs: Tensor, il: int) -> Tensor:
    """What the experts are chosen by: their probabilities, with the bias that balances them."""
    scores, bias = probs, b.weight_if("exp_probs_b.bias", il) or b.weight_if("exp_probs_b", il)
    if bias:
        scores = b.graph.add(probs, bias)
    if b.rules.chooses_by_sigmoid:
        scores = b.graph.unary("SIGMOID", logits)
    return _within_groups(b, scores) if b.model.integer("expert_group_count", 0) > 1 else scores


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
