"""An experiment file: its schema, reading, checking, and cutting it into jobs.

schema  the blocks of the file
read    from YAML to checked blocks
check   everything that would fail later on
plan    jobs for the Snakefile
"""
