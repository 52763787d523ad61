"""gRPC on both sides: server bootstrap, status mapping, admission, channels."""
