"""Lists the files of stored results, with URLs from which clients get them. All services list files in this way."""

from __future__ import annotations

from dataclasses import replace

from facefoundry.errors import FieldViolation, InvalidInput
from facefoundry.rpc import paging
from facefoundry.storage import keys, manifest
from facefoundry.storage.info import ModelInfo
from facefoundry.storage.manifest import Manifest, Part
from facefoundry.storage.presign import UrlSigner
from facefoundry.storage.store import Store
from facefoundry.v1 import files_pb2

__all__ = ["StoredFiles"]

_DEFAULT_SIZE = 100
_MAX_SIZE = 500


class StoredFiles:
    """Lists the files of the results that one service makes.

    Args:
        service: Name of the service.
        store: The object store.
    """

    def __init__(self, service: str, store: Store) -> None:
        self._service, self._store = service, store
        self._signer = UrlSigner(store.settings)

    def list(self, request: files_pb2.ListFilesRequest) -> files_pb2.ListFilesResponse:
        """Return a page of the files of a result, by name: its parts and `manifest.json`; of a model, its previews too.

        Raises:
            InvalidInput: another service lists this kind of result (OTHER_SERVICE), or the URI or the page token is
                wrong.
            NotFound: there is no such result, or it is not finished (NOT_COMMITTED).
            DataLoss: its manifest is damaged.
        """
        after = paging.read_token(request.uri, request.page_token)
        size = min(request.page_size or _DEFAULT_SIZE, _MAX_SIZE)
        committed, own = manifest.load_with_file(self._store, self._prefix(request.uri))
        previews = _previews(self._store, request.uri, committed)
        found = sorted([*committed.parts, own, *previews], key=lambda part: part.name)
        files = [part for part in found if after is None or part.name > after]
        token = paging.make_token(request.uri, files[size - 1].name) if len(files) > size else ""
        return files_pb2.ListFilesResponse(files=map(self._file, files[:size]), next_page_token=token)

    def _prefix(self, uri: str) -> str:
        kind = keys.kind_of(uri)
        for service, kinds in keys.LISTED.items():
            if kind in kinds and service != self._service:
                own = keys.LISTED[self._service]
                expected = " or ".join(f"s3://<bucket>/{each}/..." for each in own)
                raise InvalidInput(
                    f"The {service} lists the files of {kind}, and this {self._service} those of "
                    f"{' and '.join(own)}. Received uri={uri!r}. Call ListFiles of the {service}.",
                    reason="OTHER_SERVICE",
                    violations=[FieldViolation("uri", f"must have the form {expected} in calls of this service")],
                    metadata={"service": service},
                )
        return keys.prefix_of(self._store.bucket, uri, keys.LISTED[self._service])

    def _file(self, part: Part) -> files_pb2.StoredFile:
        url, expires = self._signer.get(part.key)
        file = files_pb2.StoredFile(
            name=part.name,
            size_bytes=part.size,
            sha256=part.sha256,
            url=url,
            content_type=manifest.content_type(part.name),
        )
        file.expire_time.FromDatetime(expires.replace(tzinfo=None))
        return file


def _previews(store: Store, uri: str, committed: Manifest) -> list[Part]:
    """Return the preview pictures of a model's training, which are parts of no result. Some may be deleted by now."""
    if keys.kind_of(uri) != "models" or committed.kind != "model":
        return []
    folder = f"{keys.training(uri.split('/')[-2])}/previews/"
    named = {preview.key for preview in committed.info_as(ModelInfo).previews}
    stored = dict(store.sizes(folder)) if named else {}
    return [replace(manifest.part_of_key(key), size=stored[key]) for key in named & stored.keys()]
