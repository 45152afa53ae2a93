"""Training a network.

train      the loop, checkpoints and resuming
settings   what may be set
objective  what is descended
batches    sequences of a file, or without end
weights    weights and checkpoints on disk
devices    which device, several processes, memory
"""
