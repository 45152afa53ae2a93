# PYTHON_ARGCOMPLETE_OK
"""``python -m flowsim VERB``, and the console script ``flowsim``: the command line of `flowsim.commands`."""

from __future__ import annotations

import sys

from flowsim.commands.parser import main

if __name__ == "__main__":
    sys.exit(main())
