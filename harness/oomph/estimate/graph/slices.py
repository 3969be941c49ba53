"""How --split-mode tensor cuts each tensor and cache among the cards.

A replay of llama_meta_device_get_split_state (llama.cpp 0.5.0, src/llama-model.cpp): `ROLES` says
along which dimension a tensor is cut and in which pieces, and a card's share is rounded down to
whole pieces. Which card takes the remainder turns from layer to layer. What no role names, each
card has whole.
"""

import re
from collections.abc import Iterator, Sequence
from math import lcm
from typing import Final, Literal

from oomph.architectures.layers import n_decoding, n_predicting, recurrent_layers, windowed_layers
from oomph.architectures.spec import ModelSpec
from oomph.estimate.graph.hparams import Hparams, LayerShape, SsmShape, resolve_head
from oomph.estimate.graph.placement import META, Placement, float32, is_loaded, layer_of
from oomph.estimate.graph.tensor import Shape, shape
from oomph.frozen import frozen

REFUSED: Final = frozenset({
    "bailingmoe3", "bitnet", "deepseek2", "deepseek32", "dots3note", "falcon-h1", "gemma3n",
    "glm-dsa", "glm5-next", "granitehybrid", "grok", "hy_v4", "jamba", "kimi-k3", "kimi-linear",
    "mamba", "mamba2", "minicpm3", "minimax-01", "minimax-m2", "minimax-m3", "mistral4", "mpt",
    "nemotron_h", "nemotron_h_moe", "olmo2", "olmoe", "plamo2", "qwen3tts", "qwen4exp", "t5",
})  # fmt: skip
"""The architectures that llama.cpp 0.5.0 has no such split for (llm_arch_supports_sm_tensor)."""

WHOLE: Final = ("hrm_text",)
"""Architectures that every card computes whole."""
WHOLE_STATES: Final = ("lfm2", "lfm2moe")
"""Architectures whose recurrent layers every card computes whole, states and all."""

EFFICIENT: Final = 128
"""Elements that a piece has at least, for the kernels' sake."""

Pieces = Literal[
    "query", "key", "value", "fused", "head", "gate", "output", "heads_of_state", "pairs_of_state",
    "conv_state", "ssm_state", "block", "up", "gate_up", "row", "group_heads", "group_queries",
    "group_rank",
]  # fmt: skip
"""What a share is a whole number of: heads with their projections, or blocks of quants."""


@frozen
class Role:
    """The tensors of a layer, or outside them, that `name` matches whole, cut along `axis`.

    The blocks that pieces are made of are those of the first tensor of `like` that the layer has:
    what multiplies the result, so that both are cut alike. Without one they are the tensor's own.
    """

    name: str
    axis: int
    pieces: Pieces
    like: tuple[str, ...] = ()


_ATTENTION: Final = ("attn_output.weight", "ssm_out.weight")
_RECURRENT: Final = ("ssm_out.weight",)
_FEED_FORWARD: Final = ("ffn_down.weight", "ffn_down_exps.weight")

ROLES: Final = (
    Role(name=r"attn_q\.weight", axis=1, pieces="query", like=_ATTENTION),
    Role(name=r"attn_k\.weight", axis=1, pieces="key", like=_ATTENTION),
    Role(name=r"attn_v\.weight", axis=1, pieces="value", like=_ATTENTION),
    Role(name=r"attn_qkv\.weight", axis=1, pieces="fused", like=_ATTENTION),
    Role(name=r"attn_q\.bias", axis=0, pieces="query", like=_ATTENTION),
    Role(name=r"attn_k\.bias", axis=0, pieces="key", like=_ATTENTION),
    Role(name=r"attn_v\.bias", axis=0, pieces="value", like=_ATTENTION),
    Role(name=r"attn_qkv\.bias", axis=0, pieces="fused", like=_ATTENTION),
    Role(name=r"attn_(q|k)_norm\.weight", axis=1, pieces="row", like=_ATTENTION),
    Role(name="cache_k", axis=0, pieces="key", like=_ATTENTION),
    Role(name="cache_v", axis=0, pieces="value", like=_ATTENTION),
    Role(name=r"attn_sinks\.weight", axis=0, pieces="head", like=_ATTENTION),
    Role(name=r"attn_output\.weight", axis=0, pieces="output"),
    Role(name=r"attn_gate\.weight", axis=1, pieces="gate", like=_ATTENTION),
    Role(name=r"ssm_(dt\.bias|a)", axis=0, pieces="heads_of_state", like=_RECURRENT),
    Role(name=r"ssm_(alpha|beta)\.weight", axis=1, pieces="heads_of_state", like=_RECURRENT),
    Role(name=r"ssm_ba\.weight", axis=1, pieces="pairs_of_state", like=_RECURRENT),
    Role(name="cache_r", axis=0, pieces="conv_state", like=_RECURRENT),
    Role(name="cache_s", axis=0, pieces="ssm_state", like=_RECURRENT),
    Role(name=r"ssm_conv1d\.weight", axis=1, pieces="fused", like=_RECURRENT),
    Role(name=r"ssm_out\.weight", axis=0, pieces="output"),
    Role(name=r"ffn_up(_exps)?\.weight", axis=1, pieces="up", like=_FEED_FORWARD),
    Role(name=r"ffn_up(_exps)?\.bias", axis=0, pieces="up", like=_FEED_FORWARD),
    Role(name=r"ffn_gate(_exps)?\.weight", axis=1, pieces="block", like=_FEED_FORWARD),
    Role(name=r"ffn_gate(_exps)?\.bias", axis=0, pieces="block", like=_FEED_FORWARD),
    Role(name=r"ffn_gate_up(_exps)?\.weight", axis=1, pieces="gate_up", like=_FEED_FORWARD),
    Role(name=r"ffn_down(_exps)?\.weight", axis=0, pieces="block", like=_FEED_FORWARD),
    Role(name=r"output\.weight", axis=1, pieces="row"),
    Role(name=r"output\.bias", axis=0, pieces="row"),
)
"""By llama.cpp's names without the layer's; `cache_k`, `cache_v`, `cache_r` and `cache_s` are a
layer's KV cache and recurrent state."""

_GROUPED: Final = ("attn_output_a.weight",)
_SHARED: Final = ("ffn_down_shexp.weight",)

ROLES_OF_GROUPS: Final = (
    Role(name=r"attn_sinks\.weight", axis=0, pieces="group_heads", like=_GROUPED),
    Role(name=r"attn_q_b\.weight", axis=1, pieces="group_queries", like=_GROUPED),
    Role(name=r"attn_output_a\.weight", axis=1, pieces="group_rank"),
    Role(name=r"attn_output_b\.weight", axis=0, pieces="group_rank"),
    Role(name=r"ffn_(up|gate)_shexp\.weight", axis=1, pieces="block", like=_SHARED),
    Role(name=r"ffn_down_shexp\.weight", axis=0, pieces="block"),
    *(role for role in ROLES if role.name.startswith("ffn_")),
)
"""Those of models whose attention has an output by groups of heads (DeepSeek V4), each card whole
groups; their caches and logits each card has whole."""


def _compiled(roles: Sequence[Role]) -> tuple[tuple[re.Pattern[str], Role], ...]:
    return tuple((re.compile(f"({role.name})$"), role) for role in roles)


_PATTERNS: Final = _compiled(ROLES)
_PATTERNS_OF_GROUPS: Final = _compiled(ROLES_OF_GROUPS)

Segment = tuple[int, int, int]
"""Elements of a tensor that are cut by themselves: how many, how often in a row, and those of a
piece."""


class Slices:
    """How one model is cut for `n_cards`, by the shares of `tensor_split`; equally without."""

    def __init__(
        self,
        model: ModelSpec,
        hparams: Hparams,
        n_cards: int,
        tensor_split: Sequence[float] | None = None,
    ) -> None:
        self._model, self._hparams, self._n_cards = model, hparams, n_cards
        said = tuple(tensor_split or ())
        self._shares = [*map(float32, said), *[0.0] * (n_cards - len(said))]
        self._n_ff = model.per_layer("feed_forward_length", 0)
        n_layer = n_decoding(model)
        recurrent = (*recurrent_layers(model), *(False,) * (model.n_layer - n_layer))
        kinds = [*zip(recurrent, windowed_layers(model, model.n_layer), strict=True)]
        looped = [kind for _ in range(hparams.n_loops) for kind in kinds]
        kinds = [*looped, (False, False)]  # the last is a router's
        self._layers = hparams.layers
        if hparams.router:
            self._layers += (hparams.router,)
        if len(hparams.layers) < n_layer + n_predicting(model):
            self._layers += resolve_head(model).layers[len(hparams.layers) :]
        before = (sum(each == kind for each in kinds[:il]) for il, kind in enumerate(kinds))
        self._turns = [n % n_cards for n in before]
        self._last_turn = n_layer % n_cards

    def tensor(self, name: str) -> tuple[Shape, ...]:
        """What each card has of a tensor of the file, as dimensions."""
        info = self._model.tensors[name]
        il, full = layer_of(name), shape(info.ne)
        own = name if il is None else name.split(".", 2)[2]
        role = self._role_of(own)
        if role is None or full[role.axis] == 1:  # one row stands for all heads (attn_q_norm)
            return (full,) * self._n_cards
        counts = self._cut(role, il, full[role.axis], info.quant.block)
        return tuple(
            shape(tuple(n if axis == role.axis else ne for axis, ne in enumerate(full)))
            for n in counts
        )

    def cache(self, name: str, il: int, width: int) -> tuple[int, ...]:
        """The elements that each card has of a row of layer `il`'s cache or state, of `width` in
        all; `name` is one of `ROLES`."""
        is_whole = name in ("cache_r", "cache_s") and self._model.arch in WHOLE_STATES
        return tuple(self._cut(None if is_whole else self._role_of(name), il, width, 1))

    def faults(self, placement: Placement) -> Iterator[str]:
        """Why llama.cpp aborts while it cuts the model so (ggml-backend-meta.cpp, llama-model.cpp):
        tensors that cannot be cut, and those whose cut is told by one that is not loaded."""
        if self._model.arch in WHOLE:
            return
        tensors, hparams = self._model.tensors, self._hparams
        there = {name for name in tensors if is_loaded(name, hparams)}
        for name in sorted(there, key=lambda name: (layer_of(name) or 0, name)):
            il = layer_of(name)
            if il is None or not name.startswith("blk.") or placement.weight(name) != META:
                continue
            own = name.removeprefix(f"blk.{il}.")
            if fault := self._fault(own, il, there):
                yield fault
                return
        routers = [len(hparams.layers)] if hparams.router else []
        for il in (*hparams.running, *routers):
            needed = self._tells_cache(il, self._layers[il], there)
            if needed and placement.cache(il) == META:
                yield f"the cache of layer {il} has no {needed} to be cut by"
                return

    def _tells_cache(self, il: int, layer: LayerShape, there: set[str]) -> str:
        """What would tell how the cache of layer `il` is cut, and is not there; empty where nothing
        is missing."""
        name = "cache_s" if layer.is_recurrent else "cache_k"
        is_whole = layer.is_recurrent and self._model.arch in WHOLE_STATES
        keeps = layer.is_recurrent or (layer.has_attention and self._hparams.has_cache)
        if not keeps or is_whole or self._role_of(name) is None:
            return ""
        needed = "ssm_out.weight" if layer.is_recurrent else "attn_output.weight"
        return "" if f"blk.{il}.{needed}" in there else needed

    def _fault(self, own: str, il: int, there: set[str]) -> str | None:
        """Why the tensor `own` of layer `il` cannot be cut; None where it can."""
        role, layer, prefix = self._role_of(own), self._layers[il], f"blk.{il}."
        info = self._model.tensors[prefix + own]
        if own.endswith("_norm.bias") and own.startswith("attn_") and len(info.ne) > 1:
            return f"{prefix}{own} has a row for each head and is not cut as they are"
        if role is None:
            return None
        if role.like and not any(prefix + like in there for like in role.like):
            return f"{prefix}{own} has no {role.like[0]} to be cut by"
        if own == "attn_output.weight" and not layer.n_head_kv and not layer.is_recurrent:
            return f"layer {il} has no KV heads to cut its output by"
        width = 2 * self._model.integer("expert_feed_forward_length", 0)
        if role.pieces == "gate_up" and info.ne[1] != width:
            return f"{prefix}{own} is not twice as wide as expert_feed_forward_length says"
        is_one_block = role.axis == 0 and info.ne[0] == info.quant.block > 1
        if is_one_block and any(0 in ne for ne in self.tensor(prefix + own)):
            return f"a card gets nothing of {prefix}{own}, whose rows are one block each"
        return None

    def _role_of(self, name: str) -> Role | None:
        if self._model.arch in WHOLE:
            return None
        is_grouped = self._hparams.family.graph.attention == "compressed"
        return _role(name, _PATTERNS_OF_GROUPS if is_grouped else _PATTERNS)

    @property
    def torn_layer(self) -> int | None:
        """The first layer whose heads are cut unlike the KV cache that it reads, another layer's:
        llama.cpp aborts there. None where none is."""
        for il, layer in enumerate(self._hparams.layers):
            own = layer.cache_layer
            if layer.has_attention and own != il:
                shares = (self.cache("cache_k", each, layer.k_width) for each in (il, own))
                if len(set(shares)) > 1:
                    return il
        return None

    def runs_beside_cache(self, il: int) -> bool:
        """Whether layer `il` on the cards runs with its cache or state on the host: not a recurrent
        one, nor one whose projections are fused, and each card's queries must be whole rounds of
        all KV heads, which it gets whole (ggml-backend-meta.cpp, ggml-cuda/fattn.cu)."""
        layer = self._hparams.layers[il]
        if layer.is_recurrent or f"blk.{il}.attn_qkv.weight" in self._model.tensors:
            return False
        queries = self._cut(_role("attn_q.weight"), il, layer.n_head * layer.head_k, 1)
        return all(n % (layer.n_head_kv * layer.head_k) == 0 for n in queries)

    def _cut(self, role: Role | None, il: int | None, extent: int, block: int) -> list[int]:
        """The elements along the axis that each card has; all where there is no role."""
        if role is None:
            return [extent] * self._n_cards
        for like in role.like:
            info = self._model.tensors.get(f"blk.{il}.{like}")
            if info is not None:
                block = info.quant.block
                break
        turn = self._last_turn if il is None else self._turns[il]
        found = [0] * self._n_cards
        for n, n_times, piece in self._segments(role, il or 0, extent, block):
            for card, share in enumerate(self._divided(n, piece, turn)):
                found[card] += n_times * share
        return found

    def _divided(self, n: int, piece: int, turn: int) -> list[int]:
        """`n` elements among the cards, in whole pieces but for the last, who is card `turn` - 1.

        The sums are in float32, as llama.cpp has them.
        """
        cards = [(j + turn) % self._n_cards for j in range(self._n_cards)]
        sums: list[float] = []
        for card in cards:
            sums.append(float32((sums[-1] if sums else 0.0) + self._shares[card]))
        found, low = [0] * self._n_cards, 0
        for j, card in enumerate(cards):
            if j == self._n_cards - 1:
                high = n
            elif sums[-1]:
                high = _rounded(int(float32(float32(float32(n) * sums[j]) / sums[-1])), piece)
            else:
                high = _rounded(n * (j + 1) // self._n_cards, piece)
            found[card] = high - low
            low = high
        return found

    def _segments(self, role: Role, il: int, extent: int, block: int) -> list[Segment]:
        """The runs of a tensor's elements that are cut by themselves (get_split_segments,
        get_split_granularity)."""
        layer, ssm = self._layers[il], self._hparams.ssm
        efficient = lcm(block, EFFICIENT)
        if role.pieces == "up":  # Phi 3 has the gate in front of it
            halves = 2 if extent == 2 * self._n_ff[il] else 1
            return [(extent // halves, halves, efficient)]
        if role.pieces == "gate_up":
            return [(extent // 2, 2, efficient)]
        if role.pieces == "block":
            return [(extent, 1, efficient)]
        if role.pieces == "row":
            return [(extent, 1, 1)]
        if role.pieces.startswith("group"):
            n_groups = max(self._model.integer("attention.output_group_count", 1), 1)
            n_heads = layer.n_head // n_groups
            sizes = {"group_heads": n_heads, "group_queries": n_heads * layer.head_k}
            rank = self._model.integer("attention.output_lora_rank", 1)
            return [(extent, 1, sizes.get(role.pieces, rank))]
        if layer.is_recurrent and ssm is not None and ssm.state:
            return self._of_state(role.pieces, ssm, extent, lcm(efficient, ssm.state))
        return self._of_heads(role.pieces, layer, extent, block)

    def _of_heads(
        self, pieces: Pieces, layer: LayerShape, extent: int, block: int
    ) -> list[Segment]:
        """Attention: a piece is the heads that share a K and V, and more where the kernels like
        it."""
        n_shared = layer.n_head // max(layer.n_head_kv, 1)
        width = n_shared * layer.head_k
        if not layer.n_head_kv or not width:
            return [(extent, 1, 1)]
        efficient = block
        while efficient < EFFICIENT and efficient * self._n_cards < width:
            efficient *= 2
        n_heads = lcm(width, efficient) // layer.head_k
        key = n_heads // n_shared * layer.head_k
        value = key // layer.head_k * layer.head_v
        query = n_heads * layer.head_k
        n_query = layer.n_head * layer.head_k
        if self._hparams.family.graph.attention == "gated":  # each head's query and gate
            n_query, gated = 2 * n_query, lcm(2 * width, efficient)
        else:
            gated = query
        if pieces == "fused":
            return [(n_query, 1, gated), (layer.k_width, 1, key), (layer.v_width, 1, value)]
        sizes = {
            "query": gated,
            "key": key,
            "value": value,
            "head": n_heads,
            "gate": n_heads if extent == layer.n_head else query,
            "output": n_heads * layer.head_v,
        }
        return [(extent, 1, sizes.get(pieces, 1))]

    def _of_state(self, pieces: Pieces, ssm: SsmShape, extent: int, piece: int) -> list[Segment]:
        """A delta net: keys, queries and values by head; `piece` is in channels."""
        if pieces == "pairs_of_state":
            return [(extent, 1, 2 * piece // ssm.state)]
        keys, values = ssm.state * ssm.groups, ssm.state * ssm.rank
        more = {"conv_state": ssm.conv_kernel - 1, "ssm_state": ssm.state}.get(pieces, 1)
        less = ssm.state if pieces == "heads_of_state" else 1

        def run(n: int, n_times: int) -> Segment:
            return n * more // less, n_times, piece * more // less

        n_inputs = 2 if pieces in ("fused", "conv_state") else 0  # keys and queries
        if self._hparams.family.graph.repeats_keys:  # each key's values stand together
            return [run(keys, n_inputs), run(values, 1)]
        return [run(keys, n_inputs + ssm.rank // max(ssm.groups, 1))]


def _rounded(n: int, piece: int) -> int:
    return n - n % max(piece, 1)


def _role(name: str, patterns: Sequence[tuple[re.Pattern[str], Role]] = _PATTERNS) -> Role | None:
    """The role of a tensor named without its layer; None for one that each card has whole."""
    return next((role for pattern, role in patterns if pattern.match(name)), None)
