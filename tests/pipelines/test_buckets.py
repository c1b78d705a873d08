"""Films in a bucket and a dataset beside them, by Amazon's protocol."""

import pathlib

import boto3
import pytest
from moto.server import ThreadedMotoServer

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
    client = boto3.client("s3")
    client.create_bucket(Bucket="films")
    yield client
    server.stop()


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
