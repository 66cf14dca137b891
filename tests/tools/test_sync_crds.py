"""The chart's copies of the CRDs can be made, and told apart from the generated ones."""

import subprocess
import sys
from pathlib import Path

from tools.sync_crds import contents, copy, differences

ROOT = Path(__file__).resolve().parent.parent.parent


def test_a_copy_is_exact_and_drops_what_is_no_longer_generated(tmp_path):
    (tmp_path / "gone.yaml").write_text("old")
    (tmp_path / "notes.txt").write_text("stays")
    generated = {"a.yaml": b"one\n", "b.yaml": "zw\u00f6lf\n".encode()}
    copy(generated, tmp_path)
    assert contents(tmp_path) == generated
    assert (tmp_path / "notes.txt").exists()


def test_missing_superfluous_and_different_files_are_named():
    assert differences({"a.yaml": b"1", "b.yaml": b"1", "c.yaml": b"1"}, {"b.yaml": b"2", "c.yaml": b"1", "d.yaml": b"1"}) == [
        "a.yaml",
        "b.yaml",
        "d.yaml",
    ]


def test_the_chart_in_this_tree_is_in_step():
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "sync_crds.py"), "--check"], check=False, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stderr) == (0, "")
