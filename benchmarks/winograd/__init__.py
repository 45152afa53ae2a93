"""Would cheaper convolutions make a training step faster? Winograd's F(4x4, 3x3) in C, measured only.

winograd.c   convolutions of states that move by whole pixels, and what a step does besides, in one pass
kernels      the same on tensors; compiled when imported
step         flowsim's recurrence by these kernels
__main__     whole training steps with and without it: ``python -m benchmarks.winograd``

It needs a C compiler, and AVX-512 to pay at few channels. What stands between it and
`flowsim.layers.fused_recurrence` is how a state says how far its grid of tiles has moved (modulo 4), without
which the law is exact to rounding only.
"""
