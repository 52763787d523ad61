"""The local stack: an S3 server and the three services as processes on this machine. It needs the extra `local`."""

from facefoundry.local.stack import Stack, default_folder, local_stack
from facefoundry.local.state import User
from facefoundry.local.store import ObjectStore

__all__ = ["ObjectStore", "Stack", "User", "default_folder", "local_stack"]
