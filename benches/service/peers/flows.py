"""Cancels flow runs of a Prefect server on SQLite over HTTP, on commands from standard input:
"fill N", "bulk N", "single CLIENTS SECONDS". Prints one JSON object for each. Prefect keeps the
history of states of each run, but not who asked for them and why, and is given the ids of the runs.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

import httpx

BATCH = 50  # the most that Prefect takes in one request
CANCELLED = {"state": {"type": "CANCELLED", "name": "Cancelled"}}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


async def serve(folder, client, port):
    environment = os.environ | {
        "PREFECT_HOME": folder,
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder}/prefect.db",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
    }
    command = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port), "--no-ui"]
    command += ["--no-services"]  # Without them, nothing else writes to its database.
    server = subprocess.Popen(command, env=environment, stdout=sys.stderr)
    for _ in range(240):
        try:
            if (await client.get("/health")).status_code == 200:
                return server
        except httpx.HTTPError:
            pass
        await asyncio.sleep(0.5)
    server.kill()
    raise SystemExit("Prefect's server does not start")


async def post(client, path, body):
    response = await client.post(path, json=body)
    while response.status_code == 503:  # Its database is locked; Prefect's own client tries again, too.
        response = await client.post(path, json=body)
    response.raise_for_status()
    return response.json()


async def fill(client, flow, count):
    body = {"flow_id": flow, "state": {"type": "SCHEDULED", "name": "Scheduled"}}
    return [(await post(client, "/flow_runs/", body))["id"] for _ in range(count)]


async def bulk(client, ids, count):
    chosen, ids[:] = ids[:count], ids[count:]
    started = time.perf_counter()
    for at in range(0, len(chosen), BATCH):
        some = {"flow_runs": {"id": {"any_": chosen[at : at + BATCH]}}}
        response = await post(client, "/flow_runs/bulk_set_state", some | CANCELLED)
        accepted = [result["status"] == "ACCEPT" for result in response["results"]]
        assert all(accepted) and len(accepted) == len(chosen[at : at + BATCH]), response
    return {"count": len(chosen), "seconds": time.perf_counter() - started}


async def single(client, ids, clients, seconds):
    millis = []
    started = time.perf_counter()

    async def cancel():
        while ids and time.perf_counter() - started < seconds:
            before = time.perf_counter()
            result = await post(client, f"/flow_runs/{ids.pop()}/set_state", CANCELLED)
            assert result["status"] == "ACCEPT", result
            millis.append((time.perf_counter() - before) * 1000)

    await asyncio.gather(*(cancel() for _ in range(clients)))
    return {"millis": millis, "seconds": time.perf_counter() - started}


async def main():
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api", timeout=60) as client:
            server = await serve(folder, client, port)
            try:
                flow = (await post(client, "/flows/", {"name": "bench"}))["id"]
                ids = []
                while line := await asyncio.to_thread(sys.stdin.readline):
                    command, *numbers = line.split()
                    numbers = [int(number) for number in numbers]
                    answer = {}
                    if command == "fill":
                        ids = await fill(client, flow, *numbers)
                    elif command == "bulk":
                        answer = await bulk(client, ids, *numbers)
                    else:
                        answer = await single(client, ids, *numbers)
                    print(json.dumps(answer), flush=True)
            finally:
                server.terminate()
                server.wait()


asyncio.run(main())
