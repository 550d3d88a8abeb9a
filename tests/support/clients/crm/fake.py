"""Where the fake CRM is, for the scripts beside this one: they speak to it with libraries that we did not write.

A script gets the fake's address and CA, and what the test says of logins, as JSON in its first argument. What it prints as
JSON on its last line goes back to the test. Libraries that know their vendor's host alone are led to the fake by their
transport; what they send stays theirs.
"""

import json
import os
import sys
from urllib.parse import urlsplit

told = json.loads(sys.argv[1])
url = told["url"]
ca = told["ca"]
# For libraries that make their connections out of sight.
os.environ.update(REQUESTS_CA_BUNDLE=ca, SSL_CERT_FILE=ca, NO_PROXY="*", no_proxy="*")


def lead_requests(*vendors):
    """All of requests' traffic to a host with one of these endings goes to the fake."""
    import requests.adapters

    send = requests.adapters.HTTPAdapter.send

    def led(self, request, **options):
        parts = urlsplit(request.url)
        if any(parts.hostname == vendor or parts.hostname.endswith("." + vendor) for vendor in vendors):
            request.url = parts._replace(netloc=urlsplit(url).netloc).geturl()
        options["verify"] = ca
        return send(self, request, **options)

    requests.adapters.HTTPAdapter.send = led


def expect(what, is_so):
    if not is_so:
        raise SystemExit(f"not so: {what}")


def refused(kind, call):
    """The exception that the library makes of the fake's refusal."""
    try:
        call()
    except kind as error:
        return error
    raise SystemExit(f"not refused with {kind.__name__}")


def report(**values):
    print(json.dumps(values))
