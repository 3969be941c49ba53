"""Making models: synthetic GGUFs of any shape, and a real small MoE."""
