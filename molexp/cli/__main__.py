"""`python -m molexp.cli` is the command line, for where scripts are not on the path."""

import sys

from molexp.cli import main

sys.exit(main())
