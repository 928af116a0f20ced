from pathlib import Path

import pytest

from ssv_pool.errors import ConfigError
from ssv_pool.messaging.broker import BrokerUrl
from ssv_pool.messaging.valkey import MAX_SOCKET_PATH, socket_path


@pytest.mark.parametrize(
    ("text", "client", "celery"),
    [
        ("redis://host:6379", "redis://host:6379/0", "redis://host:6379/0"),
        ("rediss://u:p@host:6379/3", "rediss://u:p@host:6379/3", "rediss://u:p@host:6379/3"),
        ("unix:///run/v.sock", "unix:///run/v.sock?db=0", "redis+socket:///run/v.sock?virtual_host=0"),
        ("unix://:p@/run/v.sock?db=2", "unix://:p@/run/v.sock?db=2", "redis+socket://:p@/run/v.sock?virtual_host=2"),
        ("redis+socket:///a?virtual_host=1", "unix:///a?db=1", "redis+socket:///a?virtual_host=1"),
    ],
)
def test_both_forms_come_from_one_url(text, client, celery):
    assert BrokerUrl.parse(text) == BrokerUrl(client, celery)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("amqp://secret@host", "broker_url: found scheme 'amqp', expected one of redis, rediss, redis+socket, unix"),
        ("redis://:secret@", "broker_url: no host, expected redis://host:port/db"),
        ("redis://:secret@h/x", "broker_url: found database 'x', expected a number"),
        ("redis://h:99999999", "broker_url: not a URL, expected redis://host:port/db or unix:///path"),
        ("unix://run/v.sock?db=x", "broker_url: found database 'x', expected a number"),
        ("redis+socket://", "broker_url: found path '', expected an absolute path of a socket"),
    ],
)
def test_a_bad_url_is_one_line_without_its_password(text, message):
    with pytest.raises(ConfigError) as error:
        BrokerUrl.parse(text)
    assert str(error.value) == message


def test_the_public_form_has_no_password():
    assert BrokerUrl.parse("redis://user:secret@host:6379/3").public == "redis://host:6379/3"


def test_a_long_folder_gets_a_short_socket():
    assert socket_path(Path("/data/broker")) == Path("/data/broker/valkey.sock")
    long = Path("/data") / ("x" * 120)
    assert socket_path(long) == socket_path(long)
    assert socket_path(long) != socket_path(long / "y")
    assert len(str(socket_path(long))) <= MAX_SOCKET_PATH
