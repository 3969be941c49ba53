"""Python's pure functions as JavaScript, so that a page computes what the package computes

No translator that is kept up knows dataclasses, tuples as keys of a dict, or keyword arguments without a runtime of
half a megabyte; the estimate layer needs little else. So this one knows the Python that `oomph.estimate` is written in
and refuses the rest, with the file and the line. What Python means where JavaScript means something else (floor
division, equality, truth, dicts) is in `page/python.js`.
"""
