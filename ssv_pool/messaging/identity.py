"""Which operator this is: the node says it on the broker, for workers on machines without the operator's key file."""

import redis


def announce_operator(client: redis.Redis, instance: str, public_key: bytes) -> None:
    """Say this operator's public key (ASCII base64 of its PEM, as on chain). Raises redis.RedisError."""
    client.set(_key(instance), public_key)


def announced_operator(client: redis.Redis, instance: str) -> bytes | None:
    """The public key last announced; None before the first time. Raises redis.RedisError."""
    found = client.get(_key(instance))
    return found if isinstance(found, bytes) else None


def _key(instance: str) -> str:
    return f"{instance}:operator"
