import os
import sysconfig
from pathlib import Path

import pytest

from project import reload
from tests.servers import BASE_DIR


def test_the_code_of_the_site_and_its_apps_is_watched_and_that_of_packages_is_not():
    folders = reload.folders()
    assert {BASE_DIR / name for name in ("project", "examples", "feeds", "tasks")} <= set(folders)
    assert not any(one.is_relative_to(Path(sysconfig.get_path("purelib"))) for one in folders)


def test_each_save_is_another_state_of_the_code_also_one_that_nobody_has_heard_of(tmp_path: Path):
    module = tmp_path / "package" / "module.py"
    module.parent.mkdir()
    module.write_text("a = 1")
    first = reload.files([tmp_path])
    assert reload.files([tmp_path]) == first
    status = module.stat()
    module.write_text("a = 2")
    os.utime(module, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    second = reload.files([tmp_path])
    (tmp_path / "new.py").write_text("")
    module.unlink()
    third = reload.files([tmp_path])
    assert len({reload.state_of(one) for one in (first, second, third)}) == 3
    assert reload.changed(first, second) == "module.py"
    assert reload.changed(second, third) == "module.py, new.py"
    assert reload.changed(third, third) == "code"


def test_code_that_is_fine_passes_the_check():
    assert reload.what_check_says() == ""


def test_what_the_check_refuses_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "missing_settings")
    assert "missing_settings" in reload.what_check_says()
