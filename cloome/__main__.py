"""``python -m cloome STAGE`` is ``cloome STAGE``."""

from cloome.cli import start

start()
