"""What the demo of progressive distillation measures with: perfect students, the control, rounds of training."""

import torch

from implementations.common.mlp import MLP
from implementations.common.noise import Noise
from implementations.demos import progressive_distillation as demo
from implementations.progressive_distillation import Round, levels, sample
from tests.implementations.toys import F64, Told, draw, lively


def test_a_perfect_student_takes_its_teachers_steps_two_at_a_time():
    z_1 = draw(4, 2)
    for N in (1, 3, 4):
        found = sample(demo.perfect(lively, N), z_1, N)
        torch.testing.assert_close(found, sample(lively, z_1, 2 * N), rtol=0, atol=1e-10)


def test_a_network_is_told_the_angle():
    z, gamma = torch.zeros(3, 1, dtype=F64), torch.tensor([-60.0, 0.0, 60.0], dtype=F64)
    torch.testing.assert_close(demo.Velocity(Told())(z, gamma)[:, 0], torch.tensor([0.0, 500.0, 1000.0], dtype=F64))


def test_the_control_is_right_for_one_step_and_wrong_for_more():
    """Where a step ends on the data, what it needs is the teacher's second guess of x; elsewhere it is not."""
    torch.manual_seed(0)
    net = demo.Velocity(MLP(2, width=8, depth=1)).double()
    for parameter in net.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    x = draw(64, 2)

    def losses(N):
        return (kind(net, N)(x, noise=Noise(1)).detach() for kind in (Round, demo.SecondGuess))

    one, control = losses(1)
    torch.testing.assert_close(one, control, rtol=1e-9, atol=0)
    four, control = losses(4)
    assert abs(four - control) > 1e-3 * control


def test_rounds_halve_the_steps_and_take_longest_over_the_last():
    run = demo.DEMO.run(seed=1)
    first = demo.Velocity(MLP(2, width=8, depth=1))
    found = demo.rounds(run, first, 8, demo.points(run), demo.SecondGuess, 2, 1e-3)
    assert {N: len(trained.losses) for N, trained in found.items()} == {4: 2, 2: 8, 1: 8}
    assert all(isinstance(trained.model, demo.SecondGuess) and trained.model.N == N for N, trained in found.items())
    for N, taught in ((4, 2), (2, 1)):
        student, teacher = found[N].model.student.state_dict(), found[taught].model.teacher.state_dict()
        assert all(torch.equal(student[name], teacher[name]) for name in student)


def test_the_law_of_the_plane_has_unit_variance_and_its_points_lie_in_range():
    points = demo.points(demo.DEMO.run())
    assert points.x.shape == (20_000, 2) and abs(float(points.x.var()) - 1) < 0.02
    assert levels(demo.STEPS)[1:].isfinite().all()
