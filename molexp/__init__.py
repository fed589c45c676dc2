"""molexp remembers how research results were made.

Importing it costs next to nothing: every public name is loaded when it is first used.
"""

__version__ = "0.1.0.dev0"

# The lazy face: each public name and the module it lives in. `__init__.pyi` says the same to type
# checkers; a test compares the two.
_HOMES = {
    "ArtifactAsset": "molexp.model.asset",
    "Asset": "molexp.model.asset",
    "CheckpointAsset": "molexp.model.asset",
    "DataAsset": "molexp.model.asset",
    "DataAssetLibrary": "molexp.workspace.library",
    "ErrorTraceAsset": "molexp.model.asset",
    "ExecutionState": "molexp.model.state",
    "ExecutionStateAsset": "molexp.model.asset",
    "Experiment": "molexp.workspace.experiment",
    "LogAsset": "molexp.model.asset",
    "OutputAsset": "molexp.model.asset",
    "ParameterSet": "molexp.model.parameters",
    "Profile": "molexp.model.profile",
    "Project": "molexp.workspace.project",
    "Run": "molexp.workspace.run",
    "RunContext": "molexp.recording.context",
    "Workspace": "molexp.workspace.workspace",
    "errors": "molexp",
    "parse_asset": "molexp.model.asset",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'molexp' has no attribute {name!r}")
    from importlib import import_module

    if home == "molexp":
        value: object = import_module(f"molexp.{name}")
    else:
        value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
