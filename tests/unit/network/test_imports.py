import subprocess
import sys

import pytest

SHOW = "; import sys; print([name for name in {names} if name in sys.modules])"


def loaded(code: str, *names: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", code + SHOW.format(names=names)], capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


@pytest.mark.parametrize("module", ["ssv_pool.network", "ssv_pool.network.identity"])
def test_the_package_alone_imports_no_libp2p(module: str) -> None:
    assert loaded(f"import {module}", "libp2p") == "[]"


def test_the_host_works_without_the_certificate_clients() -> None:
    code = (
        "from ssv_pool.network.imports import skip_autotls; skip_autotls(); "
        "from ssv_pool.network.host import build_host; from ssv_pool.network.identity import new_identity; "
        "from ssv_pool.network import Counters, NetworkSettings; "
        "host = build_host(NetworkSettings(new_identity()), Counters())"
    )

    assert loaded(code, "httpx", "requests", "libp2p") == "['libp2p']"
