"""Which files may hold weights."""

#: Suffixes of files that run code when they are read: weights are taken from safetensors alone.
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
