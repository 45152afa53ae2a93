"""Flows, the mathematics under everything: groups, velocities, laws, and how frames are moved. torch only.

group          what a flow group is: velocities, how they move frames, how they are written
translation    everything moves by the same number of pixels
rotation       turning about the centre
spiral         expansion and rotation about the centre
find_groups    all flow groups, found in this folder
flow           one flow: psi_t(v) on frames and states
velocity_grid  V, the finite set of velocities
law            the law of a state under flows
path           velocities that change in time
log_polar      retino-cortical coordinates
resampling     shifts and turns by other than whole pixels
"""
