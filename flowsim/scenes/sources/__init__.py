"""Images and films that stimuli are made of.

digits   bundled digits or MNIST, split once
mnist    the IDX files
kth      the films of human actions, split by person
videos   decoding films
folders  where data lie
"""
