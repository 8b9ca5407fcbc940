# ruff: noqa: S608, ISC004 - statements of fixed text; no value of a user comes near them
"""What the records promise beyond CHECKs, as triggers: the database itself refuses.

A run goes from running to completed or failed and nowhere else, a tuning run
belongs to a completed model run, and the columns and rows that are derived for
the sake of an index follow what they are derived from, whoever writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import sqlalchemy

ENDED = "a run that has ended keeps its status"
NOT_COMPLETED = "a tuning run needs a completed model run"


def _number(key: str) -> str:
    """Say the finite number that stands under a key of the results, or NULL, on SQLite."""
    return (
        f"CASE WHEN json_type(NEW.results, '$.{key}') IN ('integer', 'real')"
        f" THEN CAST(json_extract(NEW.results, '$.{key}') AS REAL) END"
    )


_SQLITE = (
    *(
        f"CREATE TRIGGER {table}_end_once BEFORE UPDATE OF status ON {table}"
        f" WHEN OLD.status <> 'running' AND NEW.status IS NOT OLD.status"
        f" BEGIN SELECT RAISE(ABORT, '{ENDED}'); END"
        for table in ("model_runs", "tuning_runs")
    ),
    *(
        f"CREATE TRIGGER tuning_runs_model_run_{name} BEFORE {event} ON tuning_runs"
        " WHEN (SELECT status FROM model_runs WHERE id = NEW.model_run_id) IS NOT 'completed'"
        f" BEGIN SELECT RAISE(ABORT, '{NOT_COMPLETED}'); END"
        for name, event in (("insert", "INSERT"), ("update", "UPDATE OF model_run_id"))
    ),
    *(
        f"CREATE TRIGGER tuning_runs_derive_{name} AFTER {event} ON tuning_runs"
        " BEGIN UPDATE tuning_runs SET model_type ="
        " (SELECT model_type FROM model_runs WHERE id = NEW.model_run_id),"
        " direction = json_extract(NEW.config, '$.directions[0]'),"
        " scoring_metric = json_extract(NEW.results, '$.scoring_metric'),"
        f" tuning_time = {_number('tuning_time')}, best_score = {_number('best_score')},"
        " rank_score = CASE json_extract(NEW.config, '$.directions[0]') WHEN 'maximize'"
        f" THEN -({_number('best_score')}) ELSE {_number('best_score')} END"
        " WHERE id = NEW.id;"
        " UPDATE tuning_runs SET score_group = CASE WHEN rank_score IS NOT NULL THEN"
        " model_type || '|' || coalesce(scoring_metric, '') || '|' || coalesce(direction, 'minimize') END"
        " WHERE id = NEW.id; END"
        for name, event in (("insert", "INSERT"), ("update", "UPDATE OF model_run_id, results, config"))
    ),
    "CREATE TRIGGER model_runs_model_type AFTER UPDATE OF model_type ON model_runs"
    " BEGIN UPDATE tuning_runs SET model_run_id = NEW.id WHERE model_run_id = NEW.id; END",
    *(
        f"CREATE TRIGGER tuning_runs_tags_{name} AFTER {event} ON tuning_runs"
        " BEGIN DELETE FROM tuning_run_tags WHERE tuning_run_id = NEW.id;"
        " INSERT OR IGNORE INTO tuning_run_tags (tuning_run_id, tag, created_at)"
        " SELECT NEW.id, value, NEW.created_at FROM json_each(coalesce(NEW.tags, '[]'))"
        " WHERE type = 'text'; END"
        for name, event in (("insert", "INSERT"), ("update", "UPDATE OF tags, created_at"))
    ),
)

_POSTGRESQL = (
    f"""
    CREATE FUNCTION optuna_nb_end_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{ENDED}';
    END $$
    """,
    *(
        f"CREATE TRIGGER {table}_end_once BEFORE UPDATE OF status ON {table} FOR EACH ROW"
        " WHEN (OLD.status <> 'running' AND NEW.status <> OLD.status)"
        " EXECUTE FUNCTION optuna_nb_end_once()"
        for table in ("model_runs", "tuning_runs")
    ),
    # No lock is needed: a completed model run stays completed.
    f"""
    CREATE FUNCTION optuna_nb_tuning_run() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE found record;
    BEGIN
        SELECT status, model_type INTO found FROM model_runs WHERE id = NEW.model_run_id;
        IF found.status IS DISTINCT FROM 'completed' THEN
            RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = '{NOT_COMPLETED}';
        END IF;
        NEW.model_type := found.model_type;
        NEW.direction := NEW.config #>> '{{directions,0}}';
        NEW.scoring_metric := NEW.results ->> 'scoring_metric';
        NEW.tuning_time := CASE jsonb_typeof(NEW.results -> 'tuning_time')
            WHEN 'number' THEN (NEW.results ->> 'tuning_time')::double precision END;
        NEW.best_score := CASE jsonb_typeof(NEW.results -> 'best_score')
            WHEN 'number' THEN (NEW.results ->> 'best_score')::double precision END;
        NEW.rank_score := CASE NEW.direction WHEN 'maximize' THEN -NEW.best_score ELSE NEW.best_score END;
        NEW.score_group := CASE WHEN NEW.rank_score IS NOT NULL THEN NEW.model_type || '|' ||
            coalesce(NEW.scoring_metric, '') || '|' || coalesce(NEW.direction, 'minimize') END;
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER tuning_runs_derive BEFORE INSERT OR UPDATE OF model_run_id, results, config"
    " ON tuning_runs FOR EACH ROW EXECUTE FUNCTION optuna_nb_tuning_run()",
    """
    CREATE FUNCTION optuna_nb_model_type() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        UPDATE tuning_runs SET model_run_id = NEW.id WHERE model_run_id = NEW.id;
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER model_runs_model_type AFTER UPDATE OF model_type ON model_runs"
    " FOR EACH ROW EXECUTE FUNCTION optuna_nb_model_type()",
    """
    CREATE FUNCTION optuna_nb_tags() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        DELETE FROM tuning_run_tags WHERE tuning_run_id = NEW.id;
        INSERT INTO tuning_run_tags (tuning_run_id, tag, created_at)
            SELECT NEW.id, tag #>> '{}', NEW.created_at
            FROM jsonb_array_elements(CASE jsonb_typeof(NEW.tags) WHEN 'array' THEN NEW.tags END) AS tag
            WHERE jsonb_typeof(tag) = 'string'
            ON CONFLICT DO NOTHING;
        RETURN NULL;
    END $$
    """,
    "CREATE TRIGGER tuning_runs_tags AFTER INSERT OR UPDATE OF tags, created_at ON tuning_runs"
    " FOR EACH ROW EXECUTE FUNCTION optuna_nb_tags()",
)

# Who owns a row is who wrote it. A reader may see all rows and change none; a role is the
# server's, not the database's, so it may be there already, or need a right that we lack.
READER, WRITER = "optuna_nb_reader", "optuna_nb_writer"
_OWNED = (
    *("experiments", "model_runs", "tuning_runs", "tuning_run_tags"),
    *("run_events", "metric_history", "run_status"),
)
_STUDY_TABLES = (
    *("studies", "study_directions", "study_user_attributes", "study_system_attributes"),
    *("trials", "trial_params", "trial_values", "trial_intermediate_values", "trial_heartbeats"),
    *("trial_user_attributes", "trial_system_attributes", "version_info", "alembic_version"),
    *("study_versions", "study_status", "trial_commits", "trial_logs", "live_trials", "trial_deaths"),
    "requests",
)
_GRANT_SEQUENCES = """
        FOR one IN SELECT CAST(CAST(owned.objid AS regclass) AS text) FROM pg_depend AS owned
            JOIN pg_class AS sequence ON sequence.oid = owned.objid AND sequence.relkind = 'S'
            JOIN pg_class AS source ON source.oid = owned.refobjid
            WHERE owned.deptype IN ('a', 'i') AND source.relname IN ({tables})
            AND source.relnamespace = CAST(current_schema() AS regnamespace)
        LOOP
            EXECUTE 'GRANT USAGE, SELECT, UPDATE ON SEQUENCE ' || one || ' TO {role}';
        END LOOP"""
_ROLES = f"""
DO $$ DECLARE wanted text; BEGIN
    FOREACH wanted IN ARRAY ARRAY['{READER}', '{WRITER}'] LOOP
        BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN
            RAISE NOTICE 'role % was not made: %', wanted, SQLERRM;
        END;
    END LOOP;
END $$
"""
_FOR_ROLE = """
DO $$ DECLARE one text; BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        {then};
    END IF;
END $$
"""


def create_rules(connection: sqlalchemy.Connection) -> None:
    """Create the triggers, in the caller's transaction."""
    _run(connection, _SQLITE if connection.dialect.name == "sqlite" else _POSTGRESQL)


def keep_owners_apart(connection: sqlalchemy.Connection) -> None:
    """Let a user see only the rows that they wrote, on PostgreSQL; an SQLite file is private as a file."""
    if connection.dialect.name == "sqlite":
        return
    _run(connection, [_ROLES, *_grants("optuna_nb_migrations", "SELECT")])
    for table in _OWNED:
        share = f"CREATE POLICY all_rows_to_readers ON {table} FOR SELECT TO {READER} USING (true)"
        _run(
            connection,
            [
                f"ALTER TABLE {table} ADD COLUMN owner name NOT NULL DEFAULT current_user",
                f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
                f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
                f"CREATE POLICY own_rows ON {table} USING (owner = current_user)",
                _FOR_ROLE.format(role=READER, then=share),
                *_grants(table, "SELECT, INSERT, UPDATE, DELETE"),
            ],
        )
    _run(connection, ["CREATE UNIQUE INDEX ix_experiments_owner_name ON experiments (owner, name)"])


def share_studies(connection: sqlalchemy.Connection) -> None:
    """Let readers see all studies of a server, and writers write them: the lease keeps them apart."""
    if connection.dialect.name == "sqlite":
        return
    for role, rights in ((READER, "SELECT"), (WRITER, "SELECT, INSERT, UPDATE, DELETE")):
        for table in _STUDY_TABLES:
            _run(connection, [_FOR_ROLE.format(role=role, then=f"GRANT {rights} ON {table} TO {role}")])
    tables = ", ".join(f"'{table}'" for table in _STUDY_TABLES)
    _run(
        connection, [_FOR_ROLE.format(role=WRITER, then=_GRANT_SEQUENCES.format(tables=tables, role=WRITER))]
    )


def _grants(table: str, rights: str) -> list[str]:
    granted = {READER: "SELECT", WRITER: rights}
    return [
        _FOR_ROLE.format(role=role, then=f"GRANT {right} ON {table} TO {role}")
        for role, right in granted.items()
    ]


def _run(connection: sqlalchemy.Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        # Without parameters a percent sign is one.
        connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
