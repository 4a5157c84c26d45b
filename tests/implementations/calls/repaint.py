"""RePaint: jumps that fit into a short chain."""

ARGUMENTS = {"*": {"j": (2, 1, 3), "r": (2, 3, 4)}}
