"""How near the judge comes to the ideal rate, in flight / latency, beside the paper's one question at a time.

python tests/judge_throughput.py --labels 2000 --delay 0.1 --in-flight 64
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from negrefine_core.judge import Question
from negrefine_core.llm_judge import OpenAIJudge
from negrefine_core.negfilter import judge_chains

SERVER = Path(__file__).resolve().parent / "loopback_server.py"


def rate(url: str, labels: int, in_flight: int) -> tuple[float, float]:
    """(questions a second, the client's CPU milliseconds a question), of one question a label."""
    chains = [[Question(f"label {i}", "proper noun")] for i in range(labels)]
    start, cpu = time.perf_counter(), time.process_time()
    judge_chains(OpenAIJudge("loopback", url, api_key="none", concurrency=in_flight), chains)
    return labels / (time.perf_counter() - start), 1000 * (time.process_time() - cpu) / labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=2000)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds that the server takes for a reply")
    parser.add_argument("--in-flight", type=int, default=64)
    options = parser.parse_args()
    command = [sys.executable, str(SERVER), str(options.delay)]  # a process of its own
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        if not server.stdin or not server.stdout:
            raise RuntimeError("no pipes")
        url = server.stdout.readline().strip()
        for in_flight, labels in ((1, min(options.labels, 50)), (options.in_flight, options.labels)):
            ideal = in_flight / options.delay
            reached, cpu = rate(url, labels, in_flight)
            share = f"{reached / ideal:.0%} of the ideal {ideal:.0f}"
            print(f"{in_flight:>4} in flight: {reached:8.1f} questions/s, {share}; {cpu:.2f} ms of CPU a question")
        server.stdin.close()


if __name__ == "__main__":
    main()
