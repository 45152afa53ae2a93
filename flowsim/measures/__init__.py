"""What analyses measure with.

statistics         intervals, p-values and corrections
recorded           states and predictions out of a recording
ground_truth       labels, velocities and positions of trials
naming             which label a network names
coarse_maps        states at a coarse grain
block_map          apply a function block by block
dask_cluster       let dask compute on several machines
decoding           cross-validated readouts
rdm                dissimilarity matrices
similarity         networks compared with each other
tuning             tuning curves over velocity
orbit              the shape of orbits
operators          linear actions of flows on states
comoving           states carried back along the flow
eigenphases        angles of operators
law_error          how far states are from a law
nearest_translate  the translation that fits best
motion_energy      which way frames move
moved_copies       predictions that copy what was seen, moved on
plaids             whether a unit answers to a pattern or to its components
speed_exponent     whether a unit is tuned to speed or to temporal frequency
moving_objects     what objects cover that keep their velocities
predictors         how well frames are predicted without learning
image_quality      how alike two frames are: PSNR and SSIM
"""
