"""Everything that touches a database, and the only place that knows SQL.

A study lives in Optuna's own tables, written by :mod:`.studies`; what Optuna
has no table for (progress, trials in flight, leases, tuning runs) lives beside
it in the tables of :mod:`.schema`. Writers hold a lease, readers open the file
read-only.
"""
