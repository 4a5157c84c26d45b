"""Tensors on disk: one safetensors file with metadata, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn


class CheckpointError(ValueError):
    """A checkpoint that cannot be used; the message says which file, why, and what to do."""


def write_atomically(path: str | Path, data: bytes) -> None:
    """Put `data` at `path`, so that a reader sees the old file or the new one, never a part.

    Makes the folder.  OSError (no space, no permission) names the file; nothing half-written stays behind.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp's files are private; a product of a run has the permissions of any new file
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, f"cannot write {path}: {error.strerror or error}") from error
        raise


def save(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors (any device and layout) and string metadata as one safetensors file, atomically."""
    from safetensors.torch import save as to_bytes

    # a copy: safetensors refuses tensors that share memory, and layouts other than row-major
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    write_atomically(path, to_bytes(plain, dict(metadata)))


def load(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors (on the CPU) and the metadata of a checkpoint.

    FileNotFoundError if there is none; CheckpointError if the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            return tensors, dict(file.metadata() or {})
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged ({error}): delete it and train again") from error


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], where: str | Path) -> None:
    """Give `model` the weights read from `where`; CheckpointError lists every name or shape that does not fit."""
    own = model.state_dict()
    wrong = [f"{name} is missing" for name in own if name not in weights]
    wrong += [f"{name} is unknown to the model" for name in weights if name not in own]
    wrong += [
        f"{name} is {tuple(weights[name].shape)}, the model has {tuple(own[name].shape)}"
        for name in own
        if name in weights and weights[name].shape != own[name].shape
    ]
    if wrong:
        more = f", and {len(wrong) - 4} more" if len(wrong) > 4 else ""
        raise CheckpointError(f"{where} does not fit this model: {'; '.join(wrong[:4])}{more}")
    model.load_state_dict(dict(weights))
