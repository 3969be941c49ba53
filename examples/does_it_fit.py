"""Which of these cards run a model at 65,536 tokens? One line per card, before any download."""

import sys

import oomph

CARDS = ["RTX 4090", "2x3090", "RTX PRO 6000 Blackwell"]
model = sys.argv[1] if len(sys.argv) > 1 else "qwen3-30b-a3b:Q4_K_M"

for card in CARDS:
    found = oomph.answer(model, card, n_ctx=65_536)
    speed = found.speeds and found.speeds.full.decode_tokens_per_s
    shown = f"{speed:6.1f} tokens/s in a full context" if speed else ""
    print(f"{card:24} {found.verdict:9} margin {found.margin_bytes / 2**30:7.2f} GiB  {shown}")
