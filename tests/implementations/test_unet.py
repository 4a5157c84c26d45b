"""The U-Net against an explicit computation, its blocks against diffusers', and what a network must not do."""

from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from implementations.common.noise import Noise
from implementations.unet import Attention, Block, UNet


def awake(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in float64, all parameters random: layers that start at zero hide everything before them."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double().eval()
    for name, p in model.named_parameters():
        shift = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        p.data = (
            shift + torch.randn(p.shape, generator=generator, dtype=torch.float64) * 0.3 / max(1, p[0].numel()) ** 0.5
        )
    return model


def inputs(rows: int = 3, channels: int = 2, size: tuple[int, int] = (6, 5), seed: int = 1) -> tuple[Tensor, Tensor]:
    x = Noise(seed)(torch.empty(rows, channels, *size, dtype=torch.float64))
    return x, torch.arange(1, rows + 1) * 7


# ---- an explicit computation: sums and loops instead of torch's layers ---------------------------------------------


def conv(x: Tensor, w: dict[str, Tensor], name: str, stride: int = 1) -> Tensor:
    weight, bias = w[f"{name}.weight"], w[f"{name}.bias"]
    k = weight.shape[-1]
    x = F.pad(x, [k // 2] * 4)
    high, wide = (x.shape[-2] - k) // stride + 1, (x.shape[-1] - k) // stride + 1
    out = bias[None, :, None, None].expand(len(x), -1, high, wide).clone()
    for i in range(k):
        for j in range(k):
            window = x[:, :, i : i + stride * (high - 1) + 1 : stride, j : j + stride * (wide - 1) + 1 : stride]
            out += torch.einsum("oc,bchw->bohw", weight[:, :, i, j], window)
    return out


def up_conv(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    out = torch.zeros(len(x), w[f"{name}.bias"].numel(), 2 * x.shape[-2], 2 * x.shape[-1], dtype=x.dtype)
    for i in range(2):
        for j in range(2):
            out[:, :, i::2, j::2] = torch.einsum("co,bchw->bohw", w[f"{name}.weight"][:, :, i, j], x)
    return out + w[f"{name}.bias"][None, :, None, None]


def norm(x: Tensor, w: dict[str, Tensor], name: str, groups: int) -> Tensor:
    g = x.reshape(len(x), groups, -1)
    g = (g - g.mean(2, keepdim=True)) / (g.var(2, keepdim=True, unbiased=False) + 1e-5).sqrt()
    return g.reshape(x.shape) * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]


def silu(x: Tensor) -> Tensor:
    return x / (1 + (-x).exp())


def linear(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def block(x: Tensor, c: Tensor, w: dict[str, Tensor], name: str, groups: int) -> Tensor:
    h = conv(silu(norm(x, w, f"{name}.norm_1", groups)), w, f"{name}.conv_1")
    h = h + linear(c, w, f"{name}.condition")[:, :, None, None]
    h = conv(silu(norm(h, w, f"{name}.norm_2", groups)), w, f"{name}.conv_2")
    return h + (conv(x, w, f"{name}.shortcut") if f"{name}.shortcut.weight" in w else x)


def attention(x: Tensor, w: dict[str, Tensor], name: str, groups: int, head: int) -> Tensor:
    b, channels, *_ = x.shape
    tokens = norm(x, w, f"{name}.norm", groups).reshape(b, channels, -1).transpose(1, 2)
    q, k, v = linear(tokens, w, f"{name}.qkv").split(channels, dim=2)
    heads = []
    for start in range(0, channels, head):
        part = slice(start, start + head)
        score = q[..., part] @ k[..., part].transpose(1, 2) / head**0.5
        heads.append(score.softmax(2) @ v[..., part])
    h = linear(torch.cat(heads, 2), w, f"{name}.proj")
    return x + h.transpose(1, 2).reshape(x.shape)


def sinusoids(t: Tensor, dim: int) -> Tensor:
    rates = torch.tensor([10_000 ** (-i / (dim // 2 - 1)) for i in range(dim // 2)])
    return torch.cat([(t[:, None] * rates).sin(), (t[:, None] * rates).cos()], 1)


def reference(x: Tensor, t: Tensor, y: Tensor, w: dict[str, Tensor], *, queue: bool = False) -> Tensor:
    """width 8, multipliers (1, 2, 3), two blocks, attention at levels 1 and 2, heads of 2, 4 groups, classes.

    queue: hand the skips of a level across in the wrong order.
    """
    wave = sinusoids(t, 8).double()
    c = linear(silu(linear(wave, w, "condition.inner")), w, "condition.outer") + w["condition.label.weight"][y]
    c = silu(c)

    def stage(h: Tensor, name: str, level: int) -> Tensor:
        h = block(h, c, w, f"{name}.block", 4)
        return attention(h, w, f"{name}.attend", 4, 2) if level else h

    a0 = conv(x, w, "inlet")
    a1 = stage(a0, "down.0", 0)
    a2 = stage(a1, "down.1", 0)
    b1 = stage(conv(a2, w, "shrink.0", stride=2), "down.2", 1)
    b2 = stage(b1, "down.3", 1)
    h = conv(b2, w, "shrink.1", stride=2)
    for i in range(3):
        h = stage(h, f"middle.{i}", 2)
    if queue:
        a1, a2, b1, b2 = a2, a1, b2, b1
    h = up_conv(h, w, "grow.0")[..., : b2.shape[-2], : b2.shape[-1]]
    h = stage(torch.cat([h, b2], 1), "up.0", 1)
    h = stage(torch.cat([h, b1], 1), "up.1", 1)
    h = up_conv(h, w, "grow.1")[..., : a2.shape[-2], : a2.shape[-1]]
    h = stage(torch.cat([h, a2], 1), "up.2", 0)
    h = stage(torch.cat([h, a1], 1), "up.3", 0)
    return conv(silu(norm(h, w, "norm", 4)), w, "outlet")


def small(**changes) -> UNet:
    options = {
        "width": 8,
        "multipliers": (1, 2, 3),
        "blocks": 2,
        "attention": (1, 2),
        "head": 2,
        "groups": 4,
        "classes": 5,
    }
    return UNet(2, **(options | changes))


def test_equals_the_explicit_computation():
    model = awake(small())
    x, t = inputs()
    y = torch.tensor([0, 4, 2])
    expected = reference(x, t, y, dict(model.state_dict()))
    # the time embedding is float32 inside, elsewhere float64; deviations of 1e-7 in it are damped by what follows
    assert (model(x, t, y) - expected).abs().max() < 1e-6 * expected.abs().max()
    assert expected.std() > 0.05


def test_the_last_skip_of_a_level_is_the_first_to_be_used():
    model = awake(small())
    x, t = inputs()
    y = torch.tensor([0, 4, 2])
    queue = reference(x, t, y, dict(model.state_dict()), queue=True)
    assert (model(x, t, y) - queue).abs().max() > 1e-2 * queue.abs().max()


# ---- blocks against an independent library --------------------------------------------------------------------------


def test_block_equals_that_of_diffusers():
    from diffusers.models.resnet import ResnetBlock2D

    ours = awake(Block(8, 12, 16, groups=4, dropout=0.0))
    theirs = ResnetBlock2D(in_channels=8, out_channels=12, temb_channels=16, groups=4, eps=1e-5).double().eval()
    names = {
        "norm_1": "norm1", "norm_2": "norm2", "conv_1": "conv1", "conv_2": "conv2", "condition": "time_emb_proj",
        "shortcut": "conv_shortcut",
    }  # fmt: skip
    theirs.load_state_dict({f"{names[k.split('.')[0]]}.{k.split('.')[1]}": v for k, v in ours.state_dict().items()})
    x, _ = inputs(channels=8)
    c = Noise(5)(torch.empty(3, 16, dtype=torch.float64))
    torch.testing.assert_close(ours(x, F.silu(c)), theirs(x, c), rtol=0, atol=1e-12)


def test_attention_equals_that_of_diffusers():
    from diffusers.models.attention_processor import Attention as Theirs

    ours = awake(Attention(12, head=3, groups=4))
    theirs = Theirs(
        12, heads=4, dim_head=3, norm_num_groups=4, eps=1e-5, bias=True, residual_connection=True,
        _from_deprecated_attn_block=True,
    ).double().eval()  # fmt: skip
    w = ours.state_dict()
    ported = {"group_norm.weight": w["norm.weight"], "group_norm.bias": w["norm.bias"]}
    for kind in ("weight", "bias"):
        for name, part in zip(("to_q", "to_k", "to_v"), w[f"qkv.{kind}"].chunk(3), strict=True):
            ported[f"{name}.{kind}"] = part
        ported[f"to_out.0.{kind}"] = w[f"proj.{kind}"]
    theirs.load_state_dict(ported)
    x, _ = inputs(channels=12)
    torch.testing.assert_close(ours(x), theirs(x), rtol=0, atol=1e-12)


# ---- invariants -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (32, 32), (7, 9), (5, 16), (1, 3)])
@pytest.mark.parametrize(("channels", "out"), [(1, None), (3, 6)])
def test_any_size_and_number_of_channels(size, channels, out):
    model = awake(UNet(channels, out, width=8, head=8))
    x, t = inputs(2, channels, size)
    assert model(x, t).shape == (2, out or channels, *size)


@pytest.mark.parametrize(("size", "halves"), [((6, 5), [(3, 3), (2, 2)]), ((8, 12), [(4, 6), (2, 3)])])
def test_each_resolution_is_half_the_one_before_rounded_up(size, halves):
    """The explicit computation takes the size of a kernel from its weights, and would not miss a wrong one."""
    model, seen = small(classes=0), []
    for shrink in model.shrink:
        shrink.register_forward_hook(lambda layer, args, out: seen.append(tuple(out.shape[2:])))
    x, t = inputs(size=size)
    model(x.float(), t)
    assert seen == halves


def test_starts_at_zero_and_each_part_as_the_identity():
    x, t = inputs(channels=1)
    assert (UNet(1)(x.float(), t) == 0).all()
    h, _ = inputs(channels=8)
    assert torch.equal(Attention(8, head=4, groups=2)(h.float()), h.float())
    assert torch.equal(Block(8, 8, 5, groups=2, dropout=0.0)(h.float(), torch.randn(3, 5)), h.float())


def test_defaults_are_a_small_network_with_attention_where_it_is_coarsest():
    """The shapes of its tensors follow from width 32, multipliers (1, 2, 2), one block, attention at level 2 alone."""
    model = UNet(3)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert [shapes[f"shrink.{k}.weight"] for k in (0, 1)] == [(64, 32, 3, 3), (64, 64, 3, 3)]
    assert [shapes[f"grow.{k}.weight"] for k in (0, 1)] == [(64, 64, 2, 2), (64, 32, 2, 2)]
    assert (len(model.down), len(model.middle), len(model.up)) == (2, 2, 2)
    attending = [name for name, part in model.named_modules() if isinstance(part, Attention)]
    assert attending == ["middle.0.attend", "middle.1.attend"]
    assert {part.head for part in model.modules() if isinstance(part, Attention)} == {32}
    assert {part.num_groups for part in model.modules() if isinstance(part, nn.GroupNorm)} == {8}
    assert {part.p for part in model.modules() if isinstance(part, nn.Dropout)} == {0.0}
    assert shapes["inlet.weight"] == (32, 3, 3, 3) and shapes["outlet.weight"] == (3, 32, 3, 3)
    assert shapes["down.0.block.condition.weight"] == (32, 128)  # the embedding is four times as wide as the features
    assert not [name for name in shapes if "label" in name]


def test_depends_on_x_t_and_y():
    model = awake(small())
    x, t = inputs()
    y = torch.tensor([0, 4, 2])
    base = model(x, t, y)
    for other in (model(1.1 * x, t, y), model(x, t + 1, y), model(x, t, (y + 1) % 5)):
        assert (other - base).flatten(1).abs().amax(1).min() > 1e-4


def test_a_second_number_reaches_the_output_and_is_wanted_exactly_where_there_is_one():
    model, s = awake(small(classes=0, second=True)), torch.tensor([1.0, 5.0])
    x, t = inputs(2)
    assert (model(x, t, s=s) - model(x, t, s=s + 1)).abs().amax((1, 2, 3)).min() > 1e-4
    with pytest.raises(ValueError, match="s is missing"):
        model(x, t)


def test_every_pixel_reaches_every_pixel():
    model = awake(small(classes=0))
    x, t = inputs(1, size=(8, 8))
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(model(x, t)[0, 0, 0, 0], x)
    assert gradient.abs().min() > 0


def test_rows_do_not_meet():
    model = awake(small(classes=0))
    x, t = inputs(8)
    whole = model(x, t)
    torch.testing.assert_close(torch.cat([model(x[:4], t[:4]), model(x[4:], t[4:])]), whole, rtol=0, atol=1e-12)
    changed = x.clone()
    changed[3] += 1
    others = torch.arange(8) != 3
    assert torch.equal(model(changed, t)[others], whole[others])


def test_arguments_are_left_as_they_were():
    model = awake(small(classes=0))
    x, t = inputs()
    before = x.clone(), t.clone()
    model(x, t)
    assert torch.equal(x, before[0]) and torch.equal(t, before[1])


def test_dropout_only_in_training():
    model = awake(small(classes=0, dropout=0.5))
    x, t = inputs()
    assert torch.equal(model(x, t), model(x, t))
    model.train()
    assert not torch.equal(model(x, t), model(x, t))


def test_gradient_reaches_every_parameter():
    model = awake(small())
    x, t = inputs()
    model(x, t, torch.tensor([0, 4, 2])).square().sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert idle == []


def test_channels_last_computes_the_same():
    model = awake(small(classes=0))
    x, t = inputs()
    plain = model(x, t)
    model = cast(Any, model).to(memory_format=torch.channels_last)  # no overload of Module.to names it
    torch.testing.assert_close(model(x.to(memory_format=torch.channels_last), t), plain, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "wrong",
    [{"width": 12, "groups": 8}, {"attention": (3,)}, {"attention": (0,), "head": 5}, {"attention": (2,), "head": 16}],
)
def test_impossible_layouts_are_refused(wrong):
    with pytest.raises(ValueError, match="must be a multiple of groups"):
        small(**wrong)


@pytest.mark.parametrize("right", [{"attention": (0, 1, 2)}, {"attention": (1,), "head": 16}, {"attention": ()}])
def test_attention_may_stand_at_any_resolutions_whose_channels_the_heads_divide(right):
    model = small(**right)
    attending = [name for name, part in model.named_modules() if isinstance(part, Attention)]
    stages = {0: ["down.0", "down.1", "up.2", "up.3"], 1: ["down.2", "down.3", "up.0", "up.1"]}
    stages[2] = ["middle.0", "middle.1", "middle.2"]
    assert sorted(attending) == sorted(f"{name}.attend" for level in right["attention"] for name in stages[level])


def test_labels_are_asked_for_and_only_when_there_are_classes():
    x, t = inputs()
    with pytest.raises(ValueError, match="y is missing"):
        awake(small())(x, t)
    with pytest.raises(ValueError, match="without classes"):
        awake(small(classes=0))(x, t, torch.zeros(3, dtype=torch.long))
