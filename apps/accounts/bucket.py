"""Documents in a bucket that speaks S3, which every node sees. Django loads this module where `FILES_URL` is set.

A bucket that is away, hangs or refuses is an `OSError`, as a broken disk is: it costs ten seconds at most, and whoever
asks next is told at once for a while. Addresses of the bucket are given to nobody.
"""

import errno
import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files.base import File
from storages.backends.s3 import S3Storage

REST_SECONDS: Final = 3.0
_CONFIG: Final = Config(
    connect_timeout=2,
    read_timeout=3,
    retries={"total_max_attempts": 2, "mode": "standard"},
    s3={"addressing_style": "path"},
    signature_version="s3v4",
    # Many stores that speak S3 do not know the newer checksums.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


class BucketStorage(S3Storage):
    """A private bucket. Names cannot be guessed, so none is looked for before it is written."""

    def __init__(self, **options: Any) -> None:
        # Documents are small: threads would cost more than they save.
        super().__init__(client_config=_CONFIG, transfer_config=TransferConfig(use_threads=False), **options)
        self._resting_until = 0.0

    @contextmanager
    def _asking(self) -> Iterator[None]:
        if time.monotonic() < self._resting_until:
            raise OSError(errno.EIO, "The store of files was away a moment ago")
        try:
            yield
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise FileNotFoundError(errno.ENOENT, "The store does not have this file") from error
            raise OSError(errno.EIO, f"The store of files refuses: {error}") from error
        except (BotoCoreError, Boto3Error) as error:
            self._resting_until = time.monotonic() + REST_SECONDS
            raise OSError(errno.EIO, f"The store of files is away: {error}") from error

    def _open(self, name: str, mode: str = "rb") -> File[bytes]:
        # As a whole and now: what fails later fails in the middle of an answer.
        with self._asking():
            found = self.bucket.Object(self._normalize_name(name)).get()
            return File(io.BytesIO(found["Body"].read()), name)

    def _save(self, name: str, content: File[bytes]) -> str:
        with self._asking():
            return str(super()._save(name, content))

    def delete(self, name: str) -> None:
        with self._asking():
            super().delete(name)

    def exists(self, name: str) -> bool:
        with self._asking():
            return bool(super().exists(name))

    def url(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `ValueError`: documents are shown by views that ask who may see them."""
        raise ValueError("Documents have no public address.")
