"""docs/fidelity.md lists each of the 18 defects of FF++ with the one test for it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROW = re.compile(r"^\| B(\d+) \| [^|]+ \| [^|]+ \| \[(\w+)\]\(\.\./([\w/.]+)\) \|$", re.MULTILINE)


def test_all_18_defects_are_listed_with_a_test_that_exists_once():
    rows = ROW.findall((ROOT / "docs" / "fidelity.md").read_text())
    assert [int(number) for number, _, _ in rows] == list(range(1, 19))
    defined = [
        (name, path.relative_to(ROOT).as_posix())
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_b\d\d_\w+)\(", path.read_text(), re.MULTILINE)
    ]
    assert sorted(defined) == sorted((name, path) for _, name, path in rows)
    for number, name, _ in rows:
        assert name.startswith(f"test_b{int(number):02}_"), name
