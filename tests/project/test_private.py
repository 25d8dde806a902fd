"""DATA_DIR and what is in it can be read by its owner only."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from project.private import keep_private
from tests.servers import BASE_DIR


def manage(data_dir: Path, *arguments: str) -> str:
    """Run a command as a user with the usual umask; return what it logs."""
    result = subprocess.run(
        ["sh", "-c", 'umask 022; exec "$@"', "sh", sys.executable, "manage.py", *arguments],
        cwd=BASE_DIR,
        env={"DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    return result.stderr


def modes(folder: Path) -> dict[str, str]:
    """Return what others may do with a folder and with all that is in it, where it is anything."""
    paths = [folder, *folder.rglob("*")]
    found = {path: stat.S_IMODE(path.lstat().st_mode) for path in paths if not path.is_symlink()}
    return {str(path): oct(mode) for path, mode in found.items() if mode & 0o077}


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """Return a DATA_DIR as an older version made it."""
    folder = tmp_path / "var"
    for directory in (folder, folder / "valkey", folder / "valkey" / "appendonlydir"):
        directory.mkdir(mode=0o755)
        directory.chmod(0o755)
    for name in ("db.sqlite3", "db.sqlite3-wal", "secret_key", "valkey/appendonlydir/aof", "a.log"):
        (folder / name).write_text("")
        (folder / name).chmod(0o644)
    return folder


def test_what_a_new_system_stores_is_its_owners_alone(tmp_path):
    assert "open to other users" not in manage(tmp_path / "var", "migrate", "--verbosity=0")
    assert (tmp_path / "var" / "db.sqlite3").exists()
    assert modes(tmp_path / "var") == {}


def test_a_start_takes_what_an_older_version_stored_away_from_others_and_says_so_once(wide):
    first = manage(wide, "check")
    assert first.count("was open to other users of this machine") == 1
    assert f"DATA_DIR ({wide})" in first
    assert "8 files and folders" in first
    assert modes(wide) == {}
    assert manage(wide, "check") == ""


def test_the_owner_can_do_what_they_could_before(wide):
    (wide / "tool").write_text("")
    (wide / "tool").chmod(0o755)
    keep_private(wide)
    assert stat.S_IMODE((wide / "tool").stat().st_mode) == 0o700
    assert stat.S_IMODE((wide / "a.log").stat().st_mode) == 0o600


def test_what_a_link_leads_to_stays_as_it_is(wide, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    outside.chmod(0o755)
    file = outside / "file"
    file.write_text("")
    file.chmod(0o644)
    (wide / "folder").symlink_to(outside)
    (wide / "file").symlink_to(file)
    keep_private(wide)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (outside, file)] == [0o755, 0o644]


def test_what_belongs_to_somebody_else_stays_as_it_is_and_is_reported(wide, monkeypatch, caplog):
    monkeypatch.setattr(os, "geteuid", lambda: wide.stat().st_uid + 1)
    before = modes(wide)
    keep_private(wide)
    assert modes(wide) == before
    assert "belongs to another user of this machine" in caplog.text


def test_a_folder_that_cannot_be_changed_is_reported(wide, monkeypatch, caplog):
    def refuse(path: Path, mode: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "chmod", refuse)
    keep_private(wide)
    assert f"DATA_DIR ({wide}) can't be made private: Operation not permitted." in caplog.text
