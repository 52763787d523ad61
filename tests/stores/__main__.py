"""`python -m tests.stores [SERVER ...]`: runs S3 servers on this machine, and makes the table of docs/stores.md.

Each server gets the accounts, the questions of `facefoundry bucket probe`, the product's tests of its store, and a pair
of clips through three services, twice. A cell that begins with `fault` is something that FaceFoundry needs and does not
have there. The programs are those that `make stores` built; a server whose program is missing is left out. The table is
printed; after a run of all servers without a fault it is written to the page.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

from facefoundry.storage import keys
from facefoundry.storage.probe import probe
from facefoundry.storage.rights import LIFECYCLE
from facefoundry.storage.servers import SERVERS, Report, prepare
from facefoundry.storage.store import Store
from tests.house import files
from tests.stores import journey, page
from tests.stores.env_file import env_file
from tests.stores.servers import KINDS, Kind, Running

_TESTS = [f"tests/facefoundry/storage/test_{name}.py" for name in ("store", "manifest", "document", "bucket_copy")]
_PAGE = files.ROOT / "docs" / "stores.md"
_TESTS += ["tests/services/trainer/test_listing.py"]


def main() -> None:
    """Examine the servers that are there, and make the table; end with 1 if a cell says `fault`."""
    parser = argparse.ArgumentParser(prog="python -m tests.stores", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="SERVER", help=f"{', '.join(KINDS)}; default: all")
    names = parser.parse_args().names or list(KINDS)
    columns: dict[str, dict[str, str]] = {}
    for name in names:
        if not KINDS[name].program.exists():
            print(f"{name} is left out: {KINDS[name].program} does not exist.", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory(prefix="stores-") as folder:
            columns[KINDS[name].title] = _examine(KINDS[name], Path(folder))
    made = page.table(columns, date.today().isoformat())
    print(made, end="")
    if any(cell.startswith("fault") for column in columns.values() for cell in column.values()):
        sys.exit(1)
    if len(columns) == len(KINDS):
        _PAGE.write_text(page.replaced(_PAGE.read_text(), made))


def _examine(kind: Kind, folder: Path) -> dict[str, str]:
    """Return the cells of a server by the name of their row."""
    with kind.running(folder / "server") as server:
        print(f"{kind.name}: accounts", file=sys.stderr)
        report = prepare(server.settings, SERVERS[kind.name], server.accounts, versions=True)
        cells = _prepared(report, server)
        print(f"{kind.name}: questions", file=sys.stderr)
        cells |= {question: str(answer) for question, answer in probe(Store(server.settings))}
        print(f"{kind.name}: the product's tests", file=sys.stderr)
        cells["the product's tests of its store"] = _tests(server, folder)
        print(f"{kind.name}: a pair, twice", file=sys.stderr)
        problem = journey.run(server.settings, folder / "journey")
        cells["a pair, twice with the same files, and `status`"] = f"fault: {problem}" if problem else "ok"
    return cells


def _prepared(report: Report, server: Running) -> dict[str, str]:
    """Return the cells of what `facefoundry bucket setup` reports."""
    refused = [rule.name for rule in LIFECYCLE if any(f"the rule {rule.name}:" in text for text in report.missing)]
    if not server.accounts:
        rights = "none for a part of a bucket"
    elif report.lacking or report.excessive:
        rights = f"fault: {(report.lacking or report.excessive)[0]}"
    else:
        rights = f"as meant: {len(server.accounts)} accounts, {len(keys.CLASSES)} classes of keys"
    rules = "all" if not refused else "none" if len(refused) == len(LIFECYCLE) else f"all but {', '.join(refused)}"
    versions = "yes" if "The server keeps old versions of objects." in report.done else "not turned on"
    return {"rights of accounts": rights, "rules that delete old objects": rules, "versions": versions}


def _tests(server: Running, folder: Path) -> str:
    """Run the product's tests on a server; return how many passed, or the first that failed."""
    path = env_file(folder / "store.env", server.settings)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=no", *_TESTS]
    environment = {**os.environ, "FACEFOUNDRY_TEST_STORE": str(path)}
    done = subprocess.run(command, cwd=files.ROOT, env=environment, capture_output=True, text=True, check=False)
    passed = re.search(r"([0-9]+) passed", done.stdout)
    failed = re.findall(r"^(?:FAILED|ERROR) \S+::(\S+)", done.stdout, re.MULTILINE)
    if failed or not passed:
        return f"fault: {', '.join(failed) or done.stdout.strip()[-200:]}"
    return f"{passed[1]} passed"


if __name__ == "__main__":
    main()
