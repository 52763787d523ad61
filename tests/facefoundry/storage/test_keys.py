"""Keys and URIs: stable digests, and nothing that reaches out of its class."""

import pytest

from facefoundry.errors import InvalidInput
from facefoundry.storage import keys
from facefoundry.storage.keys import digest_of

DIGEST = "0123456789abcdef0123456789abcdef01234567"


def test_the_digest_of_a_record_is_pinned_and_does_not_depend_on_the_order_of_its_fields():
    assert digest_of({"b": [1, 2.5, None], "a": {"y": "ü", "x": True}}) == "6d518ae44d31dc15b00e80d1f5f913873414e6bb"
    assert digest_of({"a": {"x": True, "y": "ü"}, "b": [1, 2.5, None]}) == digest_of(
        {"b": [1, 2.5, None], "a": {"y": "ü", "x": True}}
    )


@pytest.mark.parametrize("other", [{"a": 2}, {"a": 1.0}, {"a": "1"}, {"a": None}, {"A": 1}, {"a": [1]}, {}])
def test_records_that_differ_have_different_digests(other):
    assert digest_of(other) != digest_of({"a": 1})


def test_a_record_with_a_value_that_json_lacks_has_no_digest():
    with pytest.raises(ValueError, match="JSON"):
        digest_of({"a": float("nan")})


def test_every_class_has_its_own_first_segment():
    made = [
        "clips/a.mp4",
        keys.source(DIGEST),
        keys.extraction(DIGEST),
        keys.training(DIGEST),
        keys.signing(DIGEST),
        keys.model(DIGEST, 300),
        keys.imported(DIGEST),
        keys.conversion(DIGEST),
        keys.run("demo.1"),
        keys.dataset("demo.1"),
        keys.upload(DIGEST),
        keys.revoked(DIGEST),
    ]
    assert tuple(prefix.split("/")[0] for prefix in made) == keys.CLASSES
    assert keys.model(DIGEST, 300) == f"models/{DIGEST}/300"


@pytest.mark.parametrize(
    "make",
    [
        lambda: keys.source("abc"),
        lambda: keys.source(DIGEST.upper()),
        lambda: keys.source(DIGEST + "/.."),
        lambda: keys.extraction(DIGEST + "0"),
        lambda: keys.model(DIGEST, 0),
        lambda: keys.model(DIGEST, -1),
        lambda: keys.run("../runs"),
        lambda: keys.run(""),
        lambda: keys.run("a/b"),
        lambda: keys.dataset("../runs"),
        lambda: keys.revoked("0" * 41),
    ],
)
def test_what_is_no_digest_or_name_makes_no_key(make):
    with pytest.raises(InvalidInput) as caught:
        make()
    assert caught.value.reason == "KEY"
    assert caught.value.violations


@pytest.mark.parametrize("kind", keys.CLASSES)
def test_a_uri_that_we_made_is_parsed_back(kind):
    prefix = {"models": f"models/{DIGEST}/200000", "runs": "runs/demo", "datasets": "datasets/demo"}.get(
        kind, f"{kind}/{DIGEST}"
    )
    assert keys.prefix_of("face-foundry", keys.uri("face-foundry", prefix), kind) == prefix


def test_a_uri_may_be_of_several_kinds():
    uris = [f"s3://bucket/models/{DIGEST}/300", f"s3://bucket/imports/{DIGEST}"]
    assert [keys.prefix_of("bucket", uri, ("models", "imports")) for uri in uris] == [uri[12:] for uri in uris]
    forms = r"models/<digest>/<iterations> or s3://<bucket>/imports/<digest>\. Received model_uri="
    for wrong in (f"s3://bucket/imports/{DIGEST}/300", f"s3://bucket/models/{DIGEST}", f"s3://bucket/sources/{DIGEST}"):
        with pytest.raises(InvalidInput, match=forms):
            keys.prefix_of("bucket", wrong, ("models", "imports"), "model_uri")


def test_the_bucket_and_key_in_the_uri_of_any_object():
    buckets = ("face-foundry", "clips")
    for uri, key in {
        "s3://clips/a": "a",
        "s3://clips/Müller & Söhne 😀.mp4": "Müller & Söhne 😀.mp4",
        "s3://clips/a/b//c?d#e%20": "a/b//c?d#e%20",
        "s3://clips/a/": "a/",
        "s3://clips/": "",
    }.items():
        assert keys.object_of(uri, buckets, "object_uri") == ("clips", key)
    for wrong in ("", "clips/a", "http://clips/a", "s3://clips", "s3:///a", "s3://Clips/a", "s3://clips/a/../b"):
        with pytest.raises(InvalidInput, match="object_uri") as caught:
            keys.object_of(wrong, buckets, "object_uri")
        assert caught.value.reason == "URI" and caught.value.violations[0].field == "object_uri"
    for wrong in ("s3://clips/a\n", "s3://clips/" + "a" * 1025):
        with pytest.raises(InvalidInput):
            keys.object_of(wrong, buckets, "object_uri")
    with pytest.raises(
        InvalidInput, match=r"'face-foundry' or 'clips'.*s3://other/a.*FACEFOUNDRY_IMPORT_BUCKETS"
    ) as caught:
        keys.object_of("s3://other/a", buckets, "object_uri")
    assert caught.value.reason == "BUCKET_NOT_ALLOWED"


@pytest.mark.parametrize(("uri", "kind"), [("s3://bucket/runs/x", "runs"), ("s3://bucket", ""), ("runs/x", "")])
def test_the_kind_that_a_uri_claims(uri, kind):
    assert keys.kind_of(uri) == kind


def test_a_uri_with_another_bucket_is_refused():
    with pytest.raises(InvalidInput, match=r"in the bucket 'face-foundry'\. Received the bucket 'another'") as caught:
        keys.prefix_of("face-foundry", f"s3://another/sources/{DIGEST}", "sources", "source_uri")
    assert caught.value.reason == "BUCKET_NOT_ALLOWED"
    assert caught.value.violations[0].field == "source_uri"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        f"sources/{DIGEST}",
        f"http://bucket/sources/{DIGEST}",
        f"s3://user@host/sources/{DIGEST}",
        f"s3://bucket:9000/sources/{DIGEST}",
        f"s3://Bucket/sources/{DIGEST}",
        f"s3:///sources/{DIGEST}",
        f"s3://bucket/models/{DIGEST}/1",
        f"s3://bucket/sources/{DIGEST}/manifest.json",
        f"s3://bucket/sources/{DIGEST}/",
        f"s3://bucket//sources/{DIGEST}",
        f"s3://bucket/sources/../{DIGEST}",
        f"s3://bucket/sources/{DIGEST}?versionId=1",
        f"s3://bucket/sources/{DIGEST}\n",
        f"s3://bucket/sources/{DIGEST[:-1]}g",
    ],
)
def test_any_other_uri_is_refused_with_the_field_and_the_form(uri):
    with pytest.raises(InvalidInput, match=r"Expected source_uri in the form s3://<bucket>/sources/<digest>") as caught:
        keys.prefix_of("bucket", uri, "sources", "source_uri")
    assert caught.value.violations[0].field == "source_uri"


def test_a_models_uri_needs_its_iterations():
    with pytest.raises(InvalidInput, match="<iterations>"):
        keys.prefix_of("bucket", f"s3://bucket/models/{DIGEST}", "models")


@pytest.mark.parametrize("good", ["033", "talk18", "A-b-9", "x" * 100])
def test_ids_without_underscores_are_sequence_ids(good):
    assert keys.sequence_id(good) == good


@pytest.mark.parametrize(
    ("bad", "proposal"),
    [("033_097", "033-097"), ("my clip (1)", "my-clip-1"), ("", "clip"), ("Zoë", "Zo"), ("a/b", "a-b")],
)
def test_other_ids_are_refused_with_a_proposal_that_would_do(bad, proposal):
    with pytest.raises(InvalidInput, match=f"'{proposal}'") as caught:
        keys.sequence_id(bad, "pairs[3].a")
    assert caught.value.violations[0].field == "pairs[3].a"
    assert keys.sequence_id(proposal) == proposal
