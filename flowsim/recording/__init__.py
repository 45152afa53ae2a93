"""Recording what a network does.

record      a network that watches a stimulus, to one file
settings    what an experiment file may set of a recording
shown       frames as they are shown: by name, from 0 to 1
watch       show frames to a network and collect its activity
sites       named modules of a network whose outputs are recorded
blank       the input withheld from a frame on
calls       how frames go into a network of one's own, and what its outputs are
find_calls  that, found by trying
apart       trials apart from each other, and the network as it was
thinning    how recorded activity is reduced
interventions  what a network carries, replaced after one frame
replaced_outputs  outputs of modules, replaced by hooks
dynamics    what is worked out of a network itself, for a recording
one_step    a step as a map of vectors, with its derivatives
fixed_points  relative fixed points, and the spectrum of the step about each
exponents   how small differences grow along the trajectory
layout      dimensions, coordinates and chunks of a recording
open        open recordings, one or several side by side
"""
