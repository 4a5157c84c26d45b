"""The network of the small world: v and the noise into each other, and the error that it is trained on."""

import torch
from torch import Tensor, nn

from implementations.common.noise import Noise
from implementations.common.rows import per_row
from implementations.demos.shapes.network import PROCESS, NoiseOfVelocity, velocity_loss

F64 = torch.float64


class Exact(nn.Module):
    """v of what is known: x_0 and the noise of each row."""

    def __init__(self, x_0: Tensor, eps: Tensor, off: float = 0.0) -> None:
        super().__init__()
        self.x_0, self.eps, self.off = x_0, eps, off

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        abar = per_row(PROCESS.abar[t], x)
        return abar.sqrt() * self.eps - (1 - abar).sqrt() * self.x_0 + self.off


def drawn() -> tuple[Tensor, Tensor, Tensor]:
    x_0 = Noise(1)(torch.empty(5, 3, 4, 4, dtype=F64))
    source = Noise(2)
    t = source.integers(1, PROCESS.T, x_0)
    return x_0, t, source(x_0)


def test_the_noise_follows_from_v():
    x_0, t, eps = drawn()
    model = NoiseOfVelocity(Exact(x_0, eps), PROCESS.abar)
    torch.testing.assert_close(model(PROCESS.diffuse(x_0, t, eps), t), eps, rtol=0, atol=1e-12)
    assert list(model.state_dict()) == []  # the schedule is no weight


def test_the_loss_is_the_squared_error_of_v_at_every_level():
    x_0, _, eps = drawn()
    exact, off = (NoiseOfVelocity(Exact(x_0, eps, by), PROCESS.abar) for by in (0.0, 0.3))
    assert velocity_loss(exact, x_0, noise=Noise(2)) < 1e-20
    torch.testing.assert_close(
        velocity_loss(off, x_0, noise=Noise(2)), torch.tensor(0.09, dtype=F64), rtol=1e-9, atol=0
    )


def test_what_a_condition_is_reaches_the_network():
    x_0, t, _ = drawn()

    class Told(nn.Module):
        def forward(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
            return per_row(y, x).expand_as(x)

    model = NoiseOfVelocity(Told(), PROCESS.abar)
    abar, y = per_row(PROCESS.abar[t], x_0), torch.arange(5.0, dtype=F64)
    expected = (1 - abar).sqrt() * x_0 + abar.sqrt() * per_row(y, x_0)
    torch.testing.assert_close(model(x_0, t, y), expected, rtol=0, atol=1e-12)
