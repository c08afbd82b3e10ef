"""A web application that does its slow work beside itself: submit, watch, cancel.

    python web_app.py [--port 8000] [--store web.db]

One process: Flask answers in threads, and the scheduler's bodies run in threads of the same process. What was submitted
survives a restart of the application. Needs Flask (`pip install '.[examples]'`).

    curl -d below=3000000 localhost:8000/counts      submits; answers with the place where it can be watched
    curl localhost:8000/counts/1                     how far it is, or what came of it
    curl -X DELETE localhost:8000/counts/1           cancels it

The scheduler belongs to one process. Under a server that forks several workers, run this as one worker with threads
(`gunicorn --workers 1 --threads 16`).
"""

import argparse
from typing import Any

from flask import Flask, Response, abort, jsonify, render_template_string, request, url_for

from millrace import Context, Domain, DuplicatePolicy, PermanentError, Scheduler, TaskNotFound, TaskRecord

MOST = 10**9
SEGMENT = 50_000

numbers = Domain("numbers", max_concurrency=2)


def below_text(below: int) -> str:
    """What people are shown."""
    return f"primes below {below:,}"


@numbers.task(label=below_text, timeout=3600, on_duplicate=DuplicatePolicy.REJECT)
def count_primes(ctx: Context, below: int) -> int:
    """How many primes there are below a number, by a sieve in segments: each is a step of the progress."""
    if below > MOST:
        raise PermanentError(f"expected a number up to {MOST:,}, got {below:,}")
    small = sieve(int(max(below, 0) ** 0.5) + 1)
    count = 0
    for start in ctx.track(range(2, below, SEGMENT)):
        end = min(start + SEGMENT, below)
        marks = bytearray([1]) * (end - start)
        for prime in small:
            first = max(prime * prime, -(-start // prime) * prime)
            if first < end:
                marks[first - start :: prime] = bytes(len(range(first, end, prime)))
        count += sum(marks)
    return count


def sieve(below: int) -> list[int]:
    """The primes below a small number."""
    marks = bytearray([1]) * max(below, 2)
    for n in range(2, int(below**0.5) + 1):
        if marks[n]:
            marks[n * n :: n] = bytes(len(range(n * n, len(marks), n)))
    return [n for n in range(2, below) if marks[n]]


PAGE = """<!doctype html><meta http-equiv="refresh" content="1"><title>Counts</title>
<form method="post" action="{{ url_for('submit') }}">Primes below <input name="below"> <button>Count</button></form>
<table>{% for task in tasks %}<tr><td>{{ task.label }}<td>{{ task.status }}
<td>{% if task.status == "completed" %}{{ task.memo }}{% elif task.error %}{{ task.error }}{% else
%}<progress value="{{ task.progress or 0 }}"></progress>{% endif %}{% endfor %}</table>"""


def make_app(scheduler: Scheduler) -> Flask:
    """The application, over a scheduler that is started."""
    app = Flask(__name__)

    @app.get("/")
    def index() -> str:
        return render_template_string(PAGE, tasks=scheduler.tasks(task=count_primes, limit=50))

    @app.post("/counts")
    def submit() -> tuple[Response, int]:
        below = request.form.get("below", type=int)
        if below is None:
            abort(400, "below: expected a whole number")
        # Durable when this returns. While a number is being counted, the id is that of the task that counts it.
        outcome = scheduler.submit(count_primes, below)
        return jsonify(id=outcome.id, kind=outcome.kind, url=url_for("show", task_id=outcome.id)), 202

    @app.get("/counts/<int:task_id>")
    def show(task_id: int) -> Response:
        return jsonify(as_json(record_of(task_id)))

    @app.delete("/counts/<int:task_id>")
    def cancel(task_id: int) -> tuple[Response, int]:
        record_of(task_id)
        result = scheduler.cancel(task_id)
        return jsonify(accepted=result.accepted, reason=result.reason), 202 if result.accepted else 409

    def record_of(task_id: int) -> TaskRecord:
        try:
            record = scheduler.task(task_id)
        except TaskNotFound as error:
            abort(404, str(error))
        if record.task_name != count_primes.name:
            abort(404, f"task {task_id} counts no primes")
        return record

    return app


def as_json(record: TaskRecord) -> dict[str, Any]:
    """What a page needs to show a task."""
    return {
        "id": record.id,
        "label": record.label,
        "status": record.status,
        "progress": record.progress,
        "result": record.memo,
        "error": record.error,
    }


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="Count primes, beside a web application.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--store", default="web.db")
    given = parser.parse_args()
    with Scheduler(given.store, domains=[numbers]) as scheduler:
        # No reloader: it runs the program twice, and a store has one owner.
        make_app(scheduler).run(port=given.port, threaded=True, use_reloader=False)


if __name__ == "__main__":
    main()
