# PYTHON_ARGCOMPLETE_OK
"""``python -m flowsim VERB``, and the console script ``flowsim``: the command line of `flowsim.commands`."""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and sys.path[:1] == [os.getcwd()]:
    # ``python -m`` looks into the working directory first; a csv.py there must not hide the library's
    sys.path.append(sys.path.pop(0))

from flowsim.commands.parser import main

if __name__ == "__main__":
    sys.exit(main())
