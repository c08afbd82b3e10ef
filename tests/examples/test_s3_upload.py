"""examples/s3_upload.py: a file goes to an S3 service in parts; the service is moto's, over HTTP."""

import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ConnectionClosedError
from moto.server import ThreadedMotoServer

from millrace import Cancelled, Completed, Failed, PermanentError, Progress, Scheduler, TaskStatus

MIB = 1024 * 1024
PART = 5 * MIB
"""The least that S3 takes."""
BUCKET, NAME = "films", "reel.mov"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A service of its own, on a free port."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@dataclass
class Service:
    """A client of the service, and what it was asked."""

    client: Any
    sent: Counter[int] = field(default_factory=Counter)
    """How often each part was sent."""
    faults: dict[int, list[Exception]] = field(default_factory=dict)
    """What each part's next sends fail with."""
    gates: dict[int, threading.Event] = field(default_factory=dict)
    """What the sends of a part wait for."""

    def before_part(self, params: dict[str, Any], **_: object) -> None:
        number = params["PartNumber"]
        if number in self.gates:
            assert self.gates[number].wait(30)
        if self.faults.get(number):
            raise self.faults[number].pop(0)
        self.sent[number] += 1

    def open_uploads(self) -> int:
        return len(self.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []))

    def content(self) -> bytes:
        with self.client.get_object(Bucket=BUCKET, Key=NAME)["Body"] as body:
            return bytes(body.read())


@pytest.fixture
def service(endpoint: str, s3_upload: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service with one empty bucket."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    client: BaseClient = s3_upload.connect(endpoint)
    found = Service(client)
    found.client.create_bucket(Bucket=BUCKET)
    client.meta.events.register("before-parameter-build.s3.UploadPart", found.before_part)
    yield found
    for entry in found.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        found.client.abort_multipart_upload(Bucket=BUCKET, Key=entry["Key"], UploadId=entry["UploadId"])
    found.client.delete_object(Bucket=BUCKET, Key=NAME)
    found.client.delete_bucket(Bucket=BUCKET)
    client.close()


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Eleven MiB and a bit: two parts of five, and a smaller one."""
    path = tmp_path / "film.mov"
    path.write_bytes(random.Random(7).randbytes(11 * MIB + 5))
    return path


def scheduler_of(module: ModuleType, service: Service, tmp_path: Path) -> Scheduler:
    domain, state = [module.uploads], [service.client]
    return Scheduler(tmp_path / "uploads.db", domains=domain, state=state, progress_interval=0.01)


def test_parts_become_one_object(s3_upload: ModuleType, service: Service, film: Path, tmp_path: Path) -> None:
    """The object is the file, each part was sent once, and the upload's progress was that of its parts, by their bytes."""
    with scheduler_of(s3_upload, service, tmp_path) as scheduler:
        with scheduler.subscribe(kinds=[Progress], task=s3_upload.upload) as events:
            outcome = scheduler.submit(s3_upload.upload, str(film), BUCKET, NAME, PART)
            etag = outcome.result(timeout=60)
        reports = [event for event in events if isinstance(event, Progress)]
        assert {child.memo[0] for child in scheduler.children(outcome.id)} == {1, 2, 3}
    assert service.content() == film.read_bytes()
    assert etag == service.client.head_object(Bucket=BUCKET, Key=NAME)["ETag"]
    assert service.sent == {1: 1, 2: 1, 3: 1}
    assert service.open_uploads() == 0
    assert reports[-1].fraction == 1.0
    assert reports[-1].bytes_done == reports[-1].bytes_total == 11 * MIB + 5


def test_an_empty_file_is_one_empty_part(s3_upload: ModuleType, service: Service, tmp_path: Path) -> None:
    """A file without a byte becomes an object without a byte."""
    empty = tmp_path / "empty"
    empty.touch()
    with scheduler_of(s3_upload, service, tmp_path) as scheduler:
        scheduler.submit(s3_upload.upload, str(empty), BUCKET, NAME, PART).result(timeout=60)
    assert service.content() == b""


def test_a_part_is_tried_again_by_itself(s3_upload: ModuleType, service: Service, film: Path, tmp_path: Path) -> None:
    """A connection that breaks costs its part a retry, and the other parts nothing."""
    service.faults[2] = [ConnectionClosedError(endpoint_url="http://gone")]
    with scheduler_of(s3_upload, service, tmp_path) as scheduler:
        outcome = scheduler.submit(s3_upload.upload, str(film), BUCKET, NAME, PART)
        outcome.result(timeout=60)
        assert sorted(child.retries for child in scheduler.children(outcome.id)) == [0, 0, 1]
    assert service.content() == film.read_bytes()
    assert service.sent == {1: 1, 2: 1, 3: 1}


def test_a_cancel_aborts_the_upload(s3_upload: ModuleType, service: Service, film: Path, tmp_path: Path) -> None:
    """A cancel stops the parts; when the last has stopped, the service is told to forget them."""
    service.gates[2] = threading.Event()
    with (
        scheduler_of(s3_upload, service, tmp_path) as scheduler,
        scheduler.subscribe(kinds=[Progress, Cancelled]) as events,
    ):
        outcome = scheduler.submit(s3_upload.upload, str(film), BUCKET, NAME, PART)
        events.get(timeout=60)  # a part has arrived
        assert scheduler.cancel(outcome.id).accepted
        assert service.open_uploads() == 1
        service.gates[2].set()
        assert outcome.wait(timeout=60).status == TaskStatus.CANCELLED
    assert service.open_uploads() == 0
    assert "Contents" not in service.client.list_objects_v2(Bucket=BUCKET)


def test_a_stopped_program_goes_on(s3_upload: ModuleType, service: Service, film: Path, tmp_path: Path) -> None:
    """Stopped with one part to go, the next program sends that part alone, and completes the same upload."""
    service.faults[2] = [ConnectionClosedError(endpoint_url="http://gone")] * 5
    scheduler = scheduler_of(s3_upload, service, tmp_path)
    with scheduler.subscribe(kinds=[Failed, Completed], task=s3_upload.send_part) as events:
        scheduler.submit(s3_upload.upload, str(film), BUCKET, NAME, PART)
        scheduler.start()
        seen = Counter[type]()
        while not (seen[Failed] and seen[Completed] == 2):
            seen[type(events.get(timeout=60))] += 1
    scheduler.stop()
    assert service.open_uploads() == 1
    service.faults.clear()
    record = s3_upload.follow(scheduler_of(s3_upload, service, tmp_path), str(film), BUCKET, NAME, PART)
    assert (record.id, record.status) == (1, TaskStatus.COMPLETED)
    assert service.sent == {1: 1, 2: 1, 3: 1}
    assert service.content() == film.read_bytes()


def test_what_cannot_succeed_is_not_tried_again(
    s3_upload: ModuleType, service: Service, film: Path, tmp_path: Path
) -> None:
    """A missing file and a missing bucket fail at once; a part that fails for good fails the upload."""
    with scheduler_of(s3_upload, service, tmp_path) as scheduler:
        missing = scheduler.submit(s3_upload.upload, str(tmp_path / "none"), BUCKET, NAME, PART).wait(timeout=60)
        nowhere = scheduler.submit(s3_upload.upload, str(film), "no-such-bucket", NAME, PART).wait(timeout=60)
        service.faults[2] = [PermanentError("the part is cursed")]
        broken = scheduler.submit(s3_upload.upload, str(film), BUCKET, NAME, PART).wait(timeout=60)
    assert [record.status for record in (missing, nowhere, broken)] == [TaskStatus.FAILED] * 3
    assert "there is no file" in (missing.error or "")
    assert "NoSuchBucket" in (nowhere.error or "")
    assert "the part is cursed" in (broken.error or "")


def test_a_failed_upload_is_retried_by_hand(
    s3_upload: ModuleType, service: Service, film: Path, tmp_path: Path
) -> None:
    """A retry by hand goes on with the upload that is open at the service, and completes it."""
    service.faults[2] = [PermanentError("the part is cursed")]
    with scheduler_of(s3_upload, service, tmp_path) as scheduler:
        first = scheduler.submit(s3_upload.upload, str(film), BUCKET, NAME, PART)
        assert first.wait(timeout=60).status == TaskStatus.FAILED
        assert service.open_uploads() == 1
        assert scheduler.retry(first.id).wait(timeout=60).status == TaskStatus.COMPLETED
    assert service.open_uploads() == 0
    assert service.content() == film.read_bytes()


def test_the_program_uploads_and_aborts(  # noqa: PLR0917 - fixtures
    examples: Path, s3_upload: ModuleType, service: Service, endpoint: str, film: Path, tmp_path: Path
) -> None:
    """From the command line: an upload ends well; --abort cancels one that was left half done, and then finds none."""
    store = tmp_path / "uploads.db"
    command = [sys.executable, examples / "s3_upload.py", film, BUCKET, NAME, "--endpoint", endpoint, "--store", store]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{BUCKET}/{NAME}: completed")
    service.faults[1] = [ConnectionClosedError(endpoint_url="http://gone")] * 9
    scheduler = scheduler_of(s3_upload, service, tmp_path)
    with scheduler.subscribe(kinds=[Failed]) as failures, scheduler:
        scheduler.submit(s3_upload.upload, str(film), BUCKET, NAME)
        failures.get(timeout=60)
    assert service.open_uploads() == 1
    aborted = subprocess.run([*command, "--abort"], capture_output=True, text=True, timeout=60, check=False)
    assert aborted.returncode == 0, aborted.stderr
    assert service.open_uploads() == 0
