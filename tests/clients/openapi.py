"""The document at /openapi.json: valid, and true for what a fuzzer sends."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.request import urlopen

from openapi_spec_validator import OpenAPIV31SpecValidator

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"


def check(url, tell):
    document = json.load(urlopen(f"{url}/openapi.json"))
    OpenAPIV31SpecValidator(document).validate()
    tell("valid", f"{len(document['paths'])} paths")
    # /events does not end.
    # It keeps a cache where it runs.
    ran = subprocess.run([Path(sys.executable).with_name("schemathesis"), "run", f"{url}/openapi.json", "--checks", CHECKS, "--exclude-path", "/events",
                          "--max-examples", "12", "--phases", "examples,coverage,fuzzing", "--request-timeout", "120", "--seed", "1", "--no-color"],
                         capture_output=True, text=True, cwd=tempfile.mkdtemp())
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    tell("schemathesis", " ".join(ran.stdout.strip().splitlines()[-1].split()))
