"""What promtool tests the alert rules with: for each, when it fires and when it does not. Time goes by the minute."""

from collections.abc import Mapping
from typing import Final

from millrace.metrics.alerts import ALERTS
from millrace.metrics.rules import Alert, Case, Yaml, write

_S: Final = 'scheduler="s"'
_TASK: Final = 'scheduler="s",domain="d",task="d::t"'
_OF_TASK: Final = {"scheduler": "s", "domain": "d", "task": "d::t"}
_OF_S: Final = {"scheduler": "s"}

CASES: Final = (
    Case(
        "MillraceDown",
        "its process ends; a second scheduler goes on",
        {f"millrace_owner{{{_S}}}": "1x10 _x30", 'millrace_owner{scheduler="t"}': "1x40"},
        {"20m": [(_OF_S, "No process runs the scheduler s")]},
        ["9m", "16m"],
    ),
    Case(
        "MillraceDown",
        "only a stand-by is left",
        {f"millrace_owner{{{_S}}}": "1x10 0x30"},
        {"20m": [(_OF_S, "No process runs the scheduler s")]},
        ["9m"],
    ),
    Case(
        "MillraceTwoOwners",
        "two processes say so",
        {f'millrace_owner{{{_S},instance="a"}}': "1x20", f'millrace_owner{{{_S},instance="b"}}': "0x5 1x15"},
        {"8m": [(_OF_S, "2 processes say that they run the scheduler s")]},
        ["5m"],
    ),
    Case(
        "MillraceLoopStuck",
        "the heartbeat stays behind",
        {f"millrace_dispatcher_heartbeat_timestamp_seconds{{{_S}}}": "0+60x5 300x20"},
        {"9m": [(_OF_S, "The dispatcher of s does not answer")]},
        ["5m"],
    ),
    Case(
        "MillraceQueueLatency",
        "a domain waits for longer than five minutes",
        {
            f'millrace_oldest_ready_age_seconds{{{_S},domain="d"}}': "0+60x30",
            f'millrace_oldest_ready_age_seconds{{{_S},domain="e"}}': "250x30",
        },
        {"15m": [(_OF_S | {"domain": "d"}, "A task of d has been ready for 15m 0s and has not started")]},
        ["5m", "9m"],
    ),
    Case(
        "MillraceFailureRatio",
        "one run in ten fails",
        {
            f'millrace_runs_finished_total{{{_TASK},outcome="succeeded"}}': "0+9x30",
            f'millrace_runs_finished_total{{{_TASK},outcome="timed_out"}}': "0+1x30",
        },
        {"20m": [(_OF_TASK, "10% of the runs of d::t fail")]},
        ["2m"],
    ),
    Case(
        "MillraceFailureRatio",
        "all fail, but it is ten runs only",
        {
            f'millrace_runs_finished_total{{{_TASK},outcome="succeeded"}}': "0x30",
            f'millrace_runs_finished_total{{{_TASK},outcome="failed"}}': "0+1x30",
        },
        silent_at=["20m"],
    ),
    Case(
        "MillraceFailureRatio",
        "cancelled and interrupted runs are no failures",
        {
            f'millrace_runs_finished_total{{{_TASK},outcome="cancelled"}}': "0+5x30",
            f'millrace_runs_finished_total{{{_TASK},outcome="interrupted"}}': "0+5x30",
            f'millrace_runs_finished_total{{{_TASK},outcome="failed"}}': "0x30",
        },
        silent_at=["20m"],
    ),
    Case(
        "MillraceDeadLetters",
        "one, after a while without",
        {
            f'millrace_tasks_finished_total{{{_TASK},status="dead_letter"}}': "0x10 1x30",
            f'millrace_tasks_finished_total{{{_TASK},status="failed"}}': "0+1x40",
        },
        {"12m": [(_OF_TASK, "d::t has new dead letters")]},
        ["9m", "30m"],
    ),
    Case(
        "MillraceScheduleStale",
        "every ten minutes, and from the third time on it fails; another goes on",
        {
            f'millrace_schedule_last_success_timestamp_seconds{{{_S},task="d::t"}}': "0x10 600x10 1200x60",
            f'millrace_schedule_next_run_timestamp_seconds{{{_S},task="d::t"}}': "600x10 1200x10 1800x10 2400x10 3000x10 3600x30",
            f'millrace_schedule_last_success_timestamp_seconds{{{_S},task="d::u"}}': "0x10 600x10 1200x10 1800x10 2400x10 3000x30",
            f'millrace_schedule_next_run_timestamp_seconds{{{_S},task="d::u"}}': "600x10 1200x10 1800x10 2400x10 3000x10 3600x30",
        },
        {"45m": [({"scheduler": "s", "task": "d::t"}, "The schedule of d::t has not succeeded for 25m 0s")]},
        ["25m", "35m"],
    ),
    Case(
        "MillraceParked",
        "tasks that the program does not know",
        {
            f'millrace_tasks{{{_S},domain="d",status="parked"}}': "0x5 3x30",
            f'millrace_tasks{{{_S},domain="d",status="pending"}}': "9x35",
        },
        {"20m": [(_OF_S | {"domain": "d"}, "Parked tasks of d: 3")]},
        ["5m", "12m"],
    ),
    Case(
        "MillraceAbandonedThreads",
        "a thread that does not stop",
        {
            f'millrace_workers{{{_S},executor="thread",state="abandoned"}}': "0x5 1x30",
            f'millrace_workers{{{_S},executor="thread",state="busy"}}': "4x35",
        },
        {"20m": [(_OF_S | {"executor": "thread"}, "Threads of s that ignore that they were asked to stop: 1")]},
        ["5m", "12m"],
    ),
    Case(
        "MillraceActorRestarts",
        "five in ten minutes; one an hour is none",
        {
            f'millrace_actor_restarts_total{{{_S},actor="dispatcher"}}': "0x5 5x30",
            'millrace_actor_restarts_total{scheduler="t",actor="dispatcher"}': "0x5 1x30",
        },
        {"8m": [(_OF_S, "Parts of s fail again and again")]},
        ["5m", "30m"],
    ),
    Case(
        "MillraceStoreGrowing",
        "the disk will be full within three days",
        {
            f"millrace_store_free_bytes{{{_S}}}": "1000000000-1000000x120",
            'millrace_store_free_bytes{scheduler="t"}': "1000000000x120",
        },
        {"100m": [(_OF_S, "The disk of s fills up, or its log is not copied into the file")]},
        ["10m"],
    ),
    Case(
        "MillraceStoreGrowing",
        "the log is long",
        {f"millrace_store_wal_bytes{{{_S}}}": "300000000x60", 'millrace_store_wal_bytes{scheduler="t"}': "60000000x60"},
        {"40m": [(_OF_S, "The disk of s fills up, or its log is not copied into the file")]},
        ["10m"],
    ),
    Case(
        "MillraceCrashRecovery",
        "a process whose first value is not 0",
        {
            f'millrace_recovered_total{{{_S},action="requeued"}}': "_x5 2x120",
            'millrace_recovered_total{scheduler="t",action="requeued"}': "0x125",
        },
        {"10m": [(_OF_S, "s has started after a crash and took up what was left")]},
        ["4m", "120m"],
    ),
    Case(
        "MillraceSaturated",
        "full, and the backlog grows; full, and it shrinks",
        {
            f'millrace_running{{{_S},scope="global"}}': "4x60",
            f'millrace_concurrency_limit{{{_S},scope="global"}}': "4x60",
            f'millrace_tasks{{{_S},domain="d",status="pending"}}': "0+10x60",
            'millrace_running{scheduler="t",scope="global"}': "4x60",
            'millrace_concurrency_limit{scheduler="t",scope="global"}': "4x60",
            'millrace_tasks{scheduler="t",domain="d",status="pending"}': "1000-10x60",
        },
        {"40m": [(_OF_S | {"scope": "global"}, "All slots of s are taken and the backlog grows")]},
        ["10m"],
    ),
)


def test_file(rules: str) -> str:
    """The cases as a file for ``promtool test rules``; ``rules`` is the path of the rule file."""
    alerts = {alert.name: alert for alert in ALERTS}
    tests: list[Yaml] = [
        {
            "name": f"{case.alert}: {case.title}",
            "interval": "1m",
            "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
            "alert_rule_test": [
                {
                    "eval_time": time,
                    "alertname": case.alert,
                    "exp_alerts": [_fired(alerts[case.alert], labels, summary) for labels, summary in fired],
                }
                for time, fired in (*case.fires_at.items(), *((time, ()) for time in case.silent_at))
            ],
        }
        for case in CASES
    ]
    return write({"rule_files": [rules], "evaluation_interval": "1m", "tests": tests})


def _fired(alert: Alert, labels: Mapping[str, str], summary: str) -> Yaml:
    return {
        "exp_labels": {**labels, "severity": alert.severity},
        "exp_annotations": {"summary": summary, "description": alert.action},
    }
