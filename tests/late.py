"""Every import that is not made, or not carried out, at the top of its file, and why.

(file, what) to the reason; what is `late()` is loaded when something of it is first used.
"""

from __future__ import annotations

LATE_IMPORTS = {
    ("molexp/__init__.py", "importlib"): "the lazy face: `import molexp` loads nothing",
    ("molexp/__init__.py", "import_module()"): "the lazy face: a name is loaded when it is used",
    ("molexp/late.py", "import_module()"): "where a late module is loaded",
    ("molexp/model/record.py", "difflib"): "for the message of one error alone",
    ("molexp/model/asset.py", "pydantic"): "TypeAdapter: only for reading, and slow to load",
    ("molexp/disk/door.py", "ctypes"): "loaded at the first commit point, and by no reader",
    ("molexp/disk/ledger.py", "molexp.model.asset"): "lines are read and appended without records",
    ("molexp/disk/ledger.py", "molexp.model.execution"): "likewise",
    ("molexp/disk/tree.py", "zipfile"): "only for a workspace that is an archive",
}
