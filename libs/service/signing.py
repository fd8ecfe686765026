"""This file signs what we post to systems of others, and computes what custom channels sign for us in the same form."""

import hashlib
import hmac

HEADER = "x-sambung-signature"


def signature(key: str, at: int, body: bytes) -> str:
    """`t=<unix seconds>,v1=<hex HMAC-SHA256 over "<t>.<body>">`."""
    return f"t={at},v1={sign(key, str(at), body)}"


def sign(key: str, signed_at: str, body: bytes) -> str:
    """The hex signature of a body at a time (unix seconds as written in the header); custom channels make the same for us."""
    return hmac.new(key.encode(), signed_at.encode() + b"." + body, hashlib.sha256).hexdigest()
