"""The graph that llama.cpp builds for a model, as ggml sees it.

Bottom up: `tensor` (ggml's operators), `architectures` (the table: what each architecture's layers
are made of), `hparams` (a model's numbers, layer by layer), `sizes` and `placement` (a
configuration's numbers and devices), `builder` (weights, inputs, norms), the parts `attention`,
`latent`, `feed_forward`, `recurrent`, `per_layer` and `altup`, and `compose`, which wires them.

To add an architecture:

1. Read its `src/models/*.cpp` of llama.cpp 0.5.0 against `architectures.Architecture`. Tensors and
   metadata decide by themselves: q/k norms, biases, sinks, fused qkv, latent attention, a missing
   gate, shared experts and their gate, a router, second norms, embedding, residual and logit
   scales, soft caps, per-layer head counts.
2. Add a row to `architectures.ARCHITECTURES` for what is left (sliding-window pattern, which layers
   are recurrent, how experts are chosen, where the output rows are picked). If a choice is new, add
   a field whose default is what all others do, and read it in the one part that it concerns.
3. A new kind of attention or recurrence is a function of a `Builder`, a tensor and a layer's number
   in `attention` or `recurrent`, entered in `compose.ATTENTION` or `compose.RECURRENT`. A layer
   that is wired differently (attention and feed-forward side by side) is a function in
   `compose.LAYERS`.
4. Which caches a layer keeps is decided in `hparams` (`LayerShape.has_attention`, `is_recurrent`,
   `cache_layer`); `oomph.estimate.memory` sums by the same fields. Which weights stay on the CPU is
   `placement`'s.
5. Order matters: sources left to right as in the `ggml_*` call, `Graph.expand` wherever llama.cpp
   calls `ggml_build_forward_expand`. Node counts and splits printed at load ("graph: nodes = …,
   splits = …") tell at once.
"""
