"""Checkpoints come back as they went, or say why not; nothing half-written stays."""

import errno
import os

import pytest
import torch
from torch import nn

from implementations.lab import checkpoint
from implementations.lab.checkpoint import CheckpointError


def test_round_trip_keeps_tensors_and_metadata(tmp_path):
    shared = torch.arange(6.0).reshape(2, 3)
    tensors = {
        "a": shared,
        "turned": shared.T,  # another layout, and the memory of "a"
        "images": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "whole": torch.tensor([1, 2]),
    }
    path = tmp_path / "new" / "x.safetensors"
    checkpoint.save(path, tensors, {"method": "ddpm", "seed": "0"})
    found, metadata = checkpoint.load(path)
    assert metadata == {"method": "ddpm", "seed": "0"}
    assert found.keys() == tensors.keys() and all(torch.equal(found[k], tensors[k]) for k in tensors)
    assert [p.name for p in path.parent.iterdir()] == ["x.safetensors"]


def test_tensors_that_are_one_are_saved_as_two(tmp_path):
    w, path = torch.arange(6.0).reshape(2, 3), tmp_path / "x.safetensors"
    checkpoint.save(path, {"a": w, "b": w, "part": w[0]}, {})
    found, _ = checkpoint.load(path)
    assert torch.equal(found["a"], w) and torch.equal(found["b"], w) and torch.equal(found["part"], w[0])


def test_who_reads_while_another_writes_sees_the_old_file_whole(tmp_path):
    path, held = tmp_path / "x.safetensors", tmp_path / "held"
    checkpoint.save(path, {"a": torch.ones(2)}, {})
    before = path.read_bytes()
    os.link(path, held)  # the file itself, as a reader that has opened it holds it
    checkpoint.save(path, {"a": torch.zeros(2)}, {})
    assert held.read_bytes() == before != path.read_bytes()


def test_missing_and_damaged_files_are_named(tmp_path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*x\.safetensors"):
        checkpoint.load(path)
    checkpoint.save(path, {"a": torch.ones(100)}, {})
    whole = path.read_bytes()
    for damaged in (b"", b"garbage" * 9, whole[:-20], whole[:9]):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"x\.safetensors is damaged .* train again"):
            checkpoint.load(path)


def test_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    checkpoint.save(path, {"a": torch.ones(2)}, {})
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write .*x\.safetensors: No space left") as caught:
        checkpoint.save(path, {"a": torch.zeros(2)}, {})
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*file/x"):
        checkpoint.write_atomically(tmp_path / "file" / "x", b"1")


def test_new_files_have_ordinary_permissions(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    checkpoint.write_atomically(tmp_path / "ours", b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_weights_that_do_not_fit_are_listed():
    model = nn.Linear(2, 3)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load_weights(model, {"weight": torch.ones(3, 4), "extra": torch.ones(1)}, "w.safetensors")
    assert str(caught.value) == (
        "w.safetensors does not fit this model: bias is missing; extra is unknown to the model; "
        "weight is (3, 4), the model has (3, 2)"
    )
    checkpoint.load_weights(model, {"weight": torch.ones(3, 2), "bias": torch.ones(3)}, "w.safetensors")
    assert torch.equal(model.weight, torch.ones(3, 2))
