"""Flows, the mathematics under everything: groups, velocities, laws, and how frames are moved. torch only.

group          the flow groups: translation, rotation, spiral
flow           one flow: psi_t(v) on frames and states
velocity_grid  V, the finite set of velocities
law            the law of a state under flows
path           velocities that change in time
log_polar      retino-cortical coordinates
resampling     shifts and turns by other than whole pixels
"""
