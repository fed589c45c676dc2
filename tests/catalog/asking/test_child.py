"""The child of a sandbox reads the catalog, and neither writes nor reads anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

import molexp as me
from molexp.catalog.asking.child import answered
from molexp.catalog.asking.sql import Sandbox
from molexp.catalog.view import View
from molexp.disk import layout
from molexp.errors import MolexpError, QueryError
from tests.recording.lab import hash_of, make_run
from tests.users import NOBODY, User

SECRET = "nobody may read this"


def _hostile(outside: Path) -> list[str]:
    """What must neither change nor read anything but the catalog."""
    secret = outside / "secret.txt"
    writes = outside / "written"
    return [
        "INSERT INTO runs SELECT * FROM runs",
        "INSERT INTO over.params VALUES (1, 'a', 1, '', 'number')",
        "DELETE FROM over.runs",
        "DELETE FROM over.runs RETURNING *",
        "UPDATE over.runs SET status = 'succeeded'",
        "WITH d AS (DELETE FROM over.runs RETURNING *) SELECT * FROM d",
        "WITH d AS (INSERT INTO over.hidden VALUES (0) RETURNING *) SELECT * FROM d",
        "WITH d AS (UPDATE over.runs SET name = '' RETURNING *) SELECT * FROM d",
        "CREATE TABLE t AS SELECT 1",
        "CREATE TEMP TABLE t AS SELECT 1",
        "CREATE OR REPLACE VIEW runs AS SELECT 1",
        "CREATE MACRO m() AS 1",
        "CREATE SECRET s (TYPE S3)",
        "CREATE SCHEMA s",
        "DROP VIEW runs",
        "DROP TABLE over.runs",
        "ALTER TABLE over.runs ADD COLUMN x INTEGER",
        "TRUNCATE over.runs",
        f"COPY runs TO '{writes}'",
        f"COPY (SELECT 1) TO '{writes}' (FORMAT parquet)",
        f"COPY over.runs FROM '{secret}'",
        f"EXPORT DATABASE '{writes}'",
        f"IMPORT DATABASE '{outside}'",
        f"ATTACH '{writes}.duckdb' AS other",
        f"ATTACH '{secret}' AS other (READ_ONLY)",
        "ATTACH ':memory:' AS other",
        "DETACH memory",
        "USE over",
        "INSTALL httpfs",
        "LOAD httpfs",
        f"LOAD '{secret}'",
        "UPDATE EXTENSIONS",
        "SET threads = 64",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "RESET lock_configuration",
        "SET VARIABLE x = 1",
        "PRAGMA threads = 64",
        "PRAGMA enable_profiling",
        "CALL enable_logging()",
        "CALL pragma_version()",
        f"FROM enable_logging(storage := 'file', storage_path := '{writes}')",
        "CHECKPOINT",
        "VACUUM",
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "PREPARE p AS DELETE FROM over.runs",
        "EXECUTE p",
        "EXPLAIN ANALYZE DELETE FROM over.runs",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP VIEW runs",
        f"SELECT 1; COPY runs TO '{writes}'",
        "ROLLBACK; DELETE FROM over.runs",
        "FROM query('DELETE FROM over.runs')",
        f"FROM read_csv('{secret}')",
        f"FROM read_csv('{secret}', auto_detect = false, columns = {{'x': 'VARCHAR'}})",
        f"FROM read_text('{secret}')",
        f"FROM read_blob('{secret}')",
        f"FROM read_json('{secret}')",
        f"FROM read_parquet('{secret}')",
        f"FROM '{secret}'",
        f"FROM sniff_csv('{secret}')",
        f"FROM parquet_metadata('{secret}')",
        f"FROM query('FROM read_text(''{secret}'')')",
        f"SELECT (SELECT content FROM read_text('{secret}'))",
        f"FROM read_text('{outside}/../{outside.name}/secret.txt')",
        f"FROM read_text('file://{secret}')",
        "FROM read_csv('/etc/passwd')",
        "FROM read_text('/proc/self/environ')",
        "FROM read_blob('/dev/fd/0')",
        "FROM read_blob(['/dev/fd/3', '/dev/fd/4', '/dev/fd/5', '/dev/fd/6', '/dev/fd/7'])",
        "FROM glob('*')",
        f"FROM glob('{outside}/*')",
        "FROM duckdb_extensions()",
        "FROM 'https://example.com/x.csv'",
        "FROM read_csv('s3://bucket/x.csv')",
        "SELECT getenv('MOLEXP_SECRET')",
        "SELECT set_config('threads', 4)",
        "FROM secret_of_python",
        "FROM request",
        "FROM arrow_scan(1, 2, 3)",
        "FROM python_map_function(1)",
        "FROM seq_scan()",
        "SELECT nextval('s')",
    ]


def _without_cache(root: Path) -> str:
    return hash_of(root / "projects")


@pytest.mark.users
def test_nothing_is_written_or_read_but_the_catalog(user: User) -> None:
    outside = user.directory / "outside"

    def attack() -> list[str]:
        outside.mkdir()
        (outside / "secret.txt").write_text(SECRET)
        root = make_run(outside / "lab", durability="process").workspace.root
        first = View(root, layout.ACCESS["private"])
        first.rebuild()
        first.close()
        before = _without_cache(root), sorted(path.name for path in outside.iterdir())
        wrong = []
        statements = _hostile(outside)
        if user.uid == NOBODY:  # whom nothing else is refused than what root is refused
            statements = [each for each in statements if str(outside) in each or "over" in each]
        for statement in statements:
            view = View(root, layout.ACCESS["private"])
            request = {"sql": statement, "parameters": None, "most": 1000}
            try:
                wrong += [f"{statement}: {answered(view, request)!r}"]
            except MolexpError as error:
                if not isinstance(error, QueryError) or SECRET in str(error) or not error.cure:
                    wrong.append(f"{statement}: {error!r}")
            view.close()
        assert before == (_without_cache(root), sorted(path.name for path in outside.iterdir()))
        return wrong

    wrong = user.run(attack)
    assert not wrong, "\n".join(wrong)


def test_the_hostile_are_refused_in_the_child_as_well_and_leave_nothing_behind(
    recorded: me.Workspace, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", SECRET)
    (tmp_path / "secret.txt").write_text(SECRET)
    before = (
        sandbox.sql("FROM runs ORDER BY address").rows,
        hash_of(Path(recorded.root, "projects")),
    )
    for statement in _hostile(tmp_path)[5::11]:
        with pytest.raises(QueryError) as raised:
            sandbox.sql(statement)
        assert SECRET not in str(raised.value)
    after = sandbox.sql("FROM runs ORDER BY address").rows, hash_of(Path(recorded.root, "projects"))
    assert repr(after) == repr(before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.txt"]
