"""llama.cpp's prebuilt CUDA backend: fetched, examined and laid out to be loaded."""
