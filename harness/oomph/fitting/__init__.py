"""The only place where prediction and measurement meet."""
