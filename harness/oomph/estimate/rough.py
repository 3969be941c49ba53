"""A compute buffer by rule of thumb, for a model whose graph cannot be composed.

Only an architecture that is not in the table and lacks the usual tensors comes here; the estimate
says that it is not exact. The buffer is taken as its largest phase: logits, a layer's widest
activations, or attention's scores.
"""

from oomph.estimate.graph.hparams import Hparams
from oomph.estimate.graph.placement import CPU
from oomph.estimate.graph.sizes import Sizes

WIDTHS_OF_EMBEDDING = 4
"""Rows of n_embd that live at once: residual, normed input, output and a copy."""


def rough_buffers(
    hparams: Hparams, sizes: Sizes, backends: tuple[str, ...], *, n_ff: int, flash_attn: bool
) -> dict[str, int]:
    """Bytes by backend: the largest phase where layers run, and on the CPU the inputs."""
    cells, n_tokens = sizes.cells * sizes.n_stream, sizes.n_tokens
    heads = max(layer.n_head for layer in hparams.layers)
    activations = WIDTHS_OF_EMBEDDING * hparams.n_embd
    mask = n_tokens * sizes.cells * (2 if flash_attn else 4)
    phases = (
        4 * sizes.n_outputs * (hparams.n_vocab + hparams.n_embd),
        4 * n_tokens * (2 * n_ff + activations),
        0 if flash_attn else 8 * n_tokens * cells * heads,
    )
    inputs = mask + 8 * n_tokens * hparams.n_embd
    return {
        device: inputs + (0 if device == CPU and len(backends) > 1 else max(phases))
        for device in backends
    }
