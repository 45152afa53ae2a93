"""What stages exchange: labelled arrays in HDF5, and where they come from.

atomic       files that appear whole or not at all
netcdf       read and write a dataset
coordinates  dimensions, flows and velocity grids of a dataset
hdf5_chunks  chunks compressed and read by several threads
pieces       walk through large arrays
checksums    sums of what was written
provenance   what a file was made from
code_hash    whether the code that made it changed in meaning
results      results of several runs side by side, and as tables
"""
