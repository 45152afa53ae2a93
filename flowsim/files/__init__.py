"""What stages exchange: labelled arrays in HDF5, and where they come from.

atomic       files that appear whole or not at all
netcdf       write and read a dataset
coordinates  dimensions, flows and velocity grids of a dataset
checkpoints  a network at several moments of its training, as recordings of their own
hdf5_chunks  chunks compressed and decompressed by several threads
hdf5_disk    HDF5 files on a disk that may be full
pieces       read an array that does not fit into memory, one piece after the other
checksums    whether a file is still as it was written
watched      HDF5 files looked through apart, before they are opened
provenance   attributes that say what a file was made from
code_hash    whether the code that made a file has changed in meaning
identify     what a file is that is not the expected one
user_cache   where flowsim keeps what it can make again
compiled     C sources, compiled once for this machine
outputs      nothing that is written destroys what is read, or what is somebody else's
results      results of several runs side by side, and as a table
"""
