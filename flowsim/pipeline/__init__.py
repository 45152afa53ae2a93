"""Running an experiment from any folder: Snakemake, and what it does told in plain lines.

shipped     where the Snakefile, its profile and the experiments of flowsim lie
estimate    how long jobs take, from earlier runs too, and how large files get
events      Snakemake as a process that writes down its events
group       a process that ends together with all that it started
follow      what the events and the logs of running jobs say
show        lines in a log, a bar on a terminal
run         one experiment, from its file to its report
incomplete  what is missing after jobs failed, and why
"""
