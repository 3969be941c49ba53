"""The phantom card: CUDA's and NVML's memory, without a card."""
