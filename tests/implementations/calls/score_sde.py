"""Score SDE: functions of predictors and of priors, and an SDE taken for a chain."""

from implementations import score_sde
from tests.implementations.general.vocabulary import Live, World

PREDICTORS = (score_sde.reverse_diffusion, score_sde.euler_maruyama, score_sde.probability_flow_step)


def prior(world, which):
    return Live("log_prior", World(shape=world.shape, others={"log_prior": which}), "number")


def velocity(world, which):
    return Live("velocity", World(shape=world.shape, others={"velocity": which}))


ARGUMENTS = {
    "solve": {"velocity": velocity},
    "sample": {"predictor": lambda world, which: PREDICTORS[which], "N": (9, 8, 10)},
    "as_ddpm": {"N": (20, 25, 30)},
    "log_likelihood": {
        "log_prior": prior,
        "eps": (0.6, 0.7, 0.8),
        "probes": (1, 2, 3),
        "tolerance": (1e-5, 1e-2, 1e-1),
    },
    "flow": {"end": (0.6, 0.5, 0.7)},
}
NUMBERS = "scipy solves the ODE in numbers: nothing is learned through it"
GUIDES = "the gradient of log p(y | x) is taken at a point and then stands as a number"
BATCH = "one step size for the batch: its norms are averaged over the rows (section 4.2 and appendix G)"
SOLVER = "scipy chooses its steps by the error of the whole batch"
LEFT_OUT = {
    "gradients": {
        "conditional(x)": GUIDES,
        "conditional(log_likelihood)": GUIDES,
        "solve(x)": NUMBERS,
        "divergence(x)": NUMBERS,
        "divergence(velocity)": NUMBERS,
        "divergence(t)": NUMBERS,
        "divergence(probes)": NUMBERS,
        "log_likelihood(model)": NUMBERS,
        "log_likelihood(x)": NUMBERS,
    },
    "configurations": {
        "probability_flow_step(noise)": "the ODE draws nothing: it takes the noise as every predictor does",
        "log_likelihood[without](noise)": "the exact divergence draws nothing",
        "times(sde)": "of the SDE it knows eps alone, which is one for a class",
    },
    "draws": {
        "langevin": BATCH,
        "sample": BATCH,
        "solve": SOLVER,
        "flow": SOLVER,
        "log_likelihood": SOLVER,
        "probability_flow_step(noise)": "the ODE draws nothing",
        "log_likelihood[without](noise)": "the exact divergence draws nothing",
    },
}
