"""gRPC for servers and clients: the server, its slots, channels, retries, and the statuses of errors."""
