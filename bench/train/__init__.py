"""What learns the shipped coefficients from public rows; no part of the wheel."""
