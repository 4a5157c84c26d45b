"""NCSNv2: constants of a ladder, found once from a data set."""

SET = "the data are one set, of which each row meets each other, not a batch"
ARGUMENTS = {"noise_levels": {"C": (0.55, 0.05, 0.97)}, "variance_ratio": {"sigma_L": (0.4, 0.3, 0.5)}}
LEFT_OUT = {
    "gradients": {"noise_levels(x)": "levels are constants, found once from the data and given as plain numbers"},
    "draws": {"largest_distance": SET, "noise_levels": SET},
}
