"""Films in a bucket and a dataset beside them, by Amazon's protocol."""

import contextlib
import email
import hashlib
import http.server
import itertools
import json
import pathlib
import re
import shutil
import threading
import urllib.parse

import boto3
import botocore.client
import botocore.exceptions
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.utils import retry
from kills import Killed
from kills import Steps
from kills import before
from moto.s3.responses import S3Response
from moto.server import ThreadedMotoServer

from pipelines import lock
from pipelines.sources import folder
from pipelines.training import example_gen
from pipelines.training import local
from pipelines.training.config import ExampleGenConfig
from video_repr import InputError
from video_repr.data import ClipDataset

pytestmark = pytest.mark.slow


@pytest.fixture
def bucket(monkeypatch):
    """A bucket of a server on this machine."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    # A server that does not answer is asked again before minutes are gone.
    client = boto3.client("s3", config=botocore.client.Config(read_timeout=10))
    client.create_bucket(Bucket="films")
    # Amazon looks at a condition and writes in one step, moto in two.
    put, one_by_one = S3Response.put_object, threading.Lock()

    def put_object(response):
        with one_by_one:
            return put(response)

    monkeypatch.setattr(S3Response, "put_object", put_object)
    # Of what dies in a test Beam would try again for minutes.
    monkeypatch.setattr(retry.Clock, "sleep", lambda *_: None)
    # Beam makes one for each of its calls, which takes most of the time.
    monkeypatch.setattr(
        boto3.session.Session, "client", lambda *_, **__: client
    )
    yield client
    # One process has one bucket of a name, whatever the server.
    empty(client)
    server.stop()


def empty(bucket):
    for key in bucket.list_objects_v2(Bucket="films").get("Contents", []):
        bucket.delete_object(Bucket="films", Key=key["Key"])


def test_from_a_bucket_into_a_bucket(bucket, cut, films, tmp_path, sums):
    films = films / "run"
    for file in films.rglob("*.mp4"):
        bucket.upload_file(str(file), "films", f"in/{file.relative_to(films)}")
    out = "s3://films/out/cut/1"
    assert cut(path="s3://films/in", out=out) == 0
    assert cut(path=films, out=tmp_path / "cut" / "1") == 0
    there = bucket.list_objects_v2(Bucket="films")["Contents"]
    keys = {i["Key"] for i in there if not i["Key"].startswith("in/")}
    here = tmp_path / "fetched"
    here.mkdir()
    for key in keys:
        # Nothing of the unfinished job is left.
        assert key.startswith("out/cut/1/")
        bucket.download_file("films", key, str(here / pathlib.Path(key).name))
    fetched, local = sums(here), sums(tmp_path / "cut" / "1")
    # Beam writes no empty files there.
    assert set(fetched) | {"failures.jsonl"} == set(local)
    # The others say where the films lie.
    for name in ("features.json", "schema.pbtxt", "COMPLETED"):
        assert fetched[name] == local[name]
    # What is there is kept.
    assert cut(path="s3://films/in", out=out) == 0
    assert cut("--size", "8", path="s3://films/in", out=out) == 2


OUT = "s3://films/out/cut/1"
CHANGES = {"CopyObject", "DeleteObject", "DeleteObjects", "PutObject",
           "CompleteMultipartUpload"}  # fmt: skip


@pytest.fixture
def soon(monkeypatch):
    """Jobs that are known to be dead, or not, in less than a second."""
    monkeypatch.setattr(lock, "_RENEWED", 0.05)
    monkeypatch.setattr(lock, "_EXPIRES", 0.6)
    monkeypatch.setattr(lock, "_SETTLED", 0.05)


@pytest.fixture
def job(bucket, cut, films, tmp_path, soon):
    """Runs a job on two films; returns its exit code."""
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("run_g0_0.mp4", "run_g0_1.mp4"):
        shutil.copy(films / "run" / name, folder)

    def run(*extra, out=OUT):
        shares = ("--validation", "0", "--test", "0")
        return cut(*shares, *extra, path=folder, out=out)

    return run


@pytest.fixture
def there(bucket):
    """SHA-256 of everything in the bucket, by key."""

    def of():
        keys = bucket.list_objects_v2(Bucket="films").get("Contents", [])
        return {
            key["Key"]: hashlib.sha256(
                bucket.get_object(Bucket="films", Key=key["Key"])["Body"].read()
            ).hexdigest()
            for key in keys
        }

    return of


@pytest.fixture
def expected(job, there, bucket):
    """What the job leaves in the bucket."""
    assert job() == 0
    found = there()
    empty(bucket)
    return found


@contextlib.contextmanager
def stepping(steps):
    """Has `Steps` called before each change in the bucket but of the lock."""
    call = botocore.client.BaseClient._make_api_call

    def looked(client, operation, parameters):
        of_lock = parameters.get("Key", "").endswith(".lock")
        if operation in CHANGES and not of_lock:
            steps()
        elif steps.dead and operation in CHANGES:
            raise Killed
        return call(client, operation, parameters)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(botocore.client.BaseClient, "_make_api_call", looked)
        yield


def test_a_second_job_at_changes_of_the_first(job, there, expected, capsys):
    others = itertools.cycle([(), ("--overwrite",), ("--size", "8")])
    codes = []

    def second(steps):
        if steps.count % 7 == 3:
            codes.append(job(*next(others)))

    steps = Steps(second)
    with stepping(steps):
        assert job() == 0
    assert len(codes) >= 6
    refused = capsys.readouterr().err
    assert set(codes) == {2}
    assert re.search(
        r"which is being written by process \d+ on \S+, which began at .* it "
        r"takes over when s3://films/out/cut/.1.lock has not been renewed for",
        refused,
    )
    assert there() == expected


def killed_at(job, there, expected, bucket, number):
    steps = before(number, Steps.die)
    with stepping(steps), contextlib.suppress(Exception):
        job()
    if not steps.dead:
        return False
    found = there()
    complete = "out/cut/1/COMPLETED" in found
    if complete:
        assert found.items() >= expected.items()
    assert job() == 0
    after = there()
    if complete:
        # What is complete is left as it is, with the lock of whoever may be
        # at work on it.
        after.pop("out/cut/.1.lock", None)
    assert after == expected
    empty(bucket)
    return True


def test_jobs_that_were_killed(job, there, expected, bucket):
    # In the delivery.
    assert killed_at(job, there, expected, bucket, 48)


@pytest.mark.hard
def test_jobs_that_were_killed_anywhere(job, there, expected, bucket):
    number = 0
    while killed_at(job, there, expected, bucket, number):
        number += 1
    assert number > 50


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([12], id="once"),
        pytest.param(range(55), id="everywhere", marks=pytest.mark.hard),
    ],
)
def test_a_job_that_slept_while_another_took_over(
    job, there, expected, bucket, monkeypatch, capsys, numbers
):
    """It does no harm when it wakes, wherever it was."""
    for number in numbers:
        took_over = []

        def another(_, took_over=took_over):
            monkeypatch.setattr(lock, "_RENEWED", 0.05)
            took_over.append(job())

        monkeypatch.setattr(lock, "_RENEWED", 1000)
        with (
            stepping(before(number, another)),
            contextlib.suppress(Exception),
        ):
            job()
        assert took_over == [0], number
        assert there().items() >= expected.items(), number
        monkeypatch.setattr(lock, "_RENEWED", 0.05)
        assert job() == 0
        assert there() == expected, number
        empty(bucket)
    assert "as another took over when this one" in capsys.readouterr().err


@pytest.mark.parametrize("conditional", [True, False])
def test_a_lock_of_a_bucket(bucket, soon, monkeypatch, conditional):
    if not conditional:
        # As of stores that cannot write on a condition.
        monkeypatch.setattr(lock, "_CONDITIONAL", {})
    leases = [lock._Lease(OUT, ()) for _ in range(6)]
    taken, refused = [], []
    together = threading.Barrier(3)

    def take(lease):
        read = lease._object.read

        def first():
            lease._object.read = read
            found = read()
            together.wait()
            return found

        lease._object.read = first
        try:
            lease.take()
            taken.append(lease)
        except InputError as error:
            refused.append(str(error))

    # Nobody renews: of those that come together one has it, once the one
    # before is taken for dead.
    for number in (1, 2):
        threads = [
            threading.Thread(target=take, args=(lease,))
            for lease in leases[3 * number - 3 : 3 * number]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == number
        assert len(refused) == 2 * number
        taken[-1].check()
    first, second = taken
    with pytest.raises(InputError, match="another took over when this one"):
        first.check()
    first.give_back()
    assert first._write(first._seen) is None
    second.check()
    second.give_back()
    assert "Contents" not in bucket.list_objects_v2(Bucket="films")


def test_a_store_that_knows_no_conditions(bucket, soon, monkeypatch):
    """It answers so: what it is asked is not implemented."""
    call = botocore.client.BaseClient._make_api_call

    def answer(client, operation, parameters):
        if {"IfMatch", "IfNoneMatch"} & set(parameters):
            raise botocore.exceptions.ClientError(
                {"ResponseMetadata": {"HTTPStatusCode": 501}}, operation
            )
        return call(client, operation, parameters)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", answer)
    with (
        lock.only_job(OUT) as check,
        pytest.raises(InputError, match="is being written by process"),
        lock.only_job(OUT),
    ):
        pytest.fail("two jobs")
    with pytest.raises(InputError, match="without this one's name"):
        check()


class _Google(http.server.BaseHTTPRequestHandler):
    """As much of Google's store as an object that is changed needs."""

    objects = {}

    def do_GET(self):
        generation, data = self.objects.get("lock", (0, b""))
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        if not generation:
            self._answer(404, b"{}")
        elif query.get("ifGenerationMatch", [str(generation)]) != [
            str(generation)
        ]:
            self._answer(412, b"{}")
        elif "alt" in query:
            self._answer(200, data, "application/octet-stream")
        else:
            self._answer(200, self._about(generation))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        generation, _ = self.objects.get("lock", (0, b""))
        if query["ifGenerationMatch"] != [str(generation)]:
            self._answer(412, b"{}")
            return
        message = email.message_from_bytes(
            f"Content-Type: {self.headers['Content-Type']}\n\n".encode() + body
        )
        _, data = message.get_payload()
        text = data.get_payload(decode=True).strip()
        self.objects["lock"] = generation + 1, text
        self._answer(200, self._about(generation + 1))

    def _about(self, generation):
        about = {"name": "lock", "bucket": "b", "generation": str(generation)}
        return json.dumps(about).encode()

    def _answer(self, status, data, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def test_a_lock_in_googles_store(monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Google)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(
        "STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}"
    )
    options = PipelineOptions(["--no_auth"])
    ours, theirs = (lock._OfGoogle("gs://b/lock", options) for _ in range(2))
    assert ours.read() is None
    first = ours.write("ours", None)
    assert first == theirs.read() == (1, "ours")
    assert theirs.write("theirs", None) is None
    second = theirs.write("theirs", first)
    assert second == ours.read() == (2, "theirs")
    assert ours.write("ours", first) is None
    assert ours.read() == second
    server.shutdown()
    server.server_close()


def test_content_in_a_bucket(bucket, cut, films, tmp_path):
    """Pictures and datasets there are known by their bytes."""
    for number in range(3):
        for picture in range(4):
            bucket.put_object(
                Bucket="films",
                Key=f"in/{number}/{picture}.png",
                Body=bytes([number, picture]),
            )

    def known():
        sources = folder("s3://films/in", pictures=True)
        return local._fingerprint(sources, ExampleGenConfig())

    before = known()
    assert known() == before
    bucket.put_object(Bucket="films", Key="in/1/2.png", Body=b"other")
    assert known() != before
    for file in (films / "run").glob("*.mp4"):
        bucket.upload_file(str(file), "films", f"run/{file.name}")
    out = "s3://films/out/cut/1"
    assert cut(path="s3://films/run", out=out) == 0
    here = tmp_path / "here"
    here.mkdir()
    for item in bucket.list_objects_v2(Bucket="films", Prefix="out/cut/1/")[
        "Contents"
    ]:
        name = pathlib.Path(item["Key"]).name
        bucket.download_file("films", item["Key"], str(here / name))
    assert example_gen.fingerprint_in(out) == ClipDataset(here).fingerprint
    # What is complete is refused when a film there has changed.
    walk = next((films / "walk").glob("*.mp4"))
    victim = next((films / "run").glob("*.mp4")).name
    bucket.upload_file(str(walk), "films", f"run/{victim}")
    assert cut(path="s3://films/run", out=out) == 2
