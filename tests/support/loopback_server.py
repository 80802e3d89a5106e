"""An OpenAI-compatible server on loopback that can answer, delay, refuse, fail, talk garbage, hang and die.

In a test it runs in a thread of its own; `python -m tests.support.loopback_server DELAY LOG` runs it alone, where LOG
is the file that it writes each question into when it is asked.
"""

import asyncio
import itertools
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from tests.support.loopback_batches import LoopbackBatches


@dataclass(frozen=True)
class Action:
    """What the server does with one question.

    `die` cuts the connection, `hang` never answers, `drip` sends the answer byte by byte with a pause of so many
    seconds, `cut` says that so many bytes more follow than do, and cuts the connection. `likely` are the first token's
    probabilities, for who asks for them.
    """

    text: str = "No"
    status: int = 200
    delay: float = 0.0
    body: str | None = None  # sent as it is, instead of a completion
    die: bool = False
    hang: bool = False
    drip: float = 0.0
    cut: int = 0
    likely: dict[str, float] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


PLAIN = Action()
_number = itertools.count(1)


def says_no(prompt: str) -> Action:
    return Action("No")


class LoopbackServer:
    """`with LoopbackServer(behave) as server:`; `behave(prompt)` decides, `asked` and `answered` keep the log.

    A request with one of the fields that it `refuses` is answered with that field's status, and counts as not asked.
    """

    def __init__(
        self,
        behave: Callable[[str], Action] = says_no,
        port: int = 0,
        refuses: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.behave, self.port, self.refuses = behave, port, refuses
        self.name = f"{os.getpid()}-{next(_number)}"  # a port is given out again: what one server said is not another's
        self.asked: list[tuple[float, str]] = []  # (time, prompt) of each question that came in
        self.answered: list[tuple[float, str]] = []  # of each completion that was sent
        self.requests: list[dict[str, Any]] = []  # the bodies
        self.headers: list[str] = []
        self.in_flight = self.most_in_flight = 0
        self.batches = LoopbackBatches(self._complete)
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{self.name}/v1"

    def __enter__(self) -> "LoopbackServer":
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port and cut every connection."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(10)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._until_stopped())
        finally:
            self._loop.close()

    async def _until_stopped(self) -> None:
        self._stopping = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, backlog=512)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stopping.wait()
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._connections.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.transport.abort()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its reply; False when the connection is to be cut."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(
            (int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-l")), 0
        )
        body = await reader.readexactly(length)
        self.headers.append(head)
        method, target = head.split(" ")[:2]
        if "/v1/files" in target or "/v1/batches" in target:
            answer = self.batches.answer(method, target, head, body)
            if answer:
                await self._send(writer, *answer)
            return answer is not None
        if method != "POST":
            await self._send(writer, 200, json.dumps({"object": "list", "data": []}))
            return True
        request = json.loads(body)
        prompt = request["messages"][-1]["content"]
        self.requests.append(request)
        refused = [status for name, status in self.refuses.items() if name in request]
        if refused:
            await self._send(writer, refused[0], _completion(Action(status=refused[0])))
            return True
        self.asked.append((time.time(), prompt))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            return await self._act(writer, prompt, self.behave(prompt), "logprobs" in request)
        finally:
            self.in_flight -= 1

    def _complete(self, request: dict[str, Any]) -> tuple[int, str]:
        """What a request of a batch is answered with."""
        action = self.behave(request["messages"][-1]["content"])
        return action.status, action.body or _completion(action, "logprobs" in request)

    async def _act(self, writer: asyncio.StreamWriter, prompt: str, action: Action, says_how_sure: bool) -> bool:
        if action.die:
            return False
        await asyncio.sleep(3600 if action.hang else action.delay)
        await self._send(writer, action.status, action.body or _completion(action, says_how_sure), action)
        if action.status == 200 and not (writer.is_closing() or action.cut):
            self.answered.append((time.time(), prompt))
        return not action.cut

    async def _send(self, writer: asyncio.StreamWriter, status: int, body: str, action: Action = PLAIN) -> None:
        kind = "application/json" if body.startswith("{") else "text/html"
        content = body.encode()
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", f"content-type: {kind}"]
        lines += [f"content-length: {len(content) + action.cut}"]
        lines += [f"{name}: {value}" for name, value in action.headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        if action.drip:
            writer.write(head)
            for i in range(len(content)):
                await asyncio.sleep(action.drip)
                writer.write(content[i : i + 1])
                await writer.drain()
        else:
            writer.write(head + content)
        await writer.drain()


def _completion(action: Action, says_how_sure: bool = False) -> str:
    if action.status != 200:
        return json.dumps({"error": {"message": f"the test server says {action.status}", "type": "test"}})
    message = {"role": "assistant", "content": action.text}
    likely = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in action.likely.items()]
    first = {"token": action.text[:3], "logprob": -0.1, "bytes": None, "top_logprobs": likely}
    logprobs = {"content": [first]} if says_how_sure and likely else None
    return json.dumps(
        {
            "id": "x", "object": "chat.completion", "created": 0, "model": "loopback-1",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": logprobs}],
            "usage": {"prompt_tokens": 40, "completion_tokens": 1, "total_tokens": 41},
        }
    )  # fmt: skip


if __name__ == "__main__":
    seconds = float(sys.argv[1])
    with open(sys.argv[2], "w", encoding="utf-8", buffering=1) as log:

        def notes(prompt: str) -> Action:
            print(prompt, file=log)
            return Action("No", delay=seconds)

        with LoopbackServer(notes) as alone:
            print(alone.url, flush=True)
            sys.stdin.read()  # until the starter closes it
