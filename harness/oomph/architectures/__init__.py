"""What a model is, before anything runs: families, published models, and whatever names one."""
