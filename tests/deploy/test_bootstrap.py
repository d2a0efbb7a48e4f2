"""The program that the poller's task starts with: a stock image becomes the poller, from what was deployed."""

from __future__ import annotations

import base64
import hashlib
import http.server
import importlib.util
import io
import json
import subprocess
import sys
import threading
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import sidelamb_local
from tests.deploy import bare_root, island

PROGRAM = Path(__file__).parents[2] / "infra" / "poller" / "bootstrap.py"
KEYS = {"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "secret/of+many=signs", "Token": "a//long+token=="}
ARN = "arn:aws:lambda:eu-west-1:123456789012:layer:shop-poller:7"
POLLER = """
import os
alive = os.path.exists(os.environ["SIDELAMB_ALIVE_FILE"])
print(f"polling as {os.getresuid()}, process {os.getpid()}, alive: {alive}")
"""


def program():
    spec = importlib.util.spec_from_file_location("bootstrap", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_template_carries_it_word_for_word():
    piece = Path(sidelamb_local.__file__).parent / "deploy" / "pieces" / "poller.yaml"
    indented = "".join(" " * 16 + line if line.strip() else line for line in PROGRAM.read_text().splitlines(True))
    assert f"              - |\n{indented}\n" in piece.read_text()


@pytest.mark.parametrize("path", ["/2018-10-31/layers/shop-poller/versions/7", "/x?Arn=a%3Ab&find=LayerVersion"])
def test_it_signs_as_botocore_does(path):
    url, now = f"https://lambda.eu-west-1.amazonaws.com{path}", datetime(2026, 11, 24, 1, 2, 3, tzinfo=UTC)
    headers = program().signed(url, KEYS, "eu-west-1", now.timestamp())
    request = AWSRequest("GET", url, {name: value for name, value in headers.items() if name != "authorization"})
    request.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(Credentials(*KEYS.values()), "lambda", "eu-west-1")
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    assert headers["x-amz-date"] == "20261124T010203Z"
    assert headers["authorization"].endswith(f"Signature={signature}")
    assert signer.scope(request) in headers["authorization"]


def bundle():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as file:
        file.writestr("python/sidelamb_handlers/__init__.py", "")
        file.writestr("python/sidelamb_handlers/poller/__init__.py", "")
        file.writestr("python/sidelamb_handlers/poller/__main__.py", POLLER)
    return made.getvalue()


@pytest.fixture
def lambda_api():
    """Lambda's answers, as a test would have them: (status, body) by path; and who asked."""
    answers = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = answers[self.path]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        content = {"Location": f"{url}/file?signed", "CodeSha256": sha256(bundle())}
        answers |= {"/keys": (200, KEYS), "/file?signed": (200, bundle())}
        answers["/2018-10-31/layers/shop-poller/versions/7"] = (200, {"Content": content})
        yield url, answers
        server.shutdown()
        thread.join()


def sha256(data):
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def text(url):
    """The program as the task has it, with credentials at an address of the test's."""
    return PROGRAM.read_text().replace('"http://169.254.170.2"', repr(url))


def env(url, folder):
    return {
        "SIDELAMB_BUNDLE": ARN,
        "SIDELAMB_HOME": str(folder),
        "AWS_REGION": "eu-west-1",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/keys",
        "AWS_ENDPOINT_URL_LAMBDA": url,
    }


def start(url, folder):
    words = [sys.executable, "-c", text(url)]
    return subprocess.run(words, env=env(url, folder), capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(not island.possible(), reason="a root folder and process 1 of one's own need root")
def test_on_a_bare_image_it_becomes_the_poller_as_process_1_and_as_nobody(lambda_api, tmp_path):
    root = tmp_path / "root"
    bare_root.make(root, bare_root.python_of_the_runtime())
    url, log = lambda_api[0], tmp_path / "log"
    with bare_root.contained(root, ["python", "-c", text(url)], env(url, "/opt/sidelamb"), log) as task:
        assert (task.process.wait(60), task.said) == (
            0,
            "polling as (65534, 65534, 65534), process 1, alive: True\n",
        )


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("/file?signed", (200, bundle()[:-1]), "are not the bundle: their SHA-256 differs"),
        ("/file?signed", (403, b"Request has expired"), "/file: 403 Request has expired"),
        ("/keys", (500, b"no"), "/keys: 500 no"),
        (
            "/2018-10-31/layers/shop-poller/versions/7",
            (403, {"Message": "not authorized to perform: lambda:GetLayerVersion"}),
            "lambda:GetLayerVersion",
        ),
    ],
)
def test_what_it_cannot_have_it_does_not_run_and_says_so(lambda_api, tmp_path, path, answer, words):
    lambda_api[1][path] = answer
    ended = start(lambda_api[0], tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith("sidelamb: ")
    assert words in ended.stderr
    assert "?signed" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_answers_it_says_where_to_look(tmp_path):
    ended = start("http://127.0.0.1:1", tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == (
        "sidelamb: http://127.0.0.1:1/keys: [Errno 111] Connection refused; "
        "see that the task's subnets and role let it get there\n"
    )
