"""The one training loop of all demos: see `loop.train`."""

from implementations.lab.training.loop import Batch, Loss, Trained, laid_out, train

__all__ = ["Batch", "Loss", "Trained", "laid_out", "train"]
