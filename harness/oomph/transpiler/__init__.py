"""Python's pure functions as JavaScript, so that a page computes what the package does.

The estimate layer is pure and keeps to a part of Python: dataclasses, comprehensions, dicts keyed
by tuples. This translates that part, by reading its source when a page is written, and refuses the
rest with file and line. What Python means where JavaScript means something else (floor division,
equality, truth, dicts) is in `python.js`.
"""
