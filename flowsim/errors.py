"""Errors that a person can put right. The message is one line: what was expected, what came, what to do."""


class InputError(ValueError):
    """Something that a person gave (a file, a specification, an argument) cannot be used.

    The command line prints the message as one line and exits with status 2; from Python it is an
    ordinary ``ValueError``. Errors of any other kind are defects of flowsim and keep their traceback.
    """
