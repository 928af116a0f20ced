"""The lists of mutants and fuzz targets are in order; a slice of the fuzzing."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / "lib" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


sys.path.insert(0, str(ROOT / "scripts" / "lib"))
mutants = load("mutants")


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_can_be_made(mutant):
    source = (ROOT / mutant.path).read_text()
    assert source.count(mutant.old) == 1
    compile(source.replace(mutant.old, mutant.new), mutant.path, "exec")
    assert mutant.killers


def test_there_are_enough_mutants_and_each_has_its_own_name():
    assert len({mutant.name for mutant in mutants.MUTANTS}) == len(mutants.MUTANTS) >= 40


def test_a_slice_of_the_fuzzing():
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "lib" / "fuzz.py"), "--inputs", "400", "--processes", "1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
