"""Settings: file, environment, command line; every mistake is one clear line."""

from pathlib import Path

import pytest

from ssv_pool.errors import ConfigError
from ssv_pool.settings import ENVIRONMENT, Settings, load_settings

MINIMAL = """
network: devnet
data_dir: data
operator: {private_key_file: key.json, password_file: password.txt}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "operator.yaml"
    path.write_text(text)
    return path


def test_minimal_file_gives_defaults_and_anchors_paths(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, MINIMAL), environment={})
    assert settings.data_dir == tmp_path / "data"
    assert settings.operator.private_key_file == tmp_path / "key.json"
    assert settings.store_url == f"sqlite:///{tmp_path / 'data' / 'store.sqlite'}"
    assert settings.registry.follow_distance == 8
    assert settings.broker_url is None


def test_command_line_beats_environment_beats_file(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "metrics_port: 1\napi_port: 1\ninstance: file\n")
    settings = load_settings(
        path,
        environment={"METRICS_API_PORT": "2", "SSV_API_PORT": "2", "BEACON_NODE_ADDR": "http://a:1/;http://b:2"},
        overrides={"metrics_port": 3},
    )
    assert (settings.metrics_port, settings.api_port, settings.instance) == (3, 2, "file")
    assert settings.beacon.nodes == ("http://a:1", "http://b:2")


def test_everything_from_the_environment() -> None:
    settings = load_settings(
        None,
        environment={"NETWORK": "hoodi", "DATA_DIR": "/d", "PRIVATE_KEY_FILE": "/k", "PASSWORD_FILE": "/p"},
    )
    assert settings.contract_address == "0x58410Bef803ECd7E63B23664C586A6DB72DAf59c"
    assert settings.first_block == 1065


def test_every_key_has_an_environment_twin() -> None:
    def keys(model: type, prefix: str = "") -> set[str]:
        found = set()
        for name, field in model.model_fields.items():  # type: ignore[attr-defined]
            inner = field.annotation
            if isinstance(inner, type) and hasattr(inner, "model_fields"):
                found |= keys(inner, f"{prefix}{name}.")
            else:
                found.add(prefix + name)
        return found

    assert keys(Settings) == set(ENVIRONMENT.values())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "metricsport: 1\n", "metricsport: unknown key"),
        (MINIMAL + "log: {colour: red}\n", "log.colour: unknown key"),
        ("network: devnet\n", "data_dir: missing"),
        (
            MINIMAL + "metrics_port: 70000\n",
            "metrics_port: found 70000, expected: Input should be less than or equal to 65535",
        ),
        (
            MINIMAL.replace("devnet", "moonnet"),
            (
                "network: found 'moonnet', expected: unknown name 'moonnet', "
                "expected one of mainnet, holesky, hoodi, sepolia, devnet"
            ),
        ),
        (
            MINIMAL + "beacon: {nodes: ['ws://x']}\n",
            (
                "beacon.nodes: found ['ws://x'], expected: a URL of the list begins otherwise, "
                "expected http:// or https://"
            ),
        ),
        (
            MINIMAL + "log: loud\n",
            "log: found 'loud', expected: Input should be a valid dictionary or instance of LogSettings",
        ),
        ("- a\n", "found a list at the top, expected a mapping of settings"),
        ("a: [\n", "not valid YAML at line 2, expected a mapping of settings"),
    ],
)
def test_bad_files_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environment={})
    assert str(caught.value) == f"{path}: {message}"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot read the configuration"):
        load_settings(tmp_path / "nowhere.yaml", environment={})


def test_a_network_without_a_contract_needs_one(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, MINIMAL), environment={})
    with pytest.raises(ConfigError, match=r"registry\.contract: missing"):
        _ = settings.contract_address


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            MINIMAL + "broker_url: http://me:hunter2@host\n",
            (
                r"broker_url: found 'http://***@host', expected: String should match pattern "
                r"'^(redis|rediss|redis\+socket|unix)://'"
            ),
        ),
        (
            MINIMAL + "execution: {nodes: 'https://a:1;ws://me:hunt/er2@host'}\n",
            (
                "execution.nodes: found 'https://***@host', expected: a URL of the list begins otherwise, "
                "expected http:// or https://"
            ),
        ),
    ],
)
def test_passwords_in_urls_are_not_repeated(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environment={})
    assert str(caught.value) == f"{path}: {message}"


def test_graffiti_fills_a_blocks_field_and_no_more(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, MINIMAL), environment={}).validators.graffiti_bytes == b"ssv-pool" + bytes(24)
    chosen = load_settings(write(tmp_path, MINIMAL), environment={"GRAFFITI": "é" * 16, "GAS_LIMIT": "60000000"})
    assert (chosen.validators.graffiti_bytes, chosen.validators.gas_limit) == ("é".encode() * 16, 60_000_000)
    with pytest.raises(ConfigError, match=r"validators\.graffiti: found .*: 33 bytes, expected at most 32"):
        load_settings(write(tmp_path, MINIMAL), environment={"GRAFFITI": "é" * 16 + "a"})


POOL = MINIMAL + "pool: {contract: '0x%s', key_file: account.key, %s}\n"
CONTRACT = "11" * 20


def test_a_pools_paths_count_from_the_file_and_its_committees_are_operator_ids(tmp_path: Path) -> None:
    text = POOL % (CONTRACT, "inventory: keys, committees: ['1, 2,3,4', '5,6,7,8'], peers: ['http://a:1/']")
    settings = load_settings(write(tmp_path, text), environment={})
    assert settings.pool.key_file == tmp_path / "account.key"
    assert settings.pool.inventory == tmp_path / "keys"
    assert settings.pool.password_file is None
    assert settings.pool.allowed_committees == ((1, 2, 3, 4), (5, 6, 7, 8))
    assert settings.pool.peers == ("http://a:1",)
    assert settings.pool_first_block == settings.first_block


@pytest.mark.parametrize(
    ("section", "words"),
    [
        (f"{{contract: '0x{CONTRACT}'}}", "pool.key_file where pool.contract is set"),
        ("{contract: pool}", "pool.contract: found 'pool'"),
        ("{runway_low_days: 28}", "pool.runway_low_days below pool.runway_high_days"),
        ("{committees: ['4,3,2,1']}", "4, 7, 10 or 13 operator ids in ascending order, such as 1,2,3,4"),
        ("{committees: ['1,2,3']}", "4, 7, 10 or 13 operator ids in ascending order, such as 1,2,3,4"),
        ("{committees: ['a,b,c,d']}", "4, 7, 10 or 13 operator ids in ascending order, such as 1,2,3,4"),
        ("{peers: ['ftp://user:secret@peer']}", "expected http:// or https://"),
        ("{report_epochs: 0}", "pool.report_epochs: found 0"),
    ],
)
def test_a_bad_pool_section_is_one_line(tmp_path: Path, section: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, f"{MINIMAL}pool: {section}\n"), environment={})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
