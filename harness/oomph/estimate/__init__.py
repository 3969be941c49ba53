"""Pure arithmetic: facts and coefficients become a prediction."""
