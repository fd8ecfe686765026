"""This file asks a process of ours on this machine whether it is ready: `python -m libs.service.ready [PORT]`, status 0 or 1.

For container health checks, in images that hold nothing but Python. It imports next to nothing, since it runs often.
"""

import http.client
import os
import sys

WITHIN = 3.0


def main(arguments: list[str]) -> int:
    """The port is the argument or SAMBUNG_PORT. What /readyz says goes to stdout, for whoever inspects the container."""
    port = int(arguments[0] if arguments else os.environ["SAMBUNG_PORT"])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WITHIN)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        print(answer.read().decode())
    except OSError as fault:
        print(f"no answer at port {port}: {fault}")
        return 1
    finally:
        connection.close()
    return 0 if answer.status == 200 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
