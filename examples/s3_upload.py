"""Uploads a file to an S3 service in parts, and goes on where it was after any crash.

    python s3_upload.py PATH BUCKET KEY [--endpoint URL] [--store uploads.db] [--abort]

Started again with the same arguments, it resumes: parts that have arrived are not sent again. With --abort it cancels the
upload, and the service forgets the parts. Needs boto3 (`pip install '.[examples]'`) and credentials as boto3 finds them.

The tree: `upload` opens the multipart upload and spawns one `send_part` a part, of which four run at once. A part has retries
of its own and reports its bytes, and the upload's progress is that of its parts. Its finalizer completes the upload once all
parts are there; where the upload is cancelled, its hook aborts it.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError

from millrace import (
    Cancelled,
    Completed,
    Context,
    DeadLettered,
    Domain,
    DuplicatePolicy,
    Event,
    Failed,
    PermanentError,
    Progress,
    Retry,
    Scheduler,
    TaskId,
    TaskRecord,
    TaskStatus,
)

PART_BYTES = 8 * 1024 * 1024
"""S3 takes parts from 5 MiB on, and at most 10,000 of them."""

uploads = Domain("uploads", retry=Retry.exponential_jitter(5, initial=0.5, maximum=60))


@uploads.task()
def send_part(
    ctx: Context, path: str, bucket: str, name: str, upload_id: str, number: int, offset: int, size: int
) -> tuple[int, str]:
    """Send one part; its number and what the service calls it."""
    ctx.set_bytes_total(size)
    with Path(path).open("rb") as file:
        file.seek(offset)
        content = file.read(size)
    if len(content) != size:
        raise PermanentError(f"{path} has changed: expected {size:,} bytes at {offset:,}, got {len(content):,}")
    ctx.check_cancelled()
    part = call(ctx, "upload_part", Bucket=bucket, Key=name, UploadId=upload_id, PartNumber=number, Body=content)
    ctx.add_bytes(size)
    ctx.record_io(disk_read=size, net_tx=size)
    return number, part["ETag"]


def object_of(path: str, bucket: str, name: str, part_bytes: int) -> str:
    """The key of an upload, so that there is one at a time for each object; what people are shown, too."""
    return f"{bucket}/{name}"


@uploads.task(key=object_of, label=object_of, child_concurrency=4, on_duplicate=DuplicatePolicy.REJECT)
def upload(ctx: Context, path: str, bucket: str, name: str, part_bytes: int = PART_BYTES) -> str:
    """Open the upload, or find the one that an earlier run has opened, and spawn its parts."""
    try:
        total = Path(path).stat().st_size
    except FileNotFoundError as error:
        raise PermanentError(f"there is no file {path}") from error
    upload_id = open_upload(ctx, bucket, name)
    if upload_id is None:
        upload_id = call(ctx, "create_multipart_upload", Bucket=bucket, Key=name)["UploadId"]
    # A run that is repeated spawns the same parts: those that are stored already are found, not doubled.
    ctx.spawn_children(
        send_part.options(label=f"{name} part {number}").call(
            path, bucket, name, upload_id, number, offset, min(part_bytes, total - offset)
        )
        for number, offset in enumerate(range(0, max(total, 1), part_bytes), 1)
    )
    return upload_id


@upload.finalize
def complete(
    ctx: Context,
    memo: str,
    path: str,
    bucket: str,
    name: str,
    part_bytes: int,
) -> str:
    """Make one object of the parts; its ETag is the task's memo."""
    parts = sorted(child.memo for child in ctx.child_results(send_part) if child.memo is not None)
    listed = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
    try:
        done = ctx.state(BaseClient).complete_multipart_upload(
            Bucket=bucket, Key=name, UploadId=memo, MultipartUpload={"Parts": listed}
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchUpload":
            raise
        # An earlier run of this finalizer completed it, and died before that was stored.
        done = call(ctx, "head_object", Bucket=bucket, Key=name)
    return str(done["ETag"])


@upload.on_cancel
def abort(
    ctx: Context,
    path: str,
    bucket: str,
    name: str,
    part_bytes: int,
) -> None:
    """Tell the service to forget the parts. It runs when the last part has stopped."""
    upload_id = open_upload(ctx, bucket, name)
    if upload_id is not None:
        call(ctx, "abort_multipart_upload", Bucket=bucket, Key=name, UploadId=upload_id)


def open_upload(ctx: Context, bucket: str, name: str) -> str | None:
    """The id of the upload of that object that is open at the service, if there is one."""
    listed = call(ctx, "list_multipart_uploads", Bucket=bucket, Prefix=name).get("Uploads", [])
    return next((str(entry["UploadId"]) for entry in listed if entry["Key"] == name), None)


def call(ctx: Context, operation: str, **arguments: object) -> dict[str, Any]:
    """Call the service. What it will refuse again, such as a bucket that does not exist, is not tried again."""
    try:
        return getattr(ctx.state(BaseClient), operation)(**arguments)  # type: ignore[no-any-return]
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status in (400, 403, 404):
            raise PermanentError(str(error)) from error
        raise


def connect(endpoint: str | None = None) -> BaseClient:
    """A client that leaves it to the tasks to try again."""
    return boto3.client("s3", endpoint_url=endpoint, config=Config(retries={"total_max_attempts": 1}))


ENDS = (Completed, Failed, DeadLettered, Cancelled)


def follow(scheduler: Scheduler, path: str, bucket: str, name: str, part_bytes: int = PART_BYTES) -> TaskRecord:
    """Submit the upload, or join the one under way, and print its progress until it ends."""
    with scheduler.subscribe(kinds=[Progress, *ENDS], task=upload) as events:
        # Before start(): an upload that was interrupted is found under way, however little of it is left. REJECT makes the
        # outcome's id that of the upload under way; SKIP would run it once more after its end.
        outcome = scheduler.submit(upload, path, bucket, name, part_bytes)
        with scheduler:
            for event in events:
                if isinstance(event, Progress):
                    rate = (event.bytes_per_second or 0.0) / 1e6
                    print(f"{event.label}: {event.fraction:4.0%} {rate:7.1f} MB/s", file=sys.stderr)
                elif is_end(event, outcome.id):
                    break
            return outcome.wait()


def abandon(scheduler: Scheduler, bucket: str, name: str) -> TaskRecord | None:
    """Cancel the upload, and wait until the service has forgotten its parts."""
    with scheduler.subscribe(kinds=ENDS, task=upload) as events, scheduler:
        record = scheduler.find(upload, f"{bucket}/{name}")
        if record is None:
            return None
        if not scheduler.cancel(record.id).settled:
            next(event for event in events if is_end(event, record.id))
        return scheduler.task(record.id)


def is_end(event: Event, task_id: TaskId) -> bool:
    """Whether with this event the task has ended: a failed run that is repeated is no end."""
    is_repeated = isinstance(event, Failed) and event.will_retry
    return isinstance(event, ENDS) and event.task_id == task_id and not is_repeated


def main() -> int:
    """0 where the object is there."""
    parser = argparse.ArgumentParser(description="Upload a file to an S3 service, resumably.")
    parser.add_argument("path")
    parser.add_argument("bucket")
    parser.add_argument("key")
    parser.add_argument("--endpoint", help="URL of the service; Amazon's where left out")
    parser.add_argument("--store", default="uploads.db")
    parser.add_argument("--abort", action="store_true", help="cancel the upload under way")
    given = parser.parse_args()
    scheduler = Scheduler(given.store, domains=[uploads], state=[connect(given.endpoint)])
    if given.abort:
        record = abandon(scheduler, given.bucket, given.key)
    else:
        record = follow(scheduler, str(Path(given.path).resolve()), given.bucket, given.key)
    if record is None:
        print("there is no such upload", file=sys.stderr)
        return 1
    print(f"{record.label}: {record.status} {record.error or ''}", file=sys.stderr)
    return 0 if record.status == (TaskStatus.CANCELLED if given.abort else TaskStatus.COMPLETED) else 1


if __name__ == "__main__":
    sys.exit(main())
