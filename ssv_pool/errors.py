"""The root of this package's exceptions.

Every error that a user can cause is one of these, and its text is one line that names the thing, the value found and
what was expected. A text never contains a secret.
"""


class SsvPoolError(Exception):
    """Base class of every error this package raises on purpose."""

    exit_code: int = 1
    """Process exit status when the error ends a command."""


class ConfigError(SsvPoolError):
    """A setting is unknown, missing or has a bad value."""

    exit_code = 2


class KeyFileError(SsvPoolError):
    """A key file cannot be read, decrypted or understood."""

    exit_code = 3


class UnavailableError(SsvPoolError):
    """What this process depends on cannot be reached or is not ready: a beacon or execution node, a broker, a port."""

    exit_code = 4
