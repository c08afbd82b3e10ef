"""The alert rules that come with millrace: what `millrace alerts` prints, for ``rule_files`` of a Prometheus.

Each says what is wrong and what to do. The thresholds are a start: change them to what the application promises. All are by
scheduler, so that one rule file serves any number of them.
"""

from typing import Final

from millrace.metrics.rules import Alert, Yaml, write

_BAD_RUNS: Final = 'millrace_runs_finished_total{outcome=~"failed|timed_out|crashed"}'

ALERTS: Final = (
    Alert(
        "MillraceDown",
        # A scheduler that was there an hour ago; absent() alone would know neither its name nor a second one.
        "(max by (scheduler) (max_over_time(millrace_owner[1h])) == 1) "
        "unless (max by (scheduler) (millrace_owner) == 1)",
        "2m",
        "page",
        "No process runs the scheduler {{ $labels.scheduler }}",
        "Nothing of its queue runs. Look at the process and at its last lines of log, then start it again: what was "
        "acknowledged is in the store.",
    ),
    Alert(
        "MillraceTwoOwners",
        "sum by (scheduler) (millrace_owner) > 1",
        "1m",
        "warning",
        "{{ $value }} processes say that they run the scheduler {{ $labels.scheduler }}",
        "Two on one store are not possible: either two applications gave their schedulers the same name, or one process is "
        "scraped twice. Give each its own with Scheduler(name=...).",
    ),
    Alert(
        "MillraceLoopStuck",
        "time() - millrace_dispatcher_heartbeat_timestamp_seconds > 60",
        "1m",
        "page",
        "The dispatcher of {{ $labels.scheduler }} does not answer",
        "The process is up and starts nothing any more. Take a stack dump of it (py-spy dump) for a report, then restart it.",
    ),
    Alert(
        "MillraceQueueLatency",
        # Where the pauses hold all that waits nothing is ready, and the age is 0.
        "millrace_oldest_ready_age_seconds > 300",
        "5m",
        "page",
        "A task of {{ $labels.domain }} has been ready for {{ $value | humanizeDuration }} and has not started",
        "millrace_dispatch_blocked_seconds_total says what it waits for: raise that limit, or find what holds its slots.",
    ),
    Alert(
        "MillraceFailureRatio",
        f"sum by (scheduler, domain, task) (increase({_BAD_RUNS}[10m])) "
        "/ sum by (scheduler, domain, task) (increase(millrace_runs_finished_total[10m])) > 0.05 "
        "and sum by (scheduler, domain, task) (increase(millrace_runs_finished_total[10m])) > 20",
        "5m",
        "warning",
        "{{ $value | humanizePercentage }} of the runs of {{ $labels.task }} fail",
        "`millrace ls status:dead_letter` and `millrace show ID` have the errors.",
    ),
    Alert(
        "MillraceDeadLetters",
        'sum by (scheduler, domain, task) (increase(millrace_tasks_finished_total{status="dead_letter"}[15m])) > 0',
        "",
        "warning",
        "{{ $labels.task }} has new dead letters",
        "Their retries are used up. Find out why with `millrace show ID`, then `millrace retry` them or let them go.",
    ),
    Alert(
        "MillraceScheduleStale",
        # The period is the shortest time of the last week from a success to the next run: after each success it is that, and
        # it only grows while runs fail. A minute more, for schedules that run every second.
        "time() - millrace_schedule_last_success_timestamp_seconds > 60 + 2 * min_over_time("
        "(millrace_schedule_next_run_timestamp_seconds - millrace_schedule_last_success_timestamp_seconds)[7d:1m])",
        "",
        "warning",
        "The schedule of {{ $labels.task }} has not succeeded for {{ $value | humanizeDuration }}",
        "`millrace schedules list` says whether it is paused; its last runs say why they failed.",
    ),
    Alert(
        "MillraceParked",
        'sum by (scheduler, domain) (millrace_tasks{status="parked"}) > 0',
        "10m",
        "warning",
        "Parked tasks of {{ $labels.domain }}: {{ $value }}",
        "The program does not know these tasks, or cannot read their payloads: deploy one that does, or cancel them.",
    ),
    Alert(
        "MillraceAbandonedThreads",
        'sum by (scheduler, executor) (millrace_workers{state="abandoned"}) > 0',
        "10m",
        "warning",
        "Threads of {{ $labels.scheduler }} that ignore that they were asked to stop: {{ $value }}",
        "Their bodies neither check for a cancel nor have time-outs of their own on what they wait for. A restart frees "
        "the threads.",
    ),
    Alert(
        "MillraceActorRestarts",
        "sum by (scheduler) (increase(millrace_actor_restarts_total[10m])) > 3",
        "",
        "page",
        "Parts of {{ $labels.scheduler }} fail again and again",
        "The log has the errors; please report them. If it goes on, the scheduler stops itself.",
    ),
    Alert(
        "MillraceStoreGrowing",
        "predict_linear(millrace_store_free_bytes[6h], 3 * 86400) < 0 or millrace_store_wal_bytes > 268435456",
        "30m",
        "warning",
        "The disk of {{ $labels.scheduler }} fills up, or its log is not copied into the file",
        "Where the log is long, something reads the store for hours: end it. Else keep less history (retention=), or make room.",
    ),
    Alert(
        "MillraceCrashRecovery",
        # With the first value of a process that began in this hour: increase() sees no counter that is born with one.
        "sum by (scheduler) (increase(millrace_recovered_total[1h])) > 0 "
        "or sum by (scheduler) (millrace_recovered_total unless millrace_recovered_total offset 1h) > 0",
        "",
        "warning",
        "{{ $labels.scheduler }} has started after a crash and took up what was left",
        "Nothing acknowledged is lost; tasks that ran have run again. The process's last lines of log say how it ended.",
    ),
    Alert(
        "MillraceSaturated",
        'millrace_running{scope="global"} / millrace_concurrency_limit{scope="global"} > 0.95 '
        "and on (scheduler) sum by (scheduler) (deriv(millrace_tasks[15m])) > 0",
        "15m",
        "warning",
        "All slots of {{ $labels.scheduler }} are taken and the backlog grows",
        "Raise max_concurrency where the machine has room, or submit less.",
    ),
)


def rule_file() -> str:
    """The rules as a file for Prometheus."""
    rules: list[Yaml] = [alert.rule() for alert in ALERTS]
    return write({"groups": [{"name": "millrace", "rules": rules}]})
