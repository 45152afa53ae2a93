"""Training a network.

from_files  one training, from stimulus files to a file of weights
train       the loop over steps, checkpoints and resuming
settings    what may be set
task        what a network is trained to do, and its loss
objective   one batch through a network: noise, warm-up, loss
batches     sequences of a file, or a stream that never repeats
weights     files of weights and checkpoints, and which training a checkpoint belongs to
moments     when weights are kept, to follow what is learned
contents    what such a file holds, by key and type
devices     which device, and how freed memory is kept
free_gpu    of several GPUs one that nobody has taken
processes   several processes that train one network
"""
