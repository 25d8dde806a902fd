import sysconfig
from pathlib import Path

import pytest

from project import reload
from tests.servers import BASE_DIR


def test_the_code_of_the_site_and_its_apps_is_watched_and_that_of_packages_is_not():
    folders = reload.folders()
    assert {BASE_DIR / name for name in ("project", "examples", "feeds", "tasks")} <= set(folders)
    assert not any(one.is_relative_to(Path(sysconfig.get_path("purelib"))) for one in folders)


def test_what_has_changed_is_said(capsys: pytest.CaptureFixture[str]):
    assert reload.passes_check(["models.py", "tasks.py"])
    assert capsys.readouterr().out == "models.py, tasks.py changed: restarting\n"


def test_code_that_the_check_refuses_restarts_nothing_and_the_check_says_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "missing_settings")
    assert not reload.passes_check(["settings.py"])
    output = capsys.readouterr().out
    assert "missing_settings" in output
    assert output.endswith("settings.py changed, but the check fails: nothing is restarted\n")
