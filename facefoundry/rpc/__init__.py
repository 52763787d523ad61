"""gRPC for servers and clients: server, status mapping, admission, channels, retries."""
