"""The runner of the specification's tests: what it finds, runs, counts and says, on a suite of its own."""

import json
import os
import tarfile
from concurrent.futures import BrokenExecutor, Future

import pytest
from click.testing import CliRunner

from ssv_pool.errors import ConfigError
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.spectests import archives, registry
from ssv_pool.spectests import run as runs
from ssv_pool.spectests.__main__ import spec_tests
from ssv_pool.spectests.model import Failure, MismatchError, SpecFile, SpecFork, SpecTest
from ssv_pool.spectests.run import run_all, run_file

DUTY = "duty.DutySpecTest"


def write(folder, name, content):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def duty(name="map", beacon=1, runner=1):
    return {"Name": name, "BeaconRole": beacon, "RunnerRole": runner}


@pytest.fixture
def suite(tmp_path):
    """Alan's aggregator runs by itself, Boole's in a committee."""
    write(tmp_path / "alan" / "types" / "tests", f"{DUTY}_map_aggregator", duty())
    write(tmp_path / "boole" / "types" / "tests", f"{DUTY}_map_aggregator", duty(runner=6))
    return tmp_path


@pytest.fixture
def registered(monkeypatch):
    """Register a test type for the time of a test."""
    monkeypatch.setattr(registry, "_TYPES", dict(registry._TYPES))
    return registry.spec_test


def run(*arguments):
    result = CliRunner().invoke(spec_tests, [*map(str, arguments), "--jobs", "1"], standalone_mode=False)
    if isinstance(result.exception, ConfigError):
        return result.exception
    assert result.exception is None, result.exception
    return result.return_value, result.stdout


def test_all_pass(suite):
    status, output = run("--vectors", suite)
    assert status == 0
    assert "2 files, 2 tests passed, 0 failed" in output


def test_the_report_as_json_names_what_failed(suite):
    path = write(suite / "boole" / "types" / "tests", f"{DUTY}_wrong", duty("wrong", runner=1))
    status, output = run("--vectors", suite, "--json")
    report = json.loads(output)
    assert status == 1
    assert {key: report[key] for key in ("files", "tests", "passed", "failed")} == {
        "files": 3,
        "tests": 3,
        "passed": 2,
        "failed": 1,
    }
    assert [(row["fork"], row["type"], row["files"], row["passed"], row["failed"]) for row in report["types"]] == [
        ("alan", DUTY, 1, 1, 0),
        ("boole", DUTY, 2, 1, 1),
    ]
    expected = {"fork": "boole", "module": "types", "go_type": DUTY, "file": path.name, "test": "wrong"}
    assert report["failures"] == [expected | {"text": "runner role is 6, expected 1"}]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("news.SpecTest_new", duty(), "unknown test type news.SpecTest"),
        (f"{DUTY}_bad", "{", "not a test of its type: JSONDecodeError"),
        (f"{DUTY}_other", {"Name": "other"}, "KeyError at model.py:"),
        (f"{DUTY}_list", [], "TypeError('a test is a list, expected an object')"),
    ],
)
def test_what_cannot_be_run_has_failed(suite, name, content, text):
    write(suite / "alan" / "types" / "tests", name, content)
    status, output = run("--vectors", suite)
    assert status == 1
    assert text in output
    assert "3 files, 2 tests passed, 1 failed" in output


def test_fork_module_and_name_select(suite):
    write(suite / "alan" / "qbft" / "tests", "news.SpecTest_new", duty())
    write(suite / "alan" / "types" / "tests", f"{DUTY}_map_attester", duty("attester", 0, 0))
    assert run("--vectors", suite, "--fork", "boole")[0] == 0
    assert run("--vectors", suite)[0] == 1
    assert run("--vectors", suite, "--fork", "alan", "--module", "types")[0] == 0
    status, output = run("--vectors", suite, "--only", "MAP_att")
    assert (status, "1 files, 1 tests passed, 0 failed" in output) == (0, True)
    status, output = run("--vectors", suite, "--only", "new")
    assert (status, "unknown test type" in output) == (1, True)


def test_nothing_to_run_is_an_error(suite, tmp_path):
    assert str(run("--vectors", suite, "--only", "xyz")) == (
        "no test has 'xyz' in its name, expected one or more among 2 files"
    )
    root = suite / "alan"
    assert str(run("--vectors", suite, "--fork", "alan", "--module", "ssv")) == (
        f"{root} has no tests of module ssv, expected ssv/tests/*.json"
    )
    assert str(run("--vectors", root)) == (
        f"{root} has no ssv-spec-alan.tar.xz, expected it or a folder alan; it holds modules itself, so name one fork"
    )
    empty = tmp_path / "empty" / "alan"
    empty.mkdir(parents=True)
    assert str(run("--vectors", empty.parent, "--fork", "alan")) == (
        f"{empty.parent} has no tests, expected types/tests, qbft/tests or ssv/tests in it"
    )


def test_layouts(suite, tmp_path, monkeypatch):
    """A folder of one release, the specification's own tree, an archive, a folder with archives."""
    monkeypatch.setattr(archives.tempfile, "gettempdir", lambda: str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    assert run("--vectors", suite / "alan", "--fork", "alan")[0] == 0
    write(tmp_path / "tree" / "types" / "spectest" / "generate" / "tests", f"{DUTY}_map", duty(runner=6))
    assert run("--vectors", tmp_path / "tree", "--fork", "boole")[0] == 0
    for fork in SpecFork:
        with tarfile.open(tmp_path / "cache" / archives.archive_name(fork), "w:xz") as tar:
            tar.add(suite / fork, ".")
    assert run("--vectors", tmp_path / "cache" / "ssv-spec-boole.tar.xz", "--fork", "boole")[0] == 0
    assert run("--vectors", tmp_path / "cache")[0] == 0


def test_an_archive_is_unpacked_once(suite, tmp_path, monkeypatch):
    monkeypatch.setattr(archives.tempfile, "gettempdir", lambda: str(tmp_path))
    archive = tmp_path / "some.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(suite / "alan", ".")
    folder = archives.unpacked(archive)
    marker = write(folder, "marker", {})
    assert archives.unpacked(archive) == folder
    assert marker.exists()
    assert folder.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]

    archive.write_text("no archive")
    with pytest.raises(ConfigError, match=r"some\.tar\.xz cannot be read as an archive"):
        archives.unpacked(archive)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_somebody_elses_cache_is_not_used(suite, tmp_path, monkeypatch):
    monkeypatch.setattr(archives.tempfile, "gettempdir", lambda: str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"ssv-vectors-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"is not this user's own folder, expected it to be: set TMPDIR"):
        archives.unpacked(write(tmp_path, "any", {}))


def test_files_with_several_tests(suite, registered):
    """Each inner test counts, has its own name, and its expected state lies in a folder of the outer name."""
    seen = []

    @registered("types", "many.Test", inner="Tests")
    def check(test: SpecTest) -> None:
        seen.append((test.name, test.private_keys, test.expected_state()))
        if test["bad"]:
            raise MismatchError("it is bad")

    tests = [{"Name": "first one", "bad": False}, {"Name": "second one", "bad": True}]
    path = write(
        suite / "alan" / "types" / "tests",
        "many.Test_all",
        {"Name": "all of it", "Tests": tests, "PrivateKeys": {"Threshold": 3}},
    )
    write(suite / "alan" / "types" / "state_comparison" / "many_Test" / "all_of_it", "first one", {"state": 1})
    file = SpecFile(SpecFork.ALAN, "types", path)
    result = run_file(file)
    assert seen == [("first one", {"Threshold": 3}, {"state": 1}), ("second one", {"Threshold": 3}, None)]
    failure = Failure("alan", "types", "many.Test", "many.Test_all.json", "second one", "it is bad")
    assert (result.tests, result.failures) == (2, (failure,))
    assert run_file(file, "FIRST").failures == ()
    assert (run_file(file, "all").tests, run_file(file, "nothing").tests) == (2, 0)


def test_a_single_tests_expected_state_has_the_prefix_that_its_type_adds(suite, registered):
    found = []
    registered("types", "one.Test")(lambda test: found.append(test.expected_state("qbft ")))
    path = write(suite / "alan" / "types" / "tests", "one.Test_some", {"Name": "some thing"})
    write(suite / "alan" / "types" / "state_comparison" / "one_Test", "qbft some thing", {"Round": 1})
    assert run_file(SpecFile(SpecFork.ALAN, "types", path)).failures == ()
    assert found == [{"Round": 1}]


def test_a_type_has_one_function(registered):
    registered("types", "new.Test")(lambda test: None)
    with pytest.raises(ValueError, match=r"^test type types new\.Test is registered twice$"):
        registered("types", "new.Test")(lambda test: None)


def test_processes_give_the_results_in_the_files_order(suite):
    files = [file for fork in SpecFork for file in archives.find_files(suite / fork, fork, "types")]
    seen = []
    results = run_all(files, 2, None, seen.append)
    assert [(result.fork, result.tests, result.failures) for result in results] == [("alan", 1, ()), ("boole", 1, ())]
    assert sorted(result.fork for result in seen) == ["alan", "boole"]


def test_a_process_that_dies_fails_what_it_did_not_run(suite, monkeypatch):
    class Dying:
        def __init__(self, *arguments, **options):
            self.died = BrokenExecutor("it is gone")

        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def submit(self, function, *arguments):
            future = Future()
            future.set_exception(self.died)
            return future

    monkeypatch.setattr(runs, "ProcessPoolExecutor", Dying)
    files = list(archives.find_files(suite / "alan", SpecFork.ALAN, "types"))
    [result] = run_all(files, 2, None, lambda result: None)
    assert [failure.text for failure in result.failures] == ["a process died before it was run: it is gone"]


CODED = ProtocolError("no quorum", ErrorCode.ROUND_CHANGE_NO_QUORUM)
PLAIN = ProtocolError("plain")


def wrapped():
    error = ProtocolError("outer", ErrorCode.PROPOSAL_INVALID)
    error.__cause__ = CODED
    return error


@pytest.mark.parametrize(
    ("fork", "number", "error", "text"),
    [
        (SpecFork.ALAN, 0, None, None),
        (SpecFork.ALAN, 62, CODED, None),
        (SpecFork.BOOLE, 60, CODED, None),
        (SpecFork.BOOLE, 61, wrapped(), None),
        (SpecFork.ALAN, 0, PLAIN, "an error, expected none: plain"),
        (SpecFork.BOOLE, 60, None, "no error, expected 60 ROUND_CHANGE_NO_QUORUM"),
        (SpecFork.ALAN, 60, CODED, "error ROUND_CHANGE_NO_QUORUM, expected 60 PAST_ROUND: no quorum"),
        (SpecFork.BOOLE, 60, PLAIN, "error one without a code, expected 60 ROUND_CHANGE_NO_QUORUM: plain"),
    ],
)
def test_errors_are_compared_in_the_releases_own_numbers(tmp_path, fork, number, error, text):
    content = {"Name": "any", "ExpectedErrorCode": number}
    test = SpecTest(SpecFile(fork, "types", tmp_path / "any.json"), content, content)
    if text is None:
        test.check_error(error)
        return
    with pytest.raises(MismatchError) as raised:
        test.check_error(error)
    assert str(raised.value) == text
