"""VDM: one draw serves all times of a batch, and a loss whose gradient is not its derivative."""

import torch

EQUALLY_SPACED = "times of a batch are equally spaced from one draw (appendix I.1)"
TWO_AIMS = "between its ends the schedule descends the variance of the estimate, not the bound (appendix I.2)"


def level(world, which):
    return torch.tensor((-5.0, 1.0, 2.0)[which], dtype=torch.float64)


ARGUMENTS = {"decode": {"gamma_0": level}}
LEFT_OUT = {
    "gradients": {"loss(schedule)": TWO_AIMS, "slope(t)": "t is a place to look at, on a leaf of its own"},
    "configurations": {"fourier_features(dtype)": "at 2^8 pi z the rounding of z to float32 is 800 times as large"},
    "draws": dict.fromkeys(("times", "diffusion_loss", "bound", "loss"), EQUALLY_SPACED),
}
