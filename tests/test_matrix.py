import sys
from pathlib import Path

import pytest

from tests import matrix
from tests.matrix import Pair, default_pair, newest_besides, pairs


def test_the_matrix_has_no_django_6_on_python_3_11():
    assert pairs([(3, 11)]) == [Pair((3, 11), (5, 2))]


def test_the_matrix_has_each_django_on_a_python_that_runs_them_all():
    assert pairs([(3, 13)]) == [
        Pair((3, 13), (5, 2)),
        Pair((3, 13), (6, 0)),
        Pair((3, 13), (6, 1)),
    ]


def test_the_newest_pair_of_the_matrix_has_the_newest_python_and_its_newest_django():
    found = pairs([(3, 13), (3, 11), (3, 12)])
    assert newest_besides(Pair((3, 11), (5, 2)), found) == Pair((3, 13), (6, 1))


def test_the_newest_pair_of_the_matrix_is_never_the_default_pair():
    assert newest_besides(Pair((3, 13), (6, 1)), pairs([(3, 13)])) == Pair((3, 13), (6, 0))


def test_a_machine_with_the_default_pair_alone_has_no_newest_pair_besides_it():
    assert newest_besides(Pair((3, 11), (5, 2)), pairs([(3, 11)])) is None


def test_the_default_pair_has_the_newest_django_that_its_python_runs():
    assert default_pair((3, 11), "") == Pair((3, 11), (5, 2))
    assert default_pair((3, 14), "") == Pair((3, 14), (6, 1))


def test_the_default_pair_has_the_django_that_is_pinned():
    assert default_pair((3, 13), "6.0") == Pair((3, 13), (6, 0))


@pytest.fixture
def broken_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the machine have one Python, which can't make environments; return their folder."""
    monkeypatch.setattr(matrix, "ENVIRONMENTS", tmp_path)
    monkeypatch.setattr(matrix, "find_pythons", lambda: {(3, 11): "false"})
    monkeypatch.setattr(sys, "argv", ["matrix"])
    return tmp_path


def test_the_matrix_fails_and_names_a_pair_that_cannot_be_installed(
    broken_python: Path, capsys: pytest.CaptureFixture[str]
):
    assert matrix.main() == 1
    assert "Python 3.11, Django 5.2: its environment can't be made" in capsys.readouterr().out


def test_an_environment_of_the_matrix_that_is_up_to_date_is_not_made_again(broken_python: Path):
    folder = broken_python / "python3.11-django5.2"
    folder.mkdir()
    (folder / "installed").write_text("".join(p.read_text() for p in matrix.REQUIREMENTS))
    assert matrix.install(Pair((3, 11), (5, 2)), "false") == folder / "bin/python"


def test_a_command_of_pyenv_for_a_version_that_is_not_activated_is_no_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert matrix.find_pythons() == {}
