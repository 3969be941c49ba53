"""Which layers of a model decode, route their tokens, keep a state or have a window.

One definition each for the tensor lists, the graphs and the sums of memory: by the family and the
metadata. Layers for multi-token prediction are none of these, and are not in the results.
"""

from typing import Final

from oomph.architectures.families import family_of
from oomph.architectures.spec import ModelSpec

OVERLAPPING: Final = 4
"""The ratio of compressed caches whose blocks overlap by half, with twice the width and an
indexer."""
SPACED_FROM: Final = 1 << 20
"""Context from which a file that lists no indexers has GLM-5.2's."""
N_SPACED: Final = 78


def n_decoding(model: ModelSpec) -> int:
    """Layers that decode: all but those for multi-token prediction, which come last; of a model
    with an encoder, its decoder's."""
    return model.integer("decoder_block_count", model.n_layer) - n_predicting(model)


def n_predicting(model: ModelSpec) -> int:
    """Layers for multi-token prediction behind those that decode; none where the whole model
    is such a head."""
    is_head = family_of(model.arch).graph.drafter == "assistant"
    return 0 if is_head else model.integer("nextn_predict_layers", 0)


def is_expert_layer(model: ModelSpec, il: int) -> bool:
    """Whether layer `il` routes its tokens: past the leading dense layers, and then every n-th of
    them; the second of every n where the metadata say `moe_every_n_layers`."""
    if (every := model.integer("moe_every_n_layers", 0)) > 1:
        return model.is_moe and il % every == 1
    step = max(model.integer("interleave_moe_layer_step", 1), 1)
    return (
        model.is_moe
        and il >= model.integer("leading_dense_block_count", 0)
        and (il + 1) % step == 0
    )


def recurrent_layers(model: ModelSpec) -> tuple[bool, ...]:
    """The layers that keep a recurrent state."""
    n_layer, rule = n_decoding(model), family_of(model.arch).recurrence.layers
    if rule in ("none", "all", "beside"):
        return (rule != "none",) * n_layer
    if rule == "interval":
        if f"{model.arch}.attention.recurrent_layers" in model.metadata:
            listed = model.per_layer("attention.recurrent_layers")
            return tuple(bool(flag) for flag in listed[:n_layer])
        interval = max(
            model.integer("full_attention_interval", family_of(model.arch).recurrence.interval), 1
        )
        return tuple((il + 1) % interval != 0 for il in range(n_layer))
    heads, feeding = model.kv_heads, feeding_layers(model)
    return tuple(heads[il] == 0 and not feeding[il] for il in range(n_layer))


def feeding_layers(model: ModelSpec) -> tuple[bool, ...]:
    """The layers that are a feed-forward and nothing else (Nemotron-H)."""
    n_layer = n_decoding(model)
    if family_of(model.arch).recurrence.layers != "no_kv_heads_no_ff":
        return (False,) * n_layer
    widths = model.per_layer("feed_forward_length", 0)
    return tuple(width > 0 for width in widths[:n_layer])


def attending_layers(model: ModelSpec) -> tuple[bool, ...]:
    """The layers with a KV cache: neither recurrent alone nor a feed-forward alone."""
    beside = family_of(model.arch).recurrence.layers == "beside"
    recurrent, feeding = recurrent_layers(model), feeding_layers(model)
    return tuple((beside or not recurrent[il]) and not feeding[il] for il in range(len(recurrent)))


def indexing_layers(model: ModelSpec) -> tuple[bool, ...]:
    """The layers with an indexer of their own, which chooses the cells that attention looks at."""
    rule, attends = family_of(model.arch).graph.indexers, attending_layers(model)
    if rule == "none":
        return (False,) * len(attends)
    if rule == "overlapping":
        ratios = model.per_layer("attention.compress_ratios")
        return tuple(ratios[il] == OVERLAPPING for il in range(len(attends)))
    if rule == "past_dense":
        lead = model.integer("leading_dense_block_count", 0)
        return tuple(il >= lead for il in range(len(attends)))
    said = model.metadata.get(f"{model.arch}.attention.indexer.types")
    if rule == "each" or said is None:
        is_spaced = rule == "listed_or_spaced" and model.n_ctx_train >= SPACED_FROM
        return tuple(has and not (is_spaced and _is_between(il)) for il, has in enumerate(attends))
    listed = said if isinstance(said, tuple) else (said,) * len(attends)
    return tuple(attends[il] and bool(listed[il]) for il in range(len(attends)))


def _is_between(il: int) -> bool:
    """Whether GLM-5.2's layer `il` reads another's indexer (GLM_5_2_DEFAULT_INDEXER_TYPES, which
    has 78)."""
    return il >= N_SPACED or (il > 1 and il % 4 != 2)


def sliding_window(model: ModelSpec) -> int:
    """The cells that a layer with a window, or with chunks, sees at most (n_swa); 0 where no layer
    has one."""
    windows = family_of(model.arch).windows
    if not windows.period or windows.n_layer not in (0, n_decoding(model)):
        return 0
    unnamed = 0 if windows.is_optional else windows.n_tokens
    named = model.integer("attention.sliding_window", unnamed)
    return windows.n_tokens if named and windows.is_fixed else named


def windowed_layers(model: ModelSpec, n_layer: int = 0) -> tuple[bool, ...]:
    """The layers with a sliding window: as the metadata list them, else by the family's pattern. Of
    the `n_layer` that are asked for, those for multi-token prediction have one where it is listed.
    """
    n_decode, windows = n_decoding(model), family_of(model.arch).windows
    n_layer = n_layer or n_decode
    if sliding_window(model) == 0:
        return (False,) * n_layer
    listed = model.metadata.get(f"{model.arch}.attention.sliding_window_pattern")
    if isinstance(listed, tuple):
        flags = tuple(bool(flag) for flag in listed[:n_layer])
    else:
        period = listed if isinstance(listed, int) and listed >= 0 else windows.period
        flags = window_pattern(n_decode, period, dense_first=windows.dense_first)
    return (*flags, *(False,) * (n_layer - len(flags)))


def window_pattern(n_layer: int, period: int, *, dense_first: bool) -> tuple[bool, ...]:
    """Every layer but one in `period` (llama_hparams::set_swa_pattern); every layer where the
    period is 0."""
    if period == 0:
        return (True,) * n_layer
    return tuple(
        il % period != 0 if dense_first else il % period < period - 1 for il in range(n_layer)
    )
