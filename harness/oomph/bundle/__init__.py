"""Everything that a machine without a network needs, in parts small enough to carry."""
