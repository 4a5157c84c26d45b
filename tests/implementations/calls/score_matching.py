"""Score matching: an objective of a model, at data."""

DATA = "data are given: the objective is differentiated in x for the Jacobian, on a leaf of its own, and learned in psi"
LEFT_OUT = {"gradients": {"objective(x)": DATA, "loss(x)": DATA}}
