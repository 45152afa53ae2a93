"""Skeletons of one's own ideas: what `flowsim new` writes.

write  a working file and its test, from the templates of this folder
"""
