"""`python -m tests.nodes.client URL TOKENS SECONDS`: posts needs as programs do, and prints a line for each as JSON.

A post that fails is repeated with its `Idempotency-Key` until it succeeds, as the documentation of the API says.
"""

import json
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

PATIENCE = 60


def post(url: str, token: str) -> dict[str, object]:
    """Post one need; when that began, how long it took, and how often it was tried."""
    key, began, tries = str(uuid.uuid4()), time.time(), 0
    need = {
        "item": "mask.surgical",
        "quantity": 1000,
        "open": True,
        "confirm_quantity": True,
        "confirm_duplicate": True,
    }
    body = json.dumps(need).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Idempotency-Key": key}
    status, made, said = 0, None, ""
    while status != 201 and time.time() < began + PATIENCE:
        tries += 1
        try:
            request = urllib.request.Request(f"{url}/api/v1/demands/", body, headers)  # noqa: S310  of our own network
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  the same
                status, made = answer.status, json.load(answer)["id"]
        except urllib.error.HTTPError as error:
            status, said = error.code, error.read().decode()[:300]
            time.sleep(0.5)
        except (OSError, ValueError) as error:
            said = str(error)
            time.sleep(0.5)
    return {"at": began, "took": time.time() - began, "tries": tries, "status": status, "need": made, "said": said}


def post_until(end: float, url: str, token: str) -> None:
    while time.time() < end:
        print(json.dumps(post(url, token)), flush=True)
        time.sleep(1)


if __name__ == "__main__":
    url, tokens, seconds = sys.argv[1], json.loads(Path(sys.argv[2]).read_text()), float(sys.argv[3])
    threads = [threading.Thread(target=post_until, args=(time.time() + seconds, url, token)) for token in tokens[:4]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
