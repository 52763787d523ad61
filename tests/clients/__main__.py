"""`python -m tests.clients [NAME ...]`: the clients in other languages make a pair each; a table shows how they did.

The names are folders of examples/clients, `page` for the commands of docs/clients.md, `api` for those of
docs/api.md, and `gateway` for those of examples/gateway.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.clients import journey, pages, shell
from tests.clients.examples import FOLDER, MAX_LINES, copy, examples
from tests.house import files

BUILD = files.ROOT / "build" / "clients"


def main() -> None:
    """Run what is asked for, print a line each, and end with 1 if a client is too long or made other content."""
    # A shell ignores Ctrl-C in what it runs in the background, and all children would.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    clients = {example.name: example for example in examples()}
    parser = argparse.ArgumentParser(prog="python -m tests.clients", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    names = parser.parse_args().names or [*clients, *pages.PAGES]
    if unknown := set(names) - {*clients, *pages.PAGES}:
        parser.error(f"expected names of {', '.join([*clients, *pages.PAGES])}; received {', '.join(unknown)}")
    copy(BUILD)
    made: dict[str, tuple[str, ...]] = {}
    print("client       lines  build   pair  content")
    for name in names:
        print(f"{name:<12}", end=" ", flush=True)
        needs = clients[name].needs if name in clients else pages.NEEDS
        if missing := shell.missing(needs):
            print(f"skipped: {', '.join(missing)} not found")
            continue
        with TemporaryDirectory() as local_dir:
            if name in pages.PAGES:
                print(f"its commands ran in {pages.run(pages.PAGES[name], BUILD, Path(local_dir)):.0f} s")
                continue
            example = clients[name]
            outcome = journey.run(example, BUILD / FOLDER.relative_to(files.ROOT) / name, Path(local_dir))
        made[name] = outcome.digests
        content = "as the first" if outcome.digests == next(iter(made.values())) else "differs"
        print(f"{example.lines:>5}  {outcome.build_seconds:>3.0f} s  {outcome.pair_seconds:>3.0f} s  {content}")
    different = set(made.values())
    for digests in different:
        print(*digests, sep="\n")
    sys.exit(len(different) > 1 or any(clients[name].lines > MAX_LINES for name in made))


if __name__ == "__main__":
    main()
