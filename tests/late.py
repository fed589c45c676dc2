"""Every import that is not made, or not carried out, at the top of its file, and why.

(file, what) to the reason; what is `late()` is loaded when something of it is first used.
"""

from __future__ import annotations

# A handle is made before anybody knows what is wanted of it.
_OF_HANDLES = {
    "scope": [
        "molexp.lifecycle.scopes",
        "molexp.lifecycle.site",
        "molexp.model.scope",
        "molexp.workspace.assets",
        "molexp.workspace.library",
    ],
    "workspace": [
        "molexp.catalog.catalog",
        "molexp.catalog.fold",
        "molexp.lifecycle.reaping",
        "molexp.lifecycle.removal",
        "molexp.lifecycle.scopes",
        "molexp.lifecycle.site",
        "molexp.lifecycle.survey",
        "molexp.model.scope",
        "molexp.recording.session",
        "molexp.workspace.assets",
        "molexp.workspace.experiment",
        "molexp.workspace.listing",
        "molexp.workspace.project",
        "molexp.workspace.run",
        "molexp.workspace.trash",
    ],
}

LATE_IMPORTS = {
    ("molexp/__init__.py", "importlib"): "the lazy face: `import molexp` loads nothing",
    ("molexp/__init__.py", "import_module()"): "the lazy face: a name is loaded when it is used",
    ("molexp/cli/__init__.py", "import_module()"): "only the command that is called is loaded",
    ("molexp/rows/abroad.py", "import_module()"): "where the reader of a registered table is found",
    ("molexp/late.py", "import_module()"): "where a late module is loaded",
    ("molexp/model/record.py", "difflib"): "for the message of one error alone",
    ("molexp/model/asset.py", "pydantic"): "TypeAdapter: only for reading, and slow to load",
    ("molexp/disk/door.py", "ctypes"): "loaded at the first commit point, and by no reader",
    ("molexp/catalog/engine.py", "ctypes"): "only in a forked child, and by no reader",
    ("molexp/disk/ledger.py", "molexp.model.digest"): "ciphers, which only who writes needs",
    ("molexp/disk/owner.py", "hashlib"): "likewise",
    ("molexp/disk/ledger.py", "molexp.model.asset"): "lines are read and appended without records",
    ("molexp/disk/ledger.py", "molexp.model.execution"): "likewise",
    ("molexp/disk/tree.py", "zipfile"): "only for a workspace that is an archive",
    ("molexp/catalog/catalog.py", "molexp.catalog.asking.sql"): "it starts processes: for SQL",
    ("molexp/catalog/engine.py", "_duckdb"): "the one door to the engine, for whoever asks",
    ("molexp/catalog/asking/compile.py", "difflib"): "for the messages of errors alone",
    ("molexp/catalog/asking/query.py", "base64"): "for pages alone",
    ("molexp/catalog/load.py", "hashlib"): "only an identity is looked for by its hash",
    ("molexp/catalog/load.py", "tempfile"): "for very many rows; it loads what makes luck",
    ("molexp/catalog/load.py", "msgspec.json"): "for very many rows",
    ("molexp/catalog/view.py", "molexp.catalog.fold"): "a fresh question folds nothing",
    ("molexp/catalog/view.py", "molexp.rows.gather"): "nor does it read a file",
    ("molexp/catalog/view.py", "molexp.rows.glance"): "likewise",
    ("molexp/rows/edits.py", "molexp.rows.judge"): "the records: for what is odd alone",
    ("molexp/rows/edits.py", "molexp.rows.shapes"): "msgspec, which only who reads files needs",
    ("molexp/rows/gather.py", "molexp.rows.live"): "the records of lines: for what is at work",
    ("molexp/rows/gather.py", "molexp.rows.plain"): "msgspec: a fresh question reads no file",
    ("molexp/rows/readers.py", "molexp.rows.plain"): "likewise",
    ("molexp/rows/readers.py", "molexp.rows.shapes"): "likewise",
    ("molexp/rows/plain.py", "molexp.rows.judge"): "the records: for what is odd alone",
    ("molexp/catalog/asking/query.py", "molexp.catalog.asking.results"): "the records: likewise",
    **{
        (f"molexp/workspace/{file}.py", module): "who has a handle may want nothing but a query"
        for file, modules in _OF_HANDLES.items()
        for module in modules
    },
}
