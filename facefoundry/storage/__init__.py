"""Object storage: prefixes and URIs (`keys`), the S3 client (`store`), manifests (`manifest`), names (`parts`)."""
