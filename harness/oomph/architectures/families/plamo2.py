"""Preferred Networks' PLaMo 2: Mamba by heads between layers of attention."""

from collections.abc import Iterator
from typing import Final

from oomph.architectures import tensor_parts as parts
from oomph.architectures.family import Family, Recurrence, Rope, Tensors
from oomph.architectures.spec import ModelSpec
from oomph.architectures.tensor_parts import Tensor


def _mamba(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Mamba whose heads decay, steered by a projection of what was convolved."""
    inner, heads = model.integer("ssm.inner_size"), model.integer("ssm.time_step_rank")
    state, n_dt = model.integer("ssm.state_size"), max(64, model.n_embd // 16)
    yield "ssm_in.weight", (model.n_embd, 2 * inner)
    yield "ssm_conv1d.weight", (model.integer("ssm.conv_kernel"), inner)
    yield "ssm_x.weight", (inner, n_dt + 2 * state)
    yield "ssm_dt.weight", (n_dt, heads)
    yield "ssm_dt.bias", (heads,)
    for which in "ad":
        yield f"ssm_{which}", (heads,)
    yield "ssm_out.weight", (inner, model.n_embd)
    yield "ssm_dt_norm", (n_dt,)
    for which in "bc":
        yield f"ssm_{which}_norm", (state,)


def _head_norms(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """Norms of query and key, of each head its own."""
    head_k = parts.head_size(model)[0]
    for which, n_head in zip("qk", parts.heads(model, il), strict=True):
        yield f"attn_{which}_norm.weight", (head_k, n_head)


def _post_norms(model: ModelSpec, il: int) -> Iterator[Tensor]:
    """What follows a part, named bare."""
    for name in ("post_attention_norm", "post_ffw_norm"):
        yield name, (model.n_embd,)


FAMILIES: Final = (
    Family(
        name="plamo2",
        tensors=Tensors(
            every=(parts.norm("attn_norm", "ffn_norm"), _post_norms),
            attention=(parts.fused_query_key_value, _head_norms),
            recurrent=(_mamba,),
            dense=(parts.fused_gated,),
        ),
        recurrence=Recurrence(layers="no_kv_heads", part="mamba_by_head"),
        rope=Rope(factors="none"),
    ),
)
