"""The DeepFakes half of FaceForensics++ as microservices: contract, client, storage and command."""

# The one place of the version; `make generate` copies it to the chart, the citation and the examples.
__version__ = "0.1.0"
