"""A network is trained once and loaded afterwards, as long as nothing that made it has changed."""

import dataclasses
import threading

import pytest
import torch

from implementations.lab import networks
from implementations.lab.demo import Run
from implementations.lab.networks import train_or_load
from implementations.unet import UNet
from tests.implementations.lab import toy_demo


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    toy_demo.trainings.clear()
    monkeypatch.setattr(networks, "code_hash", lambda module, *, definition: f"code of {module}.{definition}")
    return tmp_path / "cache" / "diffusion-kb" / "networks"


def kept(cache):
    return sorted(cache.glob("*.safetensors"))


def of(run: Run):
    return toy_demo.network(run), run.bases[-1]


def test_the_second_run_loads_what_the_first_trained(cache):
    first, trained = of(Run(steps=3))
    second, loaded = of(Run(steps=3))
    assert len(toy_demo.trainings) == 1
    assert (trained.loaded, loaded.loaded) == (False, True)
    assert trained.path == loaded.path == kept(cache)[0]
    assert torch.equal(first.model.weight, second.model.weight) and first.losses == second.losses
    assert loaded.seconds == pytest.approx(first.seconds) == second.seconds
    assert not second.model.training and not second.model.weight.requires_grad
    assert "loaded; its training took" in str(loaded) and str(kept(cache)[0]) in str(loaded)
    assert "trained in" in str(trained) and "kept in" in str(trained)


@pytest.mark.parametrize("change", [{"seed": 1}, {"steps": 4}, {"data": "rings"}])
def test_another_run_is_another_network(cache, change):
    of(Run(steps=3))
    of(dataclasses.replace(Run(steps=3), **change))
    assert len(toy_demo.trainings) == 2 and len(kept(cache)) == 2


def test_other_code_is_another_network(cache, monkeypatch):
    of(Run(steps=3))
    monkeypatch.setattr(networks, "code_hash", lambda module, *, definition: f"other code of {module}.{definition}")
    of(Run(steps=3))
    assert len(toy_demo.trainings) == 2


def test_fresh_trains_again_and_keeps_the_new_one(cache):
    of(Run(steps=3))
    _, base = of(Run(steps=3, fresh=True))
    assert not base.loaded and len(toy_demo.trainings) == 2 and len(kept(cache)) == 1


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", "short", "another"])
def test_a_damaged_file_is_trained_again_with_a_word(cache, damage, capsys):
    of(Run(steps=3))
    of(Run(steps=4))
    one, other = kept(cache)
    if damage == "another":
        one.write_bytes(other.read_bytes())
    else:
        one.write_bytes(one.read_bytes()[:-20] if damage == "short" else damage)
    for steps in (3, 4):
        of(Run(steps=steps))
    assert len(toy_demo.trainings) == 3
    assert f"{one} cannot be used, so the network is trained again" in capsys.readouterr().err
    of(Run(steps=3))
    of(Run(steps=4))
    assert len(toy_demo.trainings) == 3


def test_a_cache_that_cannot_be_written_costs_a_word(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    trained, base = of(Run(steps=3))
    assert trained.losses and base.path is None and "not kept" in str(base)
    assert "the network toy is not kept for the next run" in capsys.readouterr().err


def test_two_that_need_one_network_at_once_train_it_once(cache):
    found = []
    threads = [threading.Thread(target=lambda: found.append(of(Run(steps=200)))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(toy_demo.trainings) == 1
    assert sorted(base.loaded for _, base in found) == [False, True]


def small_unet(run: Run):
    """Images, so that the layout in memory matters too."""
    images = dataclasses.replace(toy_demo.POINTS, x=torch.rand(8, 1, 8, 8), x_test=torch.rand(4, 1, 8, 8))
    torch.manual_seed(run.seed)
    model = UNet(1, width=8, multipliers=(1, 2), attention=(1,), groups=4, head=8)

    def loss(model, batch, noise):
        return (model(batch[0], noise.uniform(batch[0][:, 0, 0, 0])) - batch[0]).square().mean()

    return train_or_load(small_unet, run, model, loss, images, name="unet", batch_size=4, lr=1e-2)


def test_a_loaded_network_computes_the_same_bits():
    torch.manual_seed(3)
    trained, loaded = small_unet(Run(steps=4)), small_unet(Run(steps=4))
    x, t = torch.rand(5, 1, 8, 8), torch.rand(5)
    with torch.no_grad():
        assert torch.equal(trained.model(x, t), loaded.model(x, t))


def test_of_several_processes_none_waits_for_another(cache, monkeypatch):
    monkeypatch.setattr(networks, "_lock", lambda path: pytest.fail("no lock here"))
    of_one = toy_demo.network
    monkeypatch.setattr(networks, "train", lambda model, *_, **__: networks.Trained(model, [1.0], 0.5))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    of_one(Run(steps=3))
    assert kept(cache) == []
    monkeypatch.setenv("RANK", "0")
    of_one(Run(steps=3))
    assert len(kept(cache)) == 1
