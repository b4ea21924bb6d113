"""What the command gate takes for a verdict: commands of 1 KB, everyday ones, and texts made to take it long.

    python -m tests.benchmarks.gate [--json]

Times are this thread's own, so that other work on the machine hardly matters; the baseline is ``shlex.split`` of the same
text, which cuts words and judges nothing. It cannot tell how well the gate judges: that is what the tests are for.
"""

from __future__ import annotations

import argparse
import shlex
import time
from collections.abc import Callable

from agents.gate import judge
from tests.benchmarks.measuring import report

KILOBYTE = 1024
GOALS = {f"{name}_ms": ("<=", 1.0) for name in ("build", "heredoc", "listing", "script")} | {"worst_s": ("<=", 3.0)}
TEXTS = {
    "build": "cd /srv/app && git pull --rebase origin main && npm run build -- --mode=production && cp -r dist/* out/ ; ",
    "heredoc": "python3 - <<'E'\n" + "total = compute(1, 'two')\nprint(total)\n" * 28 + "E\n",
    "listing": "grep -rn --include='*.py' 'def main' src/ | sort -u | head -20 > found.txt 2>&1; ",
    "script": (
        "set -e\nexport CI=1 NODE_ENV=dev\ncd /srv/app\ngit fetch --tags origin && git checkout release/4.2\n"
        "python3 -m venv .venv; . .venv/bin/activate\npip install -r requirements.txt 'uvicorn[standard]>=0.30' | tail -n 3\n"
        'for name in web worker beat; do\n  docker compose logs --tail=50 "$name" > "logs/$name.txt" 2>&1 || true\ndone\n'
        "if [ -f package.json ]; then npm ci --no-audit && npm run lint -- --max-warnings=0; fi\n"
        "tar -czf backup-$(date +%F).tgz data/ media/ --exclude='*.tmp'\ncurl -fsS https://status.example.org/api/v1 | "
        "jq -r '.services[] | select(.up == false) | .name' | sort -u\n"
        "find src -name '*.pyc' -newer build/stamp -print0 | xargs -0 ls -l\nrsync -av --partial dist/ backup:/srv/www/\n"
        "psql -h db -c 'select count(*) from users where active' -o count.txt\nsed -i 's/DEBUG=1/DEBUG=0/' .env.production\n"
        "grep -rnE 'TODO|FIXME' src tests --include='*.py' | wc -l\nchmod +x bin/run && ./bin/run --port 8080 --workers 4 &\n"
        "ps aux | awk '{print $2, $11}' | head -n 20\nssh deploy@host 'systemctl --user status app'\necho \"done: $(hostname)\"\n"
    ),
    "nested": "find . -name '*.py' | xargs -I{} sh -c 'echo {} && rm -rf build' ; ",
}
WORST = [
    "$(" * 30_000, "(" * 60_000, "a b;" * 16_000, "rm -rf x;" * 7_000, '"' * 64_000, "`" * 64_000, "cat <<A\n" * 8_000,
    "${a:-" * 10_000, "sh -c '" * 9_000, "a|" * 30_000, "f(){ f|f& };" * 5_000, "a=$a$a$a$a;" * 5_000, ")" * 60_000,
    "for i in 1 2 3 4 5 6 7 8; do " * 20 + "x;" + "done;" * 20,
    "".join(f"f{i}(){{ f{i + 1};f{i + 1}; }};" for i in range(40)) + "f0",
]  # fmt: skip


def milliseconds(do: Callable[[str], object], text: str, rounds: int = 20) -> float:
    """The least of many: what it takes when nothing disturbs it."""
    do(text)
    best = float("inf")
    for _ in range(10):
        began = time.thread_time()
        for _ in range(rounds):
            do(text)
        best = min(best, (time.thread_time() - began) / rounds)
    return best * 1000


def split(text: str) -> object:
    """The baseline."""
    try:
        return shlex.split(text)
    except ValueError:
        return None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print the figures as JSON too")
    options = parser.parse_args()
    figures: dict[str, float] = {}
    for name, text in TEXTS.items():
        whole = text if name in ("heredoc", "script") else (text * KILOBYTE)[:KILOBYTE]
        figures[f"{name}_ms"] = milliseconds(judge, whole)
        figures[f"{name}_shlex_ms"] = milliseconds(split, whole)
        ratio = figures[f"{name}_ms"] / figures[f"{name}_shlex_ms"]
        print(f"{name:8} {len(whole):5,} bytes {figures[f'{name}_ms']:.3f} ms, {ratio:.1f} times shlex.split")  # noqa: T201
    figures["short_ms"] = milliseconds(judge, "rm -rf build")
    figures["worst_s"] = worst()
    report(figures, GOALS, as_json=options.json)


def worst() -> float:
    """The longest verdict about a text that was made to take long, in seconds."""
    took = []
    for text in WORST:
        began = time.thread_time()
        judge(text)
        took.append(time.thread_time() - began)
    return max(took)


if __name__ == "__main__":
    main()
