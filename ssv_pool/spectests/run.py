"""Runs files: each in one of a few processes, since signatures and large JSON keep a core busy."""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from pathlib import Path

from ssv_pool.spectests.model import Failure, FileResult, MismatchError, SpecFile, SpecTest
from ssv_pool.spectests.registry import Registered, lookup


def run_all(
    files: Sequence[SpecFile], jobs: int, only: str | None, progress: Callable[[FileResult], None]
) -> list[FileResult]:
    """Run files in ``jobs`` processes (in this one where ``jobs`` is 1), the largest first.

    Args:
        files: what to run.
        jobs: number of processes.
        only: run only tests in whose name this occurs (see ``run_file``).
        progress: called with each result as it comes.

    Returns:
        The results in the files' order, without those of files in which ``only`` left nothing to run.
    """
    results: dict[Path, FileResult] = {}

    def keep(file: SpecFile, result: FileResult) -> None:
        if result.tests or result.failures:
            results[file.path] = result
            progress(result)

    if jobs == 1:
        for file in files:
            keep(file, run_file(file, only))
    else:
        largest_first = sorted(files, key=lambda file: -file.path.stat().st_size)
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            running = {pool.submit(run_file, file, only): file for file in largest_first}
            for future in as_completed(running):
                keep(running[future], _result_of(future, running[future]))
    return [results[file.path] for file in files if file.path in results]


def run_file(file: SpecFile, only: str | None = None) -> FileResult:
    """Run all tests of a file. Where ``only`` is given: the whole file if its name has it, else those tests that do."""
    began = time.monotonic()
    registered = lookup(file.module, file.go_type)
    if registered is None:
        whole_file = not only or _matches(only, file.path.stem)
        unknown = _failure(file, file.title, f"unknown test type {file.go_type}")
        return FileResult.of(file, 0, 0.0, (unknown,) if whole_file else ())
    try:
        tests = tests_of(file, registered)
    except (OSError, ValueError, LookupError, TypeError) as error:
        return FileResult.of(file, 0, 0.0, (_failure(file, file.title, f"not a test of its type: {error!r}"),))
    if only and not _matches(only, file.path.stem):
        tests = [test for test in tests if _matches(only, test.name)]
    failures = tuple(failure for test in tests if (failure := _run_test(test, registered)) is not None)
    return FileResult.of(file, len(tests), time.monotonic() - began, failures)


def tests_of(file: SpecFile, registered: Registered) -> list[SpecTest]:
    """A file's tests. Raises TypeError where one is no JSON object."""
    content = file.read()
    tests = [content] if registered.inner is None else content[registered.inner]
    for test in tests:
        if not isinstance(test, dict):
            raise TypeError(f"a test is a {type(test).__name__}, expected an object")
    return [SpecTest(file, test, content, inner=registered.inner is not None) for test in tests]


def _result_of(future: Future[FileResult], file: SpecFile) -> FileResult:
    try:
        return future.result()
    except BrokenExecutor as error:
        return FileResult.of(file, 0, 0.0, (_failure(file, file.title, f"a process died before it was run: {error}"),))


def _run_test(test: SpecTest, registered: Registered) -> Failure | None:
    try:
        registered.run(test)
    except MismatchError as mismatch:
        return _failure(test.file, test.name, str(mismatch))
    except Exception as error:  # noqa: BLE001  a bug fails its own test, and the rest is run
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"
        return _failure(test.file, test.name, f"{type(error).__name__} at {place}: {error}")
    return None


def _failure(file: SpecFile, test: str, text: str) -> Failure:
    return Failure(file.fork.value, file.module, file.go_type, file.path.name, test, text)


def _matches(only: str, name: str) -> bool:
    return only.replace("_", " ").casefold() in name.replace("_", " ").casefold()
