"""Why an ordinary recurrent network is not flow equivariant, in the smallest world: a ring of pixels.

Keller (2025) gives the counterexample that this page runs. A bump of light rests on a ring; then the same
bump moves by one pixel per frame. An ordinary RNN whose weights are translation equivariant sees both:

    h_t = W * h_(t-1) + f_t        with W = a, a number between 0 and 1 (the state fades by a per frame)

>>> import torch
>>> from flowsim import Flow, Law, Translation, VelocityGrid, build
>>> from flowsim.testing import equivariance_error
>>> flow = Flow(Translation(), (0, 1))                  # right by one pixel per frame
>>> still = torch.zeros(1, 4, 1, 1, 5, dtype=torch.float64)      # (trial, time, channel, y, x): five pixels
>>> still[..., 0] = 1
>>> moving = flow.transport(still)
>>> moving[0, :, 0, 0].int().tolist()
[[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]

A network of one channel whose kernels are single numbers, W = 1/2 and U = 1, with V = {0}: the ordinary RNN.

>>> def network(velocities):
...     spec = {"velocities": velocities, "channels": 1, "kernel": 1, "activation": "linear"}
...     net = build("fernn", (1, 5), **spec).double()
...     torch.nn.init.constant_(net.cells[0].recurrent.weight, 0.5)
...     torch.nn.init.constant_(net.encoders[0].weight, 1.0)
...     return net.requires_grad_(False)
>>> rnn = network([[0, 0]])

At rest the bump piles up in one place. Moving, it leaves a trail: the state lags behind.

>>> rnn.states(still)[0, 3, 0, 0, 0].tolist()
[1.875, 0.0, 0.0, 0.0, 0.0]
>>> rnn.states(moving)[0, 3, 0, 0, 0].tolist()
[0.125, 0.25, 0.5, 1.0, 0.0]

No shift of the first gives the second, so transport, the law one would hope for, fails:

>>> round(equivariance_error(rnn, flow, still, Law.parse("transport")).worst, 2)
0.8

Give the state a channel for every velocity of the ring, which moves with that velocity, and change nothing
else. What the channel v = 1 now holds of the moving bump is exactly what v = 0 holds of the resting one,
moved along:

>>> fernn = network([[0, v] for v in range(5)])
>>> fernn.states(still)[0, 3, 0, 0, 0].tolist()          # v = 0, bump at rest
[1.875, 0.0, 0.0, 0.0, 0.0]
>>> fernn.states(moving)[0, 3, 1, 0, 0].tolist()         # v = 1, bump moving: three pixels further on
[0.0, 0.0, 0.0, 1.875, 0.0]

and so for every channel, flow and step: h_t[psi(u) f](v) = psi_t(u) h_t[f](v - u).

>>> [equivariance_error(fernn, Flow(Translation(), (0, u)), still).worst for u in range(5)]
[0.0, 0.0, 0.0, 0.0, 0.0]
"""

if __name__ == "__main__":
    import doctest

    failed, tried = doctest.testmod()
    print(f"{tried - failed} of {tried} statements hold")
