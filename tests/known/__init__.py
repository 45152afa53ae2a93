"""Recordings and results with known answers, for several test files.

nulls    recordings in which there is nothing to find
states   states that follow flows by a declared law, or by matrices that act on features
results  results of an analysis for several runs, as a figure takes them
small_project
         real Snakemake on a small experiment
"""
