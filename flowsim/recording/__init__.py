"""Recording what a network does.

record    a network that watches a stimulus, to one file
settings  what an experiment file may set of a recording
watch     show frames to a network and collect its activity
sites     named modules of a network whose outputs are recorded
thinning  how recorded activity is reduced
layout    dimensions, coordinates and chunks of a recording
open      open recordings, one or several side by side
"""
