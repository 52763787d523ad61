"""The first of the mutated clips of `make fuzz`, and that the seed determines the damage."""

from __future__ import annotations

from tests.fuzz.harness import make_case, run

SEED = 0
CASES = 120


def test_damaged_clips_end_with_a_status_of_ours_and_harm_no_other_call(store, tmp_path):
    outcome = run(SEED, CASES, store.settings, tmp_path)
    print(outcome.summary())
    assert not outcome.faults
    ended = {call.partition(" ")[0]: 0 for call in outcome.calls}
    for call, count in outcome.calls.items():
        ended[call.partition(" ")[0]] += count
    assert ended["Inspect"] == ended["Extract"] == CASES - ended.get("upload", 0)
    assert outcome.calls["Extract OK"] > CASES / 5, "damage that leaves nothing to decode shows little"
    assert outcome.calls["Extract FAILED_PRECONDITION/TRUNCATED"] > 0


def test_equal_seeds_and_numbers_give_equal_clips(tmp_path):
    found = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        case, path = make_case(5, 3, tmp_path / name)
        found.append((case, path.read_bytes() if path.is_file() else [file.read_bytes() for file in path.iterdir()]))
    assert found[0] == found[1]
    (tmp_path / "other").mkdir()
    assert make_case(5, 4, tmp_path / "other")[0] != found[0][0]
