"""What analyses draw with.

plot            style, palette, lines, saving
panels          an axis for each network, bands, notes
velocity_plane  heat maps over velocities
"""
