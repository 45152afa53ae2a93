"""Recording what a network does.

record    a network and a stimulus to one file
settings  what may be set
watch     show frames and collect activity
sites     named places in a network
thinning  which part of an activity is kept
layout    sizes and chunks of a recording
open      open recordings
"""
