"""One thread: the tensors here are small, and waiting threads cost ten times the arithmetic.  A cache of their own."""

import os

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="session")
def cache_of_its_own(tmp_path_factory):
    """Networks that tests train lie in a folder that all workers of one run share, never in the user's cache."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    base = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str((base.parent if worker else base) / "cache"))
        yield


@pytest.fixture(scope="session")
def trained_on_mixture():
    """(network, process, dataset): a perceptron trained with L_simple on the planar mixture, for two-sample tests."""
    from implementations import ddpm
    from implementations.common.mlp import MLP
    from implementations.lab.data import load
    from implementations.lab.training import train

    dataset, process = load("mixture"), ddpm.linear_schedule(200, 5e-4, 0.1)
    torch.manual_seed(0)

    def objective(model, batch, noise):
        return ddpm.loss(model, process, batch[0], noise=noise)

    options = {"steps": 3000, "batch_size": 256, "lr": 2e-3, "anneal": True, "ema": 0.995}
    return train(MLP(2, width=96), objective, dataset, **options).model, process, dataset
