"""The DeepFakes half of FaceForensics++ as microservices: contract, client, storage and command."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("facefoundry")
except PackageNotFoundError:
    __version__ = "0.1.0"
