"""What is measured about flowsim itself.

speed        time and memory
paper        the numbers of the paper, beside ours
calibration  how often p-values and intervals are what they say
"""
