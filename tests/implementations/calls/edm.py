"""EDM: a step takes what `trajectory` has checked."""

ARGUMENTS = {"step": {"solver": ("heun", "euler", "euler")}}  # an unknown one is refused by trajectory, once
