"""How often p-values are small where nothing is to be found, and how often intervals hold the truth.

__main__                `python -m benchmarks.calibration`: run the tests' simulations, write the table
table                   counts from pytest's report, and whether they are what is claimed
figure_of_calibration   the picture of that table
"""
