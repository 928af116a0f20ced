"""Where the broker is: one URL, read once, and the redis-py client and the Celery URL made from it.

Redis 7 or Valkey 7.2 and later are needed (``SET … NX GET``). One server can serve several operators: every key begins
with the operator's instance name.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit, urlunsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ssv_pool.errors import ConfigError
from ssv_pool.messaging.valkey import socket_path
from ssv_pool.settings import Settings

SCHEMES = ("redis", "rediss", "redis+socket", "unix")
"""URL schemes that are understood."""

CONNECT_SECONDS = 2.0
"""Time limit of one connection attempt."""

SOCKET_SECONDS = 5.0
"""Time limit of one answer; blocking reads must ask for less."""


@dataclass(frozen=True, slots=True)
class BrokerUrl:
    """A broker's address in one form."""

    client_url: str
    """The URL as redis-py knows it (redis, rediss or unix)."""
    celery_url: str
    """The URL as Celery knows it (redis, rediss or redis+socket)."""

    @classmethod
    def parse(cls, text: str) -> "BrokerUrl":
        """Read a URL of one of the SCHEMES; raises ConfigError, whose text never has the password."""
        try:
            parts = urlsplit(text)
            _ = parts.port
        except ValueError:
            raise ConfigError("broker_url: not a URL, expected redis://host:port/db or unix:///path") from None
        if parts.scheme not in SCHEMES:
            raise ConfigError(f"broker_url: found scheme {parts.scheme!r}, expected one of {', '.join(SCHEMES)}")
        if parts.scheme in ("redis", "rediss"):
            if not parts.hostname:
                raise ConfigError("broker_url: no host, expected redis://host:port/db")
            database = parts.path.strip("/") or "0"
            _check_database(database)
            plain = urlunsplit((parts.scheme, parts.netloc, f"/{database}", parts.query, ""))
            return cls(plain, plain)
        if not parts.path.startswith("/"):
            raise ConfigError(f"broker_url: found path {parts.path!r}, expected an absolute path of a socket")
        query = parse_qs(parts.query)
        database = (query.get("virtual_host") or query.get("db") or ["0"])[0].strip("/")
        _check_database(database)
        return cls.unix(Path(unquote(parts.path)), int(database), parts.username, parts.password)

    @classmethod
    def unix(
        cls, path: Path, database: int = 0, username: str | None = None, password: str | None = None
    ) -> "BrokerUrl":
        """The broker behind the unix socket at an absolute ``path``. User and password are percent-encoded texts."""
        login = f"{username or ''}:{password}@" if password else ""
        place = quote(str(path))
        return cls(f"unix://{login}{place}?db={database}", f"redis+socket://{login}{place}?virtual_host={database}")

    @classmethod
    def of(cls, settings: Settings) -> "BrokerUrl":
        """The broker that the settings name, or the embedded one."""
        return cls.parse(settings.broker_url) if settings.broker_url else cls.unix(socket_path(settings.broker_dir))

    @property
    def public(self) -> str:
        """The URL without its password, for logs."""
        parts = urlsplit(self.client_url)
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit((parts.scheme, host, parts.path, "", ""))

    def client(self) -> redis.Redis:
        """A thread-safe client with time limits. It repeats a command once, after a dead connection, and no more."""
        return redis.Redis.from_url(
            self.client_url,
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=SOCKET_SECONDS,
            retry=Retry(NoBackoff(), 1),
            retry_on_error=[redis.ConnectionError],
        )


def _check_database(text: str) -> None:
    if not text.isdecimal():
        raise ConfigError(f"broker_url: found database {text!r}, expected a number")
