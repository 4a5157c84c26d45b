"""ADM: the classifier's gradient is a number to the sampler that it guides."""

GUIDES = "the gradient of log p is taken at a point and then stands as a number: nobody trains through guidance"
LEFT_OUT = {
    "gradients": {
        "gradient(log_p)": GUIDES,
        "gradient(x)": GUIDES,
        "gradient(t)": GUIDES,
        "guided_step(log_p)": GUIDES,
        "guided_model(log_p)": GUIDES,
    },
    "configurations": {"ADMUNet(second)": "a test of the U-Net gives what goes with it"},
}
