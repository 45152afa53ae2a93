"""The verbs of the command line, one file each.

parser  the command line itself
"""
