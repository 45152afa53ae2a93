"""Pages and pictures for people.

report       one page for an experiment
unlearned    which networks beat what needs no learning
preview      a few trials of a stimulus
gallery      the page of all stimuli
inspection   what a file is, in words
model_table  every network, its parameters and law
machine      what works on this machine
idea_page    one stimulus, network or analysis, with all its arguments
idea_table   every stimulus or analysis, in a line each
"""
