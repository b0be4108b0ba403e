"""A process is called dead only where that is certain."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared import lives
from shared.lives import is_dead, own_life

pytestmark = pytest.mark.skipif(not own_life(), reason="no /proc of Linux here")
SAY = "from shared.lives import own_life; print(own_life(), flush=True); input()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    made = subprocess.Popen(
        [sys.executable, "-c", SAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield made
    made.kill()
    made.wait()
    for pipe in (made.stdin, made.stdout):
        assert pipe is not None
        pipe.close()


def life_of(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def test_who_lives_is_not_dead_and_who_was_killed_is(child: subprocess.Popen[str]) -> None:
    life = life_of(child)
    assert life.split()[3] == str(child.pid)
    assert not is_dead(life)
    assert not is_dead(own_life())
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and not reaped
    assert is_dead(life)
    child.wait()
    assert is_dead(life)


def test_a_number_used_again_by_another_process_is_another_life(
    child: subprocess.Popen[str],
) -> None:
    *where, start = life_of(child).split()
    assert is_dead(" ".join([*where, str(int(start) - 1)]))
    assert not is_dead(" ".join([*where, start]))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_of_another_machine_or_container_nothing_is_known(part: int) -> None:
    words = own_life().split()
    words[3] = "4194399"  # above the most that there can be: nobody's here
    assert is_dead(" ".join(words))
    words[part] = "1"
    assert not is_dead(" ".join(words))


@pytest.mark.parametrize(
    "life",
    ["", " ", "x", "a b c d e", f"{own_life()} 1", "0 0 0 -1 0"],
    ids=["none", "blank", "letter", "letters", "too long", "below"],
)
def test_what_is_no_life_is_not_dead(life: str) -> None:
    assert not is_dead(life)


def test_a_process_of_somebody_else_is_not_dead_by_being_out_of_reach() -> None:
    words = own_life().split()
    stat = Path("/proc/1/stat").read_text()
    assert not is_dead(" ".join([*words[:3], "1", stat.rpartition(")")[2].split()[19]]))


def test_by_the_proc_of_another_namespace_nobody_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where this process has by chance the same number in both."""
    dead, me = " ".join([*own_life().split()[:3], "4194399", "1"]), os.getpid()
    for name in ("sys", str(me)):
        (tmp_path / name).symlink_to(f"/proc/{name}")
    own = tmp_path / "self"
    own.mkdir()
    (own / "ns").symlink_to("/proc/self/ns")
    (own / "status").write_text(f"Name:\tx\nNSpid:\t{me}\n")
    monkeypatch.setattr(lives, "_PROC", tmp_path)
    assert own_life()
    assert is_dead(dead)
    (own / "status").write_text(f"Name:\tx\nNSpid:\t{me}\t{me}\n")
    assert not own_life()
    assert not is_dead(dead)
    (own / "status").write_text("Name:\tx\n")  # a kernel that does not say
    assert not own_life()
    assert not is_dead(dead)


def test_without_a_word_of_the_namespace_nobody_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("sys", str(os.getpid())):
        (tmp_path / name).symlink_to(f"/proc/{name}")
    (tmp_path / "self" / "ns").mkdir(parents=True)
    (tmp_path / "self" / "status").symlink_to("/proc/self/status")
    monkeypatch.setattr(lives, "_PROC", tmp_path)
    assert not own_life()
