"""Pure arithmetic: facts and coefficients become a prediction. No file, no GPU, no llama.cpp, no numpy."""
