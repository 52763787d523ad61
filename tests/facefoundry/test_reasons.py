"""The label `reason` of the metrics has few values, whoever makes the reasons."""

from __future__ import annotations

from facefoundry.telemetry import ReasonLabels


def test_reasons_are_labels_as_they_are_until_there_are_too_many() -> None:
    labels = ReasonLabels(most=10)
    assert labels.of("") == ""
    assert labels.of("NO_FACES") == "NO_FACES"
    for text in ("lower", "A" * 65, 'X"} 1', "A B"):
        assert labels.of(text) == "OTHER"
    assert len({labels.of(f"MADE_UP_{number}") for number in range(100)}) == 9
    assert labels.of("NO_FACES") == "NO_FACES"
