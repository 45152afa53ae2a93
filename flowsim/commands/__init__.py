"""The command line, and one file for each verb, which has the verb's name.

parser  the command line itself: finds the verbs, reads their arguments and runs one
"""
