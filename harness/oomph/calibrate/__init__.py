"""From records to a machine's own coefficients, and whether to believe them."""
