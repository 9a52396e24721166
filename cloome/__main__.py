"""``python -m cloome STAGE`` is ``cloome STAGE``."""

import sys

from cloome.cli import main

sys.exit(main())
