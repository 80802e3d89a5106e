"""The files and batches of an OpenAI-compatible server on loopback: its Batch API."""

import email
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 2  # batches that are listed at once

Complete = Callable[[dict[str, Any]], tuple[int, str]]  # a request's (status, body)


@dataclass
class LoopbackBatches:
    """`status` is what a look at a batch finds; where it has ended, its first `share` of requests are answered.

    With `loses_answers`, a batch is made and the connection cut before anybody is told. `lines` changes the outcome.
    """

    complete: Complete
    status: str = "completed"
    share: float = 1.0
    loses_answers: bool = False
    lines: Callable[[list[str]], list[str]] = list
    asked: list[str] = field(default_factory=list)  # the questions of all batches
    made: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def answer(self, method: str, target: str, head: str, body: bytes) -> tuple[int, str] | None:
        """(status, body) of what is asked of the files and batches; None where the connection is to be cut."""
        url = urlsplit(target)
        match method, *url.path.split("/")[3:]:
            case "POST", "files":
                return 200, json.dumps(self._take(head, body))
            case "POST", "batches":
                batch = self._make(json.loads(body))
                return None if self.loses_answers else (200, json.dumps(batch))
            case "GET", "batches":
                return 200, json.dumps(self._page(parse_qs(url.query).get("after", [""])[0]))
            case "GET", "batches", name:
                found = [batch for batch in self.made if batch["id"] == name]
                return (200, json.dumps(self._look(found[0]))) if found else (404, "{}")
            case "GET", "files", name, "content":
                return (200, self.files[name].decode()) if name in self.files else (404, "{}")
        return 404, "{}"

    def _take(self, head: str, body: bytes) -> dict[str, Any]:
        kind = next(line for line in head.split("\r\n") if line.lower().startswith("content-type"))
        form = email.message_from_bytes(f"{kind}\r\n\r\n".encode() + body)
        parts = {str(part.get_param("name", header="content-disposition")): part for part in form.walk()}
        content = parts["file"].get_payload(decode=True)
        assert isinstance(content, bytes)
        assert parts["purpose"].get_payload() == "batch"
        return {"id": self._keep(content), "object": "file", "bytes": len(content), "created_at": 0,
                "filename": "x", "purpose": "batch", "status": "processed"}  # fmt: skip

    def _keep(self, content: bytes) -> str:
        name = f"file-{next(self._numbers)}"
        self.files[name] = content
        return name

    def _make(self, wanted: dict[str, Any]) -> dict[str, Any]:
        requests = self._requests(wanted["input_file_id"])
        self.asked += [request["body"]["messages"][-1]["content"] for request in requests]
        batch = {"id": f"batch-{next(self._numbers)}", "object": "batch", "created_at": 0, "status": "validating"}
        self.made.append({**wanted, **batch})
        return self.made[-1]

    def _page(self, after: str) -> dict[str, Any]:
        names = [batch["id"] for batch in self.made[::-1]]
        start = names.index(after) + 1 if after else 0
        page = self.made[::-1][start : start + PAGE]
        return {"object": "list", "data": page, "has_more": start + PAGE < len(names)}

    def _look(self, batch: dict[str, Any]) -> dict[str, Any]:
        if self.status in ("completed", "expired", "cancelled") and "output_file_id" not in batch:
            self._end(batch)
        if self.status == "failed":
            batch["errors"] = {"object": "list", "data": [{"code": "token_limit", "message": "too many tokens"}]}
        total = len(self._requests(batch["input_file_id"]))
        batch["request_counts"] = {"total": total, "completed": total // 2, "failed": 0}
        return batch | {"status": self.status}

    def _end(self, batch: dict[str, Any]) -> None:
        """Answers in another order than that of the requests, and errors apart, as OpenAI gives them."""
        requests = self._requests(batch["input_file_id"])
        answers: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for number, request in enumerate(requests):
            status, body = self.complete(request["body"])
            line: dict[str, Any] = {"id": "x", "custom_id": request["custom_id"], "response": None, "error": None}
            if number >= self.share * len(requests):
                errors.append(line | {"error": {"code": "batch_expired", "message": "not answered in time"}})
            else:
                line["response"] = {"status_code": status, "request_id": "x", "body": _json(body)}
                (answers if status == 200 else errors).append(line)
        for name, lines in (("output_file_id", answers), ("error_file_id", errors)):
            text = self.lines([json.dumps(line) for line in lines[::-1]])
            batch[name] = self._keep("\n".join(text).encode()) if text else None

    def _requests(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.files[name].splitlines()]


def _json(body: str) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body
