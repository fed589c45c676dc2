"""Every error that molexp raises, in one tree: a class for each thing that a catcher can do.

    MolexpError
    ├── NotFoundError (LookupError)        nothing is there under that name: look at ``near``
    ├── AlreadyExistsError (ValueError)    something else is there: choose another name
    ├── InvalidInputError (ValueError)     the caller gave what cannot be: correct the call
    │   ├── InvalidNameError               a name that the rules forbid: ``rule`` says which
    │   ├── QueryError                     a query that cannot be asked
    │   └── GraphError                     tasks that do not form a graph
    ├── FormatError                        a file is not what docs/format says: ``path``, ``place``
    │   └── FormatVersionError             it is of another version: run the command it names
    ├── IntegrityError                     bytes are not those that were recorded
    ├── StorageError (OSError)             the disk said no: cure that, then call again
    ├── ConflictError                      someone else holds it: wait, or ask them
    │   └── TransitionError                a state cannot become that other state
    ├── CatalogError                       the mirror cannot answer: the message ends with the cure
    ├── ExecutionError                     a run did not get where it should
    │   ├── TaskFailedError                its own code raised
    │   ├── ExecutorError                  what should have carried it did not
    │   └── CancelledError                 someone asked it to stop
    └── MissingExtraError (ImportError)    an optional part is not installed

Each carries a stable ``code`` for programs, ``details`` for display, and ``cure``: what to do next.
"""

from __future__ import annotations

import errno

# What the disk can answer that is nobody's mistake in the call, and what helps against it.
_STORAGE_CURES = {
    errno.ENOSPC: "free some space on that file system and call again",
    errno.EDQUOT: "free some of your quota and call again",
    errno.EFBIG: "the file system or `ulimit -f` allows no file of that size",
    errno.EIO: "the device reports damage: copy the workspace elsewhere and check that disk",
    errno.EROFS: "the file system is mounted read-only: remount it, or use a copy elsewhere",
    errno.EACCES: "ask the owner of that path for permission, or work in a copy",
    errno.EPERM: "ask the owner of that path for permission, or work in a copy",
    errno.EMFILE: "close some files or raise `ulimit -n`, then call again",
    errno.ENFILE: "the machine has too many open files: close some programs and call again",
    errno.ENOMEM: "the machine is out of memory: free some and call again",
    errno.EMLINK: "too many entries in one directory for this file system: move some elsewhere",
    errno.ESTALE: "the server forgot this directory: open the workspace again",
    errno.ETIMEDOUT: "the file server does not answer: call again when it does",
}


class MolexpError(Exception):
    """The root of the tree; raised only through its subclasses.

    ``message`` says what happened and to what; ``cure`` says what to do next. Both are shown.
    """

    code = "error"

    def __init__(self, message: str, *, cure: str, **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        self.details = details

    def __str__(self) -> str:
        return f"{self.message}; {self.cure}"

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), self.message, self.cure, self.details)


def _restore(
    kind: type[MolexpError], message: str, cure: str, details: dict[str, object]
) -> MolexpError:
    return kind(message, cure=cure, **details)


class NotFoundError(MolexpError, LookupError):
    """Nothing is there under that name. Details: kind, key, near."""

    code = "not_found"


class AlreadyExistsError(MolexpError, ValueError):
    """Something else is there already. Details: kind, key, path."""

    code = "already_exists"


class InvalidInputError(MolexpError, ValueError):
    """The caller gave something that cannot be. Details: argument, value."""

    code = "invalid_input"


class InvalidNameError(InvalidInputError):
    """A name that the rules forbid. Details: name, rule."""

    code = "invalid_name"


class QueryError(InvalidInputError):
    """A query that cannot be asked. Details: field, near."""

    code = "invalid_query"


class GraphError(InvalidInputError):
    """Tasks that do not form a graph. Details: task."""

    code = "invalid_graph"


class FormatError(MolexpError):
    """A file on disk is not what docs/format says. Details: path, place."""

    code = "format"


class FormatVersionError(FormatError):
    """A file of a format that this release does not read. Details: path, found, supported."""

    code = "format_version"


class IntegrityError(MolexpError):
    """Bytes are not those that were recorded. Details: path, tier, expected, actual."""

    code = "integrity"


class StorageError(MolexpError, OSError):
    """The file system refused. Details: operation, path, errno; also ``errno`` and ``filename``."""

    code = "storage"

    def __init__(self, message: str, *, cure: str, **details: object) -> None:
        super().__init__(message, cure=cure, **details)
        number, path = details.get("errno"), details.get("path")
        self.errno = number if isinstance(number, int) else None
        self.filename = path

    @classmethod
    def is_about(cls, error: OSError) -> bool:
        """Whether the disk is the trouble, and not the call."""
        return error.errno in _STORAGE_CURES

    @classmethod
    def of(cls, error: OSError, operation: str, path: str) -> StorageError:
        """The typed form of what the operating system said about ``path``."""
        number = error.errno or errno.EIO
        cure = _STORAGE_CURES.get(number, "look at that path, then call again")
        message = f"{path}: cannot {operation}: {error.strerror or error}"
        return cls(message, cure=cure, operation=operation, path=path, errno=number)


class ConflictError(MolexpError):
    """Someone else holds it. Details: holder, since."""

    code = "conflict"


class TransitionError(ConflictError):
    """A state cannot become that other state. Details: current, wanted, allowed."""

    code = "transition"


class CatalogError(MolexpError):
    """The catalog cannot answer; what it mirrors is safe. The cure is a command."""

    code = "catalog"


class ExecutionError(MolexpError):
    """A run did not get where it should. Details: run, execution."""

    code = "execution"


class TaskFailedError(ExecutionError):
    """The run's own code raised. Details: task."""

    code = "task_failed"


class ExecutorError(ExecutionError):
    """What should have carried the run did not. Details: executor."""

    code = "executor"


class CancelledError(ExecutionError):
    """Someone asked the run to stop. Details: by, reason."""

    code = "cancelled"


class MissingExtraError(MolexpError, ImportError):
    """An optional part is not installed. Details: extra."""

    code = "missing_extra"
