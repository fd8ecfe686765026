"""This file signs what we post to systems of others, so that they can tell it from what anybody else posts."""

import hashlib
import hmac

HEADER = "x-sambung-signature"


def signature(key: str, at: int, body: bytes) -> str:
    """`t=<unix seconds>,v1=<hex HMAC-SHA256 over "<t>.<body>">`."""
    mac = hmac.new(key.encode(), b"%d." % at + body, hashlib.sha256)
    return f"t={at},v1={mac.hexdigest()}"
