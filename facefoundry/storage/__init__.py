"""Object storage: all keys (`keys`), the S3 client (`store`) and the commit record of a prefix (`manifest`)."""
