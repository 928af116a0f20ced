"""``python -m ssv_pool.spectests``: what ``scripts/spec-tests`` runs."""

import os
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from ssv_pool.errors import ConfigError, SsvPoolError
from ssv_pool.spectests.archives import default_vectors, find_files, roots
from ssv_pool.spectests.model import FileResult, SpecFile, SpecFork
from ssv_pool.spectests.registry import MODULES
from ssv_pool.spectests.report import REPORT_WIDTH, as_json, failures_of, print_report
from ssv_pool.spectests.run import run_all


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--fork",
    type=click.Choice([*(fork.value for fork in SpecFork), "all"]),
    default="all",
    show_default=True,
    help="Release.",
)
@click.option(
    "--module", "modules", type=click.Choice(MODULES), multiple=True, help="May be repeated.  [default: all three]"
)
@click.option(
    "--vectors",
    type=click.Path(path_type=Path, exists=True),
    help="Folder with the archives ssv-spec-*.tar.xz or folders alan and boole; with one fork also an archive, or a "
    "folder laid out like one.  [default: SSV_VECTORS, else ../shared/vectors]",
)
@click.option("--only", metavar="NAME", help="Only tests with NAME in the file's or their own name.")
@click.option("--json", "as_json_", is_flag=True, help="Print the report as JSON.")
@click.option("--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, help="Processes.  [default: one a core]")
def spec_tests(
    *, fork: str, modules: tuple[str, ...], vectors: Path | None, only: str | None, as_json_: bool, jobs: int
) -> int:
    """Run the SSV specification's JSON tests: every file that is found, none skipped.

    Exit status 0 if all passed, 1 if a test failed or its type is unknown, 2 if there was nothing to run.
    """
    began = time.monotonic()
    files = _select(vectors or default_vectors(), list(SpecFork) if fork == "all" else [SpecFork(fork)], modules)
    console = Console(stderr=True)
    counted = 0

    def progress(result: FileResult) -> None:
        nonlocal counted
        counted += result.tests
        status.update(f"{counted} tests, last {result.fork} {result.module} {result.go_type}")

    with console.status("starting") as status:
        results = run_all(files, min(jobs, len(files)), only, progress)
    if not results:
        raise ConfigError(f"no test has {only!r} in its name, expected one or more among {len(files)} files")
    seconds = time.monotonic() - began
    if as_json_:
        click.echo(as_json(results, seconds))
    else:
        print_report(results, seconds, Console(width=REPORT_WIDTH))
    return 1 if failures_of(results) else 0


def _select(vectors: Path, forks: list[SpecFork], modules: tuple[str, ...]) -> list[SpecFile]:
    if not vectors.exists():
        raise ConfigError(f"{vectors} does not exist, expected the folder with the archives: name it with --vectors")
    files = []
    for fork, root in roots(vectors, forks).items():
        for module in modules or MODULES:
            found = list(find_files(root, fork, module))
            if modules and not found:
                raise ConfigError(f"{root} has no tests of module {module}, expected {module}/tests/*.json")
            files += found
    if not files:
        raise ConfigError(f"{vectors} has no tests, expected types/tests, qbft/tests or ssv/tests in it")
    return files


def main() -> None:
    """Run and exit: 0 all passed, 1 a test failed, 2 bad options or nothing to run."""
    try:
        status = spec_tests.main(prog_name="spec-tests", standalone_mode=False)
    except SsvPoolError as error:
        click.echo(f"spec-tests: error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("spec-tests: interrupted", err=True)
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":  # worker processes import this module again
    main()
