"""What is measured about flowsim itself.

speed        time and memory
paper        the numbers of the paper, beside ours
calibration  how often p-values and intervals are what they say
winograd     a cheaper convolution in C, and what a training step gains by it
"""
