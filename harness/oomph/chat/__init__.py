"""A conversation longer than its context: what is kept verbatim, what is put back, and where all of it stays."""
