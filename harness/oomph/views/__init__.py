"""Pure functions from records and results to text, figures and files."""
