"""A package, or `tests` would be that which flow_matching installs: one with an `__init__` goes before one without."""
