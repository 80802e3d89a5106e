"""The judge's throughput against a local server that takes its time: many labels at once beside one after the other."""

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from aiohttp import web

from ..judge import Question
from ..judges.openai import OpenAIJudge
from ..negfilter import judge_chains

REPLY_SECONDS = 0.1
LABELS, LABELS_ONE_BY_ONE = 8000, 50  # as many as a class list has: the connections are made once


def judging_seconds(url: str, labels: int, in_flight: int) -> float:
    """Seconds for one question on each of the labels, from the first to the last reply."""
    chains = [[Question(f"label {i}", "proper noun")] for i in range(labels)]
    judge = OpenAIJudge("slow", url, api_key="none", concurrency=in_flight)
    start = time.perf_counter()
    judge_chains(judge, chains)
    return time.perf_counter() - start


@contextmanager
def slow_server(seconds: float = REPLY_SECONDS) -> Iterator[str]:
    """The base URL of an OpenAI-compatible server, in a process of its own, that says no after so many seconds."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(seconds, there), daemon=True)
    process.start()
    there.close()  # so that the end of a server that does not start is heard
    try:
        yield f"http://127.0.0.1:{here.recv()}/v1"
    finally:
        process.kill()
        process.join()


def _serve(seconds: float, pipe: Connection) -> None:
    asyncio.run(_answer_until_killed(seconds, pipe))


async def _answer_until_killed(seconds: float, pipe: Connection) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "No"}}
    completion = {"id": "x", "object": "chat.completion", "model": "slow", "choices": [choice]}

    async def complete(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(seconds)
        return web.json_response(completion)

    async def models(_: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    app = web.Application()
    app.add_routes([web.post("/v1/chat/completions", complete), web.get("/v1/models", models)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    pipe.send(runner.addresses[0][1])
    await asyncio.Event().wait()
