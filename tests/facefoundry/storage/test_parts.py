from facefoundry.storage.parts import CHUNKS, FACES, RAW, video


def test_numbered_names_have_five_digits_and_are_recognized():
    assert FACES.name(0) == "faces-00000.tar" and CHUNKS.name(12) == "chunk-00012.tar"
    assert CHUNKS.matches("chunk-00012.tar")
    for name in ("chunk-00012.tar.gz", "chunk-12.tar", "faces-00012.tar", "chunk-00012xtar", "chunk.tar"):
        assert not CHUNKS.matches(name)


def test_videos_are_named_by_level_or_mask():
    assert RAW == video("raw") == "raw.mp4" and video("masks") == "masks.mp4"
