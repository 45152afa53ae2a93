"""Pages and pictures for people.

report       one page for an experiment
lead         the sentence and the numbers that a report opens with
drawing      the figure of one analysis, as SVG, PNG and CSV
networks     the table of what was compared
player       what the player of a report shows
dots         few seeds as dots
inline_svg   figures as part of a page
methods      the paragraph of methods, equations, BibTeX
words        numbers and names as a report writes them
unlearned    which networks beat what needs no learning
preview      a few trials of a stimulus
gallery      the page of all stimuli
inspection   what a file is, in words
model_table  every network, its parameters and law
machine      what works on this machine
idea_page    one stimulus, network or analysis, with all its arguments
idea_table   every stimulus or analysis, in a line each
"""
