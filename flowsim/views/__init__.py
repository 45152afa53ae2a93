"""Pages and pictures for people.

report         one page for an experiment
sweep_report   one page for a sweep
sweep_effects  which settings of a sweep matter more than seeds do
sweep_table    what was found at every point of a sweep
sweep_figure   one analysis of a sweep: curves or heat maps
comparison     what differs between two folders of results
lead           the sentence and the numbers that a report opens with
drawing        the figure of one analysis, as SVG, PNG and CSV
networks       the table of what was compared
player         what the player of a report shows
dots           few seeds as dots
inline_svg     figures as part of a page
methods        the paragraph of methods, equations, BibTeX
words          numbers and names as a report writes them
unlearned      which networks beat what needs no learning
preview        a few trials of a stimulus
gallery        the page of all stimuli
inspection     what a file is, in words
model_table    every network, its parameters and law
machine        what works on this machine
idea_page      one stimulus, network or analysis, with all its arguments
idea_table     every stimulus or analysis, in a line each
"""
