"""Images and videos that stimuli are made of.

digits   scikit-learn's digits or MNIST, split into train, valid and test
mnist    MNIST's files, from a folder or downloaded
kth      the KTH videos of human actions, split by person
videos   videos decoded once, in the user's cache
movies   pictures of one's own, from movies, animations and folders
folders  where data are looked for, and where the cache is
"""
