"""Recordings in the formats of other packages. Each ``as_<format>`` is found by its name.

as_numpy       arrays
as_assembly    a Brain-Score assembly
as_rsatoolbox  a dataset of rsatoolbox
as_nwb         Neurodata Without Borders
common         what the formats share, and what a format has to have
population     a recorded site as trials by units
"""
