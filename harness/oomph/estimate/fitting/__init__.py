"""What llama.cpp's own `--fit` makes of the knobs that nobody set, replayed without a card."""
