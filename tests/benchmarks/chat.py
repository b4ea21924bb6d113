"""How long a person waits: a warm chat, the first one in a new sandbox, and the first page.

    python -m tests.benchmarks.chat [--messages 30] [--json]

The real server, the real runtime in a real sandbox, the rehearsal model, one message at a time, followed over the
event stream. The baseline is the runtime's own share of each run, from the moment it took the message to its end;
what is left is ours. It cannot tell what a real model adds, which is nearly everything in life.
"""

from __future__ import annotations

import argparse
import time
from datetime import datetime

from tests.benchmarks.measuring import fresh_home, percentile, report
from tests.journeys.house import PASSWORD, House, manage
from tests.sandboxes.hermes.installed import installed_runtime, runtime_home

GOALS = {
    "warm_chat_p50_s": ("<=", 0.6),
    "sandbox_and_runtime_s": ("<=", 4.15),
}


def chat(house: House, text: str) -> tuple[float, float, list[tuple[str, float]]]:
    """(seconds to the end, the runtime's share of them, when each event came after the message)."""
    began = time.perf_counter()
    run_id = house.send(text)["id"]
    seen, at = [], {}
    for event in house.stream(run_id):
        seen.append((event["kind"], time.perf_counter() - began))
        at[event["kind"]] = datetime.fromisoformat(event["at"])
    assert seen[-1][0] == "run.completed", seen[-1]
    return seen[-1][1], (at["run.completed"] - at["run.started"]).total_seconds(), seen


def first_pages(house: House) -> dict[str, float]:
    """From the start of the process to an answer, and the time of a warm page of a signed-in person."""
    began = time.perf_counter()
    house.start()
    figures = {"serve_answers_s": time.perf_counter() - began}
    login = house.http.get("/accounts/login/")
    assert login.status_code == 200
    form = {"csrfmiddlewaretoken": house.http.cookies["logos_csrf"], "login": "ada", "password": PASSWORD}
    token = house.http.headers.pop("Authorization")
    assert house.http.post("/accounts/login/", data=form).status_code == 302
    times = []
    for _ in range(30):
        began = time.perf_counter()
        assert house.http.get("/").status_code == 200
        times.append((time.perf_counter() - began) * 1000)
    house.http.cookies.clear()
    house.http.headers["Authorization"] = token
    return figures | {"home_page_first_ms": times[0], "home_page_p50_ms": percentile(times, 0.5)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=30)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    installed_runtime()
    with fresh_home() as home:
        (home / "runtime").symlink_to(runtime_home() / "runtime")
        manage(home, "collectstatic", "--noinput", "--verbosity", "0")
        house = House(home)
        try:
            house.seed()
            figures = first_pages(house)
            whole_s, _, seen = chat(house, "hello")
            figures |= {"cold_chat_s": whole_s, "sandbox_and_runtime_s": dict(seen)["run.started"]}
            for text, name in (("hello", "warm_chat"), ("run: true", "warm_tool_chat")):
                runs = [chat(house, text) for _ in range(options.messages)]
                whole, runtime = [run[0] for run in runs], [run[1] for run in runs]
                figures[f"{name}_p50_s"] = percentile(whole, 0.5)
                figures[f"{name}_p95_s"] = percentile(whole, 0.95)
                figures[f"{name}_runtime_p50_s"] = percentile(runtime, 0.5)
                figures[f"{name}_ratio_to_runtime"] = percentile(whole, 0.5) / percentile(runtime, 0.5)
        finally:
            house.close()
    for name, value in figures.items():
        print(f"{name:32} {value:8.3f}")  # noqa: T201
    report(figures, GOALS, as_json=options.json)


if __name__ == "__main__":
    main()
