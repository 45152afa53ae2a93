"""Recordings in the formats of other packages.

as_nwb         Neurodata Without Borders
as_numpy       arrays
as_assembly    a Brain-Score assembly
as_rsatoolbox  a dataset of rsatoolbox
common         what they share
population     a recording as units by trials
"""
