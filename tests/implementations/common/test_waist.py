"""The waist of a U-Net: what is read there and what a change of it does."""

import pytest
import torch

from implementations.common.waist import Waist
from implementations.unet import UNet


@pytest.fixture
def unet():
    torch.manual_seed(0)
    network = UNet(1, width=8, multipliers=(1, 2), attention=(), groups=4)
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return network.double()


X, T = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1)).double(), torch.tensor([1, 20, 300])


def test_a_network_with_a_waist_is_the_network(unet):
    before, names = unet(X, T), list(unet.state_dict())
    Waist(unet.middle)
    assert torch.equal(unet(X, T), before) and list(unet.state_dict()) == names


def test_features_are_what_the_middle_gives_and_the_rest_of_the_network_is_a_function_of_them(unet):
    waist = Waist(unet.middle)
    seen = []
    unet.middle[1].register_forward_hook(lambda module, given, output: seen.append(output))
    h = waist.features(unet, X, T)
    assert h.shape == (3, 16, 4, 4) and torch.equal(h, seen[0])
    other = torch.roll(h, 1, 0)
    swapped = waist.changed(unet, lambda features, t: other)(X, T)
    assert not torch.allclose(swapped, unet(X, T))
    assert torch.equal(waist.changed(unet, lambda features, t: h)(X, T), unet(X, T))


def test_a_change_is_told_the_time_and_lasts_for_its_own_calls_alone(unet):
    waist = Waist(unet.middle)
    told, plain = [], unet(X, T)

    def shift(h, t):
        told.append(t)
        return h + 1

    shifted = waist.changed(unet, shift)
    first = shifted(X, T)
    assert torch.equal(told[0], T) and torch.equal(unet(X, T), plain) and torch.equal(shifted(X, T), first)

    def fails(h, t):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        waist.changed(unet, fails)(X, T)
    assert torch.equal(unet(X, T), plain)


def test_changes_follow_one_another_and_can_be_read(unet):
    waist = Waist(unet.middle)
    h = waist.features(unet, X, T)
    inner = waist.changed(unet, lambda features, t: 3 * features)
    outer = waist.changed(inner, lambda features, t: features + 1)
    # the outer call is the first to stand at the waist, and the inner one changes what it leaves
    assert torch.allclose(waist.features(outer, X, T), h)
    assert torch.equal(outer(X, T), waist.changed(unet, lambda features, t: 3 * (features + 1))(X, T))


def test_gradients_pass_to_the_change_and_to_the_image(unet):
    waist, delta = Waist(unet.middle), torch.zeros(16, 4, 4, dtype=torch.float64, requires_grad=True)
    waist.changed(unet, lambda h, t: h + delta)(X, T).sum().backward()
    assert delta.grad is not None and delta.grad.abs().min() > 0
    x = X.clone().requires_grad_()
    assert torch.autograd.grad(waist.features(unet, x, T).sum(), x)[0].abs().sum() > 0


def test_the_direction_of_another_layer_and_the_waist_of_another_network_are_refused(unet):
    waist = Waist(unet.middle)
    with pytest.raises(ValueError, match=r"features \(3, 16, 4, 4\) were changed to \(3, 8, 4, 4\)"):
        waist.changed(unet, lambda h, t: h[:, :8])(X, T)
    other = UNet(1, width=8, multipliers=(1, 2), attention=(), groups=4).double()
    with pytest.raises(ValueError, match="0 times, not once"):
        waist.features(other, X, T)
