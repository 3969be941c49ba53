"""The graph that llama.cpp builds for a model, as ggml sees it.

Bottom up: `tensor` (ggml's operators), `hparams` (a model's numbers, layer by layer), `sizes` and
`placement` (a configuration's numbers and devices), `builder` (weights, inputs, norms), the parts
`attention`, `latent`, `feed_forward`, `recurrent`, `per_layer` and `altup`, and `compose`, which
wires them.

What a family declares (`oomph.architectures.families`) is read here as rules; most needs no rule,
for tensors and metadata decide by themselves: q/k norms, biases, sinks, fused qkv, latent
attention, a missing gate, shared experts and their gate, a router, second norms, embedding,
residual and logit scales, soft caps, per-layer head counts. Where a new architecture needs more:

1. A choice that is new is a field of `GraphRules` whose default is what all others do, read in the
   one part that it concerns.
2. A new kind of attention or recurrence is a function of a `Builder`, a tensor and a layer's number
   in `attention` or `recurrent`, entered in `compose.ATTENTION` or `compose.RECURRENT`. A layer
   that is wired differently (attention and feed-forward side by side) is a function in
   `compose.LAYERS`.
3. Which caches a layer keeps is decided in `hparams` (`LayerShape.has_attention`, `is_recurrent`,
   `cache_layer`); `oomph.estimate.memory` sums by the same fields. Which weights stay on the CPU is
   `placement`'s.
4. Order matters: sources left to right as in the `ggml_*` call, `Graph.expand` wherever llama.cpp
   calls `ggml_build_forward_expand`. Node counts and splits printed at load ("graph: nodes = …,
   splits = …") tell at once.
"""
