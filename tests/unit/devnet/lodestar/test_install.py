import json

import pytest

from ssv_pool.devnet.lodestar import install
from ssv_pool.devnet.lodestar.install import LodestarUnavailableError, check_programs, ensure_installed, npm_failure
from ssv_pool.errors import UnavailableError


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ({"npm", "make", "g++"}, "Lodestar: node is not on PATH, install Node.js 20 or later"),
        ({"node", "make", "g++"}, "Lodestar: npm is not on PATH, install Node.js with npm"),
        ({"node", "npm", "g++"}, "Lodestar: make is not on PATH, install GNU make"),
        ({"node", "npm", "make"}, "Lodestar: c++ or g++ or clang++ is not on PATH, install a C++ compiler"),
    ],
)
def test_a_missing_program_is_named(there, message):
    with pytest.raises(LodestarUnavailableError) as raised:
        check_programs(lambda name: f"/usr/bin/{name}" if name in there else None)
    assert str(raised.value) == f"{message} (the embedded beacon node needs no compiler)"


def test_any_compiler_will_do():
    check_programs(lambda name: None if name in {"c++", "g++"} else name)


def test_no_network_is_told_from_other_failures():
    output = "npm error code ENOTFOUND\nnpm error errno ENOTFOUND\nnpm error network request failed\n"
    error = npm_failure("ci", 1, output)
    assert (type(error), str(error)) == (
        LodestarUnavailableError,
        "Lodestar: npm ci: the npm registry cannot be reached (ENOTFOUND)",
    )
    error = npm_failure("rebuild", 7, "something\nnpm error code EUSAGE\nnpm error more\n")
    assert (type(error), str(error)) == (UnavailableError, "Lodestar: npm rebuild ended with status 7: code EUSAGE")
    assert str(npm_failure("ci", 1, "")) == "Lodestar: npm ci ended with status 1: no output"


def test_it_is_installed_once_and_again_when_the_lock_changes(tmp_path, monkeypatch):
    (tmp_path / "package.json").write_text("{}")
    (tmp_path / "package-lock.json").write_text("{}")
    ran = []

    def npm(folder, *arguments):
        ran.append(arguments[:2])
        (folder / "node_modules").mkdir(exist_ok=True)

    monkeypatch.setattr(install, "_npm", npm)
    monkeypatch.setattr(install, "check_programs", lambda: None)
    once = [("ci", "--ignore-scripts"), ("rebuild", "snappy")]
    entry = tmp_path / "node_modules" / "@chainsafe" / "lodestar" / "lib" / "index.js"
    assert ensure_installed(folder=tmp_path) == entry
    assert ensure_installed(folder=tmp_path) == entry
    assert ran == once
    (tmp_path / "package-lock.json").write_text('{"lockfileVersion": 3}')
    ensure_installed(folder=tmp_path)
    assert ran == once + once


def test_an_installation_that_failed_half_way_is_done_again(tmp_path, monkeypatch):
    for name in ("package.json", "package-lock.json"):
        (tmp_path / name).write_text("{}")
    ran = []

    def npm(folder, *arguments):
        ran.append(arguments[0])
        (folder / "node_modules").mkdir(exist_ok=True)
        if ran == ["ci", "rebuild"]:
            raise npm_failure("rebuild", 1, "npm error no compiler")

    monkeypatch.setattr(install, "_npm", npm)
    monkeypatch.setattr(install, "check_programs", lambda: None)
    with pytest.raises(UnavailableError):
        ensure_installed(folder=tmp_path)
    ensure_installed(folder=tmp_path)
    assert ran == ["ci", "rebuild", "ci", "rebuild"]


def test_the_lock_pins_what_the_package_asks_for():
    package = json.loads((install.FOLDER / "package.json").read_text())
    locked = json.loads((install.FOLDER / "package-lock.json").read_text())["packages"]
    for name, version in (package["dependencies"] | package["overrides"]).items():
        found = {entry["version"] for path, entry in locked.items() if path.endswith(f"node_modules/{name}")}
        assert found == {version}, name
    assert all("integrity" in entry for path, entry in locked.items() if path)
