"""A real S3 server on loopback (moto), and what the environment must say of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
"""Of Amazon's documentation: no account's."""

Answer = tuple[int, bytes]


class Store:
    """Buckets; ``answers`` are what the next requests get instead: a status and a body."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.answers: list[Answer] = []
        self.requests = 0

    @property
    def variables(self) -> Mapping[str, str]:
        """What the environment of a reader says."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def put(self, bucket: str, files: Mapping[str, bytes]) -> None:
        """Fill a bucket, which is made."""
        import boto3

        client: Any = boto3.client(
            "s3",
            endpoint_url=self.address,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )
        client.create_bucket(Bucket=bucket)
        for name, content in files.items():
            client.put_object(Bucket=bucket, Key=name, Body=content)
        client.close()

    def put_folder(self, bucket: str, folder: Path) -> None:
        """Fill a bucket with what lies in a folder."""
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        self.put(bucket, {path.relative_to(folder).as_posix(): path.read_bytes() for path in files})


@contextmanager
def object_store() -> Iterator[Store]:
    """Serve an empty store until the end of the block."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    made = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        store.requests += 1
        if store.answers:
            status, body = store.answers.pop(0)
            length = str(len(body) + (status == 206))  # of 206 the last byte never comes
            start_response(f"{status} x", [("Content-Length", length)])
            return [body]
        return made(environ, start_response)

    server = make_server("127.0.0.1", 0, application, threaded=True)
    store = Store(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def reading(store: Store) -> Iterator[None]:
    """Let this process read from ``store``, with short waits, until the end of the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in store.variables.items():
            patch.setenv(name, value)
        patch.setattr("resnet_deploy.data.asking._WAITS", (0.01, 0.01, 0.01))
        forget()
        yield
    forget()


def forget() -> None:
    """Let what is read next look at the environment and the server anew."""
    from resnet_deploy.data import remote

    remote._systems.cache_clear()
    remote._status.cache_clear()
