"""What networks are built of.

cells              RNN, GRU and LSTM cells
first_kernel       recurrent weights that begin near the identity
readout            decoder to the next frame, and classifier
velocity_channels  lift, advance and pool over velocity
circular           circular convolutions
steerable          convolutions over orientations
padded_gather      padding and rolling in one gather
fused_recurrence   the recurrence with its own gradients, fast
gated_recurrence   the same with gates
winograd           convolutions of moving states with fewer multiplications, in C
"""
