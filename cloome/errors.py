"""Errors that a user can act on; ``cloome`` prints their text without a traceback."""


class CloomeError(Exception):
    """Something outside the program is wrong; the message says what was found and what to do."""


class ConfigError(CloomeError):
    """A configuration key is unknown, of the wrong type, or in conflict with another one."""


class FormatError(CloomeError):
    """A file is truncated, of another version, or not what its name promises."""
