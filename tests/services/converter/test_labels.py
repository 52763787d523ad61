"""The header of labels.json says how the model's training began, and how good the fake is."""

from __future__ import annotations

import json

from services.converter import labels
from services.converter.functions import FakeRights, Start
from services.converter.labels import Label

RIGHTS = FakeRights("5" * 64, "unstated")


def test_labels_say_how_the_models_training_began_and_how_good_the_fake_is() -> None:
    rows = [Label(0, False, "NO_FACE")]
    plain = json.loads(labels.to_json(rows, control=False, start=Start(), quality={"seam": 1.1}, rights=RIGHTS))
    assert plain["quality"] == {"seam": 1.1}
    assert (plain["target_rights"], plain["source_rights"]) == ("5" * 64, "unstated")
    assert not {"base_digest", "common_iterations"} & set(plain)
    begun = json.loads(
        labels.to_json(rows, control=False, start=Start("5" * 64, 500), quality={"seam": 1.1}, rights=RIGHTS)
    )
    assert begun == {**plain, "base_digest": "5" * 64, "common_iterations": 500}
