import os
import signal
import subprocess
import sys

import pytest

from unlearnbench.errors import StoreError
from unlearnbench.runtime.atomic import atomic_folder, atomic_write, leftovers, require_writable


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def interrupt(path, error):
    path.write_text("half")
    raise error


def test_a_file_appears_whole_and_replaces_the_old_one(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.suffix == ".json"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.json"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as temporary:
        interrupt(temporary, RuntimeError)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


def test_a_folder_appears_whole(tmp_path):
    with atomic_folder(tmp_path / "a") as temporary:
        (temporary / "deep").mkdir()
        (temporary / "deep" / "file").write_text("x")
        assert not (tmp_path / "a").exists()
    assert (tmp_path / "a" / "deep" / "file").read_text() == "x"
    assert names(tmp_path) == ["a"]


def test_an_error_or_ctrl_c_leaves_no_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "a") as temporary:
        interrupt(temporary / "file", KeyboardInterrupt)
    assert names(tmp_path) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(FileExistsError), atomic_folder(tmp_path / "a"):
        pass
    assert names(tmp_path) == ["a"]


def test_a_kill_leaves_the_old_file_and_a_leftover_that_can_be_found(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    script = (
        "import os, sys, pathlib\n"
        "from unlearnbench.runtime.atomic import atomic_write\n"
        "with atomic_write(pathlib.Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert [each.read_text() for each in leftovers(path)] == ["half"]


def test_a_new_file_has_the_permissions_that_the_user_asked_for(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_a_folder_that_cannot_be_used_is_named_with_the_option(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match=r"cannot write here .* --store") as caught:
            require_writable(folder, "--store")
        assert "\n" not in str(caught.value)
