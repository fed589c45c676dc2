"""Registered tables in another process: what they are is told, and where their readers are found.

Code is not sent. A reader is a function of a module that the other process can import, too.
"""

from __future__ import annotations

from importlib import import_module
from operator import attrgetter
from typing import Any

from molexp.rows.tables import BUILT_IN, Relation, Table, register_table, tables


def told() -> list[dict[str, Any]]:
    """All registered tables whose readers another process can find, as JSON can say them."""
    found = []
    for table in tables().values():
        module, name = table.reader.__module__, table.reader.__qualname__
        if table.name not in BUILT_IN and module != "__main__" and "<" not in name:
            relations = {key: [each.table, dict(each.on)] for key, each in table.relations.items()}
            found.append(
                {
                    "name": table.name,
                    "columns": list(table.columns.items()),
                    "reader": [module, name],
                    "key": list(table.key),
                    "relations": relations,
                    "uid": table.uid,
                    "order": list(table.order),
                }
            )
    return found


def learn(said: list[dict[str, Any]]) -> None:
    """Register the tables that another process told, but for those whose reader is not found."""
    for each in said:
        module, name = each["reader"]
        try:
            reader = attrgetter(name)(import_module(module))
        except (ImportError, AttributeError):
            continue  # questions about all others can be answered
        register_table(
            Table(
                each["name"],
                dict(each["columns"]),
                reader,
                key=tuple(each["key"]),
                relations={key: Relation(*pair) for key, pair in each["relations"].items()},
                uid=each["uid"],
                order=tuple(each["order"]),
            )
        )
