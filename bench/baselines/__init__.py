"""The same workloads done by others: `bare_apsw`, the rows without a runtime, and `huey_store`, huey on SQLite."""
