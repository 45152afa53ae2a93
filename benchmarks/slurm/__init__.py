"""The pipeline on a real Slurm, which one machine can be."""
