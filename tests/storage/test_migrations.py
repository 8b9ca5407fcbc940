"""An older database is brought up to date step by step, and a newer one is refused."""

from __future__ import annotations

import sqlite3

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from optuna.storages import RDBStorage

from harness.record_bases import new_url
from optuna_nb.errors import StorageError
from optuna_nb.storage import migrations, record_database
from optuna_nb.storage.database import Database
from optuna_nb.storage.migrations import RECORD_STEPS, STEPS
from optuna_nb.storage.opening import open_database
from optuna_nb.storage.record_database import read_records, records_database
from optuna_nb.storage.record_tables import RecordBase


def schema_of(path):
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    connection.close()
    return rows


def rows_of(path, table):
    with sqlite3.connect(path) as connection:
        rows = connection.execute(f"SELECT * FROM {table}").fetchall()
    connection.close()
    return rows


def older(path, steps):
    """Make a file that has been through the first steps only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "STEPS", STEPS[:steps])
        open_database(f"sqlite:///{path}").close()


def test_each_new_file_holds_optunas_tables_as_optuna_makes_them(tmp_path):
    plain, first, second = (tmp_path / name for name in ("plain.db", "first.db", "second.db"))
    RDBStorage(f"sqlite:///{plain}").remove_session()
    for path in (first, second):
        open_database(f"sqlite:///{path}").close()
        assert set(schema_of(plain)) < set(schema_of(path))
        for table in ("version_info", "alembic_version"):
            assert rows_of(path, table) == rows_of(plain, table) != []


@pytest.mark.parametrize("steps", range(len(STEPS)))
def test_an_older_file_becomes_what_a_fresh_one_is(tmp_path, steps):
    fresh, old = tmp_path / "fresh.db", tmp_path / "old.db"
    open_database(f"sqlite:///{fresh}").close()
    older(old, steps)
    before = schema_of(old)
    if steps in (1, 2):  # the last step changes servers only
        assert before != schema_of(fresh)
    open_database(f"sqlite:///{old}").close()
    assert schema_of(old) == schema_of(fresh)
    copies = list(tmp_path.glob("old.db.before-*"))
    assert [copy.name for copy in copies] == ([f"old.db.before-{STEPS[steps].__name__}"] if steps else [])
    for copy in copies:
        assert schema_of(copy) == before
        assert copy.stat().st_mode & 0o777 == 0o600


def test_a_later_step_keeps_the_rows_and_is_recorded_with_its_own_commit(tmp_path, monkeypatch):
    path = tmp_path / "s.db"
    open_database(f"sqlite:///{path}").close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO experiments (id, name) VALUES ('1', 'kept')")
    connection.close()

    def add_colour(connection):
        connection.exec_driver_sql("ALTER TABLE experiments ADD COLUMN colour TEXT DEFAULT 'red'")

    def breaks(connection):
        connection.exec_driver_sql("ALTER TABLE experiments ADD COLUMN half TEXT")
        raise KeyError("lost")

    monkeypatch.setattr(migrations, "STEPS", (*STEPS, add_colour, breaks))
    with pytest.raises(KeyError):
        open_database(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name, colour FROM experiments").fetchall() == [("kept", "red")]
        columns = [row[1] for row in connection.execute("PRAGMA table_info(experiments)")]
        applied = [name for (name,) in connection.execute("SELECT name FROM optuna_nb_migrations")]
    connection.close()
    assert "half" not in columns
    assert set(applied) == {*(step.__name__ for step in STEPS), "add_colour"}
    monkeypatch.undo()
    with pytest.raises(StorageError, match=r"made by a newer optuna_nb \(add_colour\): update optuna_nb"):
        open_database(f"sqlite:///{path}")
    with pytest.raises(StorageError, match="newer optuna_nb"):
        read_records(f"sqlite:///{path}")


def test_a_step_that_another_kernel_has_just_taken_is_not_taken_again(tmp_path):
    path = tmp_path / "s.db"
    open_database(f"sqlite:///{path}").close()
    database = Database(path)
    with database.records() as connection:
        migrations.apply(connection, STEPS[-1])
    database.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM optuna_nb_migrations").fetchone() == (len(STEPS),)
    connection.close()


@pytest.mark.postgres
@pytest.mark.parametrize("records_url", ["postgresql"], indirect=True)
def test_an_older_server_becomes_what_a_fresh_one_is(records_url, tmp_path):
    def schema(url):
        database = records_database(url)
        with database.records() as connection:
            columns = connection.exec_driver_sql(
                "SELECT table_name, column_name, udt_name, column_default FROM information_schema.columns"
                " WHERE table_schema = 'public' ORDER BY 1, 2"
            ).fetchall()
            rules = connection.exec_driver_sql(
                "SELECT tablename, policyname FROM pg_policies UNION ALL"
                " SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'public' UNION ALL"
                " SELECT event_object_table, trigger_name FROM information_schema.triggers ORDER BY 1, 2"
            ).fetchall()
        database.close()
        return columns, rules

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(record_database, "RECORD_STEPS", RECORD_STEPS[:1])
        first = schema(records_url)
    with new_url("postgresql", tmp_path) as fresh:
        assert schema(records_url) == schema(fresh) != first


def test_opening_records_twice_changes_nothing(records_url):
    for _ in range(2):
        records_database(records_url).close()
    database = read_records(records_url)
    with database.records() as connection:
        names = connection.exec_driver_sql("SELECT name FROM optuna_nb_migrations").scalars().all()
    database.close()
    assert len(names) == len(set(names)) >= 3


def test_a_server_with_a_newer_schema_is_refused(records_url):
    database = records_database(records_url)
    with database.records() as connection:
        connection.exec_driver_sql(
            "INSERT INTO optuna_nb_migrations (name, applied_at) VALUES ('add_later', CURRENT_TIMESTAMP)"
        )
    database.close()
    with pytest.raises(StorageError, match="newer optuna_nb"):
        records_database(records_url)


def test_the_tables_are_what_the_models_say(records):
    with records.records() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_object": lambda item, name, kind, *_: (
                    name in RecordBase.metadata.tables or kind != "table"
                )
            },
        )
        found = [
            change for change in compare_metadata(context, RecordBase.metadata) if not is_of_owner(change)
        ]
    assert found == []


def is_of_owner(change):
    """Whether a difference is the column that only PostgreSQL has, or its index."""
    item = change[-1] if isinstance(change, tuple) else None
    return getattr(item, "name", "") in ("owner", "ix_experiments_owner_name")


@pytest.mark.slow  # needs a driver, which the README's test command does not install
def test_a_server_that_does_not_answer_is_named_without_the_password():
    pytest.importorskip("psycopg")
    with pytest.raises(StorageError) as caught:
        records_database("postgresql+psycopg://ann:secret@127.0.0.1:1/records")
    assert "127.0.0.1/records cannot be used" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_records_that_are_not_there_are_not_made_by_asking(tmp_path):
    with pytest.raises(StorageError, match="there is no database"):
        read_records(f"sqlite:///{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'plain.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")
    engine.dispose()
    with pytest.raises(StorageError, match="run a %%tune cell on it first"):
        read_records(f"sqlite:///{tmp_path / 'plain.db'}")


def test_a_new_file_takes_nothing_over_from_the_log_of_a_deleted_one(tmp_path):
    path = tmp_path / "s.db"
    first = open_database(f"sqlite:///{path}")
    with first.transaction() as connection:
        connection.execute("INSERT INTO studies (study_name) VALUES ('deleted')")
    path.unlink()  # and not s.db-wal, as people do
    second = open_database(f"sqlite:///{path}")
    assert second.connection.execute("SELECT count(*) FROM studies").fetchone() == (0,)
    assert second.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    second.close()
    first.close()
