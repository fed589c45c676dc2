"""Secrets: none of them is left, however it is spelt, and what is none is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from molexp.capture.redact import REDACTED, is_secret_name, redacted, redacted_text

CANARY = "cAnArY0123456789"
NAMES = [
    "token",
    "api_key",
    "api-key",
    "apiKey",
    "APIKEY",
    "x-api-key",
    "password",
    "passwd",
    "pwd",
    "pass",
    "secret",
    "client_secret",
    "AWS_SECRET_ACCESS_KEY",
    "aws.secret_access_key",
    "auth",
    "Authorization",
    "hf_token",
    "githubToken",
    "dbpassword",
    "private-key",
    "wandb_api_key",
    "credentials",
    "db.password",
    "cookie",
    "passphrase",
    "SECRET_KEY",
    "bearer",
    "jwt",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "shape",
    [
        ["--{}", "{}"],
        ["-{}", "{}"],
        ["--{}={}"],
        ["{}={}"],
        ["+{}={}"],
        ["-D{}={}"],
        ["{}: {}"],
        ["{}={} and more words"],
        ['{{"lr": 1, "{}": "{}"}}'],
        ["db={{{}: {}, lr: 1}}"],
        ["https://host/path?x=1&{}={}&y=2"],
        ["--env", "{}={}"],
        ["{}='{} with words'"],
        ['x={}="{} with words"'],
    ],
)
def test_what_a_name_calls_a_secret_is_left_out(name: str, shape: list[str]) -> None:
    given = [part.format(name, CANARY) for part in shape[:1]]
    given += [
        part.format(CANARY) if part == "{}" else part.format(name, CANARY) for part in shape[1:]
    ]
    assert CANARY in " ".join(given)
    result = redacted(["train.py", *given, "--lr", "0.1"])
    assert CANARY not in " ".join(result)
    assert REDACTED in " ".join(result)
    assert result[0] == "train.py"
    assert result[-2:] == ["--lr", "0.1"]
    assert len(result) == len(given) + 3


@pytest.mark.parametrize(
    "text",
    [
        f"https://user:{CANARY}@host/repository.git",
        f"https://{CANARY}@github.com/a/b",
        f"--remote=postgres://u:{CANARY}@host:5432/db?x=1",
        f"amqp://u:a/b@{CANARY}@host",
        f"see ftp://u:{CANARY}@one and ftp://v:{CANARY}@two",
        f"Bearer {CANARY}",
        f"ghp_{CANARY}",
        f"sk-proj-{CANARY}{CANARY}",
        f"AKIA{CANARY.upper()}",
        f"--x=eyJhbGciOi.eyJzdWIi.{CANARY}",
        f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}\n",
    ],
)
def test_what_looks_like_a_secret_is_left_out(text: str) -> None:
    (result,) = redacted([text])
    assert CANARY.lower() not in result.lower()
    assert REDACTED in result


def test_the_rest_of_an_address_stays() -> None:
    assert redacted_text("https://me:pw@host:80/x") == f"https://{REDACTED}@host:80/x"


@pytest.mark.parametrize(
    "arguments",
    [
        ["train.py", "--lr", "0.1", "--epochs=3", "seed=1"],
        ["--max-tokens", "512", "--num_tokens=10", "max_new_tokens=1e3"],
        ["--tokenizer", "gpt2", "--author=me", "--keyboard", "x", "--monkey=1", "passes=3"],
        ["--token-file", "secret.txt", "--key-path=/keys/id", "password_env=PW"],
        ["https://host:8080/path/a@b", "git@github.com:a/b", "ssh://git@host/a", "s3://bucket/x"],
        ["sk-learn", "--dataset=sk-learn-tutorial-with-a-long-name", "asiapacific"],
        ["--flag", "--", "-1", "", "=", ":", "a=", "x: y"],
        ["--token", "--verbose", "-v"],
        ["--password="],
    ],
)
def test_what_is_no_secret_stays(arguments: list[str]) -> None:
    assert redacted(arguments) == arguments


def test_a_secret_that_begins_with_a_dash_is_left_out() -> None:
    assert redacted(["--token", f"-{CANARY}"]) == ["--token", REDACTED]


@pytest.mark.parametrize("value", ["123456", "1e5"])
def test_a_number_is_a_secret_unless_it_counts_tokens(value: str) -> None:
    assert redacted(["--auth-token", value, f"pwd={value}"])[1:] == [REDACTED, f"pwd={REDACTED}"]
    assert redacted(["--max-tokens", value])[1:] == [value]


@given(st.lists(st.text(max_size=30), max_size=5))
def test_any_arguments_stay_as_many(arguments: list[str]) -> None:
    assert len(redacted(arguments)) == len(arguments)
    assert not any(is_secret_name(each) for each in ("", "0", "é"))


@pytest.mark.parametrize(
    "text",
    [
        "a:@" * 30_000,
        "://" + "a:@" * 30_000,
        "k=" * 50_000,
        "key" * 50_000,
        "eyJ." * 30_000,
        "-----BEGIN" * 10_000,
    ],
)
def test_a_hostile_argument_does_not_keep_its_reader_for_ever(text: str) -> None:
    assert redacted([text, "end"])[-1] == "end"
