"""What the command that trains the embedded models says of wrong arguments, before it trains for an hour."""

import sys

import pytest

from unlearnbench.embedded.models import build


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: out"),
        (["{out}", "tiny"], "no embedded model 'tiny': choose from tiny-qwen2.5-vl, tiny-mllama"),
        (["{out}", "--images", "0"], "argument --images: invalid"),
        (["{out}", "--every", "0"], "argument --every: invalid"),
        (["{out}", "--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["{out}", "tiny-mllama", "--last"], "there is no tiny-mllama: build it without --last"),
        (["{file}", "tiny-mllama"], "cannot be written (Not a directory): give another folder"),
    ],
)
def test_wrong_arguments(arguments, words, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    places = {"out": tmp_path / "out", "file": tmp_path / "file"}
    monkeypatch.setattr(build, "train", lambda *_, **__: pytest.fail("it trains"))
    monkeypatch.setattr(sys, "argv", ["build", *(each.format(**places) for each in arguments)])
    with pytest.raises(SystemExit) as left:
        build.main()
    assert left.value.code == 2
    assert words in capsys.readouterr().err
