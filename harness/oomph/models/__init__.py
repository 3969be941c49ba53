"""Making models: sparse or random GGUFs of any shape, and a real mixture of experts from a dense model."""
