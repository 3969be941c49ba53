"""What is true before anything runs: files, shapes, cards, knobs.

No GPU, no numpy, no llama.cpp.
"""
