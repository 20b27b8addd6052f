"""Documents in a bucket, against a small store that speaks S3."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client
from moto.server import ThreadedMotoServer
from pytest_django import Settings

from apps.accounts import verification
from apps.accounts.models import Evidence, Organisation, User
from apps.core import confined
from apps.core.errors import RuleViolation
from apps.ops import health
from cosmomatch.settings import files
from tests.documents import PDF, PNG

pytestmark = pytest.mark.django_db

READ = """
import sys, django
django.setup()
from django.core.files.storage import default_storage
sys.stdout.buffer.write(default_storage.open(sys.argv[1]).read())
"""


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(store: str, settings: Settings) -> Iterator[list[str]]:
    """A bucket that is used, and the names in it, which are looked up each time."""
    access = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    made = boto3.resource("s3", endpoint_url=f"http://{store}", **access).Bucket("documents")
    made.create()

    class Names(list[str]):
        def __iter__(self) -> Iterator[str]:
            return iter([found.key for found in made.objects.all()])

    use(settings, f"s3+http://key:secret@{store}/documents")
    yield Names()
    made.objects.delete()
    made.delete()


@pytest.fixture(autouse=True)
def nobody_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a small document takes long, and its sender would rest."""
    monkeypatch.setattr(confined, "USUAL_SECONDS", 60)


def use(settings: Settings, url: str) -> None:
    settings.FILES_URL = url
    settings.STORAGES = settings.STORAGES | {"default": files(url)}


def upload(client: Client, organisation: Organisation, content: bytes = PDF) -> int:
    client.raise_request_exception = False
    form = {"evidence-document": SimpleUploadedFile("licence.pdf", content), "evidence-note": "kept"}
    return client.post(f"/organisation/{organisation.pk}/evidence/", form).status_code


def test_a_document_in_a_bucket_is_seen_by_every_node_and_has_no_address(
    client: Client, hospital: Organisation, buyer: User, stranger: User, bucket: list[str], settings: Settings
) -> None:
    client.force_login(buyer)
    assert upload(client, hospital) == 302

    kept = Evidence.objects.get()
    assert list(bucket) == [kept.document.name]
    page = f"/organisation/{hospital.pk}/evidence/{kept.pk}/"
    download = client.get(page)
    content = b"".join(download.streaming_content)  # type: ignore[attr-defined]  # a FileResponse streams
    assert content.startswith(b"%PDF-")
    assert download["Content-Disposition"].startswith("attachment")

    node = subprocess.run(
        [sys.executable, "-c", READ, str(kept.document.name)],
        env=os.environ | {"FILES_URL": settings.FILES_URL},
        capture_output=True,
        check=True,
    )
    assert node.stdout == content

    with pytest.raises(ValueError, match="no public address"):
        _ = kept.document.url
    assert "amz" not in client.get(f"/organisation/{hospital.pk}/").text.lower()
    client.force_login(stranger)
    assert client.get(page).status_code == 404


def test_what_is_refused_leaves_no_document_in_the_bucket(
    hospital: Organisation, buyer: User, bucket: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verification.add_evidence(hospital, SimpleUploadedFile("one.png", PNG), by=buyer)
    monkeypatch.setattr(verification, "MAX_DOCUMENTS", 1)

    with pytest.raises(RuleViolation) as refused:
        verification.add_evidence(hospital, SimpleUploadedFile("two.png", PNG), by=buyer)

    assert refused.value.code == "too_many_documents"
    assert len(list(bucket)) == 1
    Evidence.objects.get().document.delete(save=False)
    assert list(bucket) == []


@pytest.mark.parametrize("listens", [False, True])
def test_a_store_that_is_dead_or_silent_is_a_503_and_nothing_is_half_kept(
    client: Client, hospital: Organisation, buyer: User, bucket: list[str], settings: Settings, listens: bool
) -> None:
    client.force_login(buyer)
    upload(client, hospital)
    good = settings.FILES_URL
    page = f"/organisation/{hospital.pk}/evidence/{Evidence.objects.get().pk}/"

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if listens:
            silent.listen()
        use(settings, f"s3+http://key:secret@127.0.0.1:{silent.getsockname()[1]}/documents")
        began = time.monotonic()
        answer = client.get(page)
        assert time.monotonic() - began < 11
        assert (answer.status_code, "Retry-After" in answer) == (503, True)
        began = time.monotonic()
        with pytest.raises(OSError, match="a moment ago"):
            default_storage.open("any")
        assert time.monotonic() - began < 1
        assert upload(client, hospital, PNG) == 503
        assert "documents" in {name for name, problem in health.run(health.HEALTH).items() if problem}

    assert Evidence.objects.count() == 1
    use(settings, good)
    assert client.get(page).status_code == 200
    assert upload(client, hospital, PNG) == 302


def test_no_bucket_is_emptied_for_a_test_system(settings: Settings) -> None:
    settings.FILES_URL = "s3://key:secret@store.internal/documents"

    with pytest.raises(CommandError, match="FILES_URL names a bucket"):
        call_command("anonymise", "--yes")


@pytest.mark.parametrize(
    "url", ["s3://key:secret@host", "s3://host/a/b", "s3:///bucket", "s3://host/bucket?acl=public"]
)
def test_a_bucket_is_named_whole_and_without_wishes(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="FILES_URL must be like"):
        files(url)


def test_the_program_does_not_load_the_client_of_a_bucket(tmp_path: Path) -> None:
    loaded = "import django, sys; django.setup(); import apps.portal.urls; sys.exit('boto3' in sys.modules)"

    subprocess.run([sys.executable, "-c", loaded], env=os.environ | {"FILES_URL": "s3://host/bucket"}, check=True)
