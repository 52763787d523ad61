"""Renders the pages of a run from its record: the page with all pairs, and the page of one."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import date
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from facefoundry.dataset import verdict
from facefoundry.dataset.record import PairRecord
from facefoundry.dataset.rights import end_warning
from facefoundry.dataset.version import short
from facefoundry.report import overview, wording
from facefoundry.report.costs import cost_rows
from facefoundry.report.links import EmbeddedPictures, Links
from facefoundry.report.newest import newest_fakes, newest_previews
from facefoundry.report.snapshot import Snapshot, Snapshots
from facefoundry.report.views import COLUMNS, PairView, played_level, view_pair

__all__ = ["REFRESH_SECONDS", "asset", "index_page", "pair_page", "render", "with_notice"]

REFRESH_SECONDS = 10
_OPEN_PAIRS = 3
_PAGE_SAMPLES = 3
_NOTICE = '<div role="status" data-live="notice">'
_INDENT = re.compile(r"\n[ \n]+(?=<)")


@cache
def asset(name: str) -> str:
    """Return the text of `style.css` or `script.js`."""
    return files("facefoundry.report").joinpath(name).read_text(encoding="utf-8")


def index_page(
    snapshot: Snapshot,
    snapshots: Snapshots,
    links: Links,
    *,
    today: date,
    run_folder: str,
    inline: EmbeddedPictures | None = None,
) -> str:
    """Return the page with all pairs.

    Args:
        snapshot: The record.
        snapshots: Reads the whole records of pairs.
        links: Makes the links of the page.
        today: The day by which the end of rights is judged.
        run_folder: Path of the run's folder, for the user.
        inline: Holds the pictures of the sections of all pairs, which the page then has; None if pairs have pages.
    """
    run, level = snapshot.run, played_level(snapshot.run.recipe)
    state, state_words = wording.run_state([pair.state for pair in snapshot.pairs])
    described = {"name", "version", "description"}
    return render(
        "index.html",
        **_shared(snapshot, links, today),
        run_folder=run_folder,
        state=state,
        state_words=state_words,
        refresh=REFRESH_SECONDS if state == "running" else None,
        counts=overview.count(snapshot.pairs),
        progress=overview.progress(snapshot),
        failures=overview.failures(snapshot, links),
        measures=list(overview.gates_by_measure(snapshot)),
        rows=list(overview.pair_rows(snapshot, links)),
        worst=overview.worst(snapshot, links),
        splits=overview.split_rows(snapshot),
        previews=newest_previews(snapshot, links) if inline is None else [],
        newest=newest_fakes(snapshot, snapshots, links, level) if inline is None else [],
        sections=_sections(snapshot, snapshots, links) if inline is not None else [],
        left_out=inline.left_out if inline is not None else 0,
        cost_rows=cost_rows(run, snapshot.pairs),
        recipe_rows=list(wording.flatten({key: value for key, value in run.recipe.items() if key not in described})),
        version_rows=list(wording.flatten(run.versions)),
        leaks=snapshot.leaks,
        leaks_are_old=snapshot.leaks is not None and snapshot.leaks.is_older(run.created, run.seconds),
        balance=snapshot.balance,
    )


def with_notice(page: str, notice: str) -> str:
    """Return the page with all pairs with a sentence on why it may be old; as it is if there is none."""
    return page.replace(_NOTICE, f'{_NOTICE}<p class="notice warn">{escape(notice)}</p>', 1) if notice else page


def pair_page(snapshot: Snapshot, pair: PairRecord, links: Links, *, today: date) -> str:
    """Return the page of one pair.

    Args:
        snapshot: The record of the run.
        pair: The whole record of the pair.
        links: Makes the links of the page.
        today: The day by which the end of rights is judged.
    """
    ids = snapshot.run.pairs
    place = ids.index(pair.id)
    return render(
        "pair-page.html",
        **_shared(snapshot, links, today),
        pair=view_pair(pair, links, snapshot.run, samples=_PAGE_SAMPLES),
        split=snapshot.splits.get(pair.id, ""),
        refresh=None if pair.ended else REFRESH_SECONDS,
        before=next(((each, link) for each in reversed(ids[:place]) if (link := links.pair(each))), None),
        after=next(((each, link) for each in ids[place + 1 :] if (link := links.pair(each))), None),
    )


def _sections(snapshot: Snapshot, snapshots: Snapshots, links: Links) -> list[PairView]:
    return [
        view_pair(
            snapshots.pair(snapshot, pair.id),
            links,
            snapshot.run,
            is_open=len(snapshot.pairs) <= _OPEN_PAIRS or pair.state == "running",
        )
        for pair in snapshot.pairs
    ]


def _shared(snapshot: Snapshot, links: Links, today: date) -> dict[str, object]:
    style, script = asset("style.css"), asset("script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {
        "run": snapshot.run,
        "rights_warning": end_warning(snapshot.run.rights_end, today),
        "links": links,
        "level": played_level(snapshot.run.recipe),
        "style": None if links.style else Markup(style),
        "script": None if links.script else Markup(script),
        "script_source": "'self'" if links.script else f"'sha256-{digest}'",
        "style_source": "'self' 'unsafe-inline'" if links.style else "'unsafe-inline'",
        "margin": verdict.MARGIN,
        "columns": COLUMNS,
    }


@cache
def _template_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("facefoundry.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": wording.duration,
        "moment": wording.moment,
        "frame_rate": wording.frame_rate,
        "reason": wording.reason,
        "short": short,
        "measure": lambda name: name.replace("_", " "),
        "thousands": lambda number: f"{number:,}",
    }
    return environment


def render(template: str, **values: object) -> str:
    """Render a template without the indentation of its lines, which is a tenth of a page."""
    return _INDENT.sub("\n", _template_environment().get_template(template).render(**values))
