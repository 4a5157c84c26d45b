"""What demos stand on: data sets, training, networks that were trained before, pictures, the command of a run."""
