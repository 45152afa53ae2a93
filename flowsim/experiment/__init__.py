"""An experiment file: what it may contain, reading it, checking it, and cutting it into jobs.

schema         the blocks of the file
chain          whether files are made from each other, and as the experiment says
places         whether a file is what its place says
sweep          the points of a sweep, and how their files are called
read           from YAML to blocks, and what follows from them: runs, splits, settings of each training
check          everything that would fail later on
contract_kept  whether what the user's own ideas make is what their kind has to make
costs          time, memory and size of the file of each job
json_schema    the blocks and all arguments of ideas, for editors
plan           jobs for the Snakefile
remembered     the plan of an experiment that has passed its checks, until something changes
"""
