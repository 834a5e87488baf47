"""
Finds the credentials of an environment with botocore. For each line {"env": ..., "profile": ...} it prints a line
{"access_key_id": ...} or {"error": ...}. It is a separate process because botocore reads the home only once.
"""

import json
import os
import sys

import botocore.session


def resolve(profile):
    credentials = botocore.session.Session(profile=profile).get_credentials()
    return None if credentials is None else credentials.get_frozen_credentials().access_key


def endpoint(profile, service):
    return botocore.session.Session(profile=profile).create_client(service).meta.endpoint_url


def answer(row):
    os.environ.clear()
    os.environ.update(row["env"])
    try:
        if "service" in row:
            return {"endpoint": endpoint(row["profile"], row["service"])}
        return {"access_key_id": resolve(row["profile"])}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
