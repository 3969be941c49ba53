"""A conversation longer than its context: what is kept, what is put back, where it stays."""
