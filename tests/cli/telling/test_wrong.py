"""What is wrong, with its file and what to do."""

from __future__ import annotations

from molexp.cli.telling.wrong import problem_dict, problem_lines
from molexp.errors import FormatError


def _error(message: str) -> FormatError:
    return FormatError(message, cure="restore\x1b it", path="a/meta.json", place="name")


def test_a_problem_is_two_lines_with_its_path_once() -> None:
    for message in ("a/meta.json is no JSON", "it is no JSON"):
        said, cure = problem_lines([_error(message)])
        assert said in ("a/meta.json is no JSON", "a/meta.json: it is no JSON")
        assert cure == "  → restore\\x1b it"
    assert list(problem_lines([])) == []


def test_a_problem_as_json_has_its_code_and_place() -> None:
    assert problem_dict(_error("x")) == {
        "code": "format",
        "message": "x",
        "cure": "restore\x1b it",
        "path": "a/meta.json",
        "place": "name",
    }
