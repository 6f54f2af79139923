"""How a stranger could spoil a sound leaderboard, and what is said of it."""

import base64
import hashlib
import json
import lzma

from unlearnbench.leaderboard.check import check


def lines_of(board):
    return board.submissions[0].read_bytes().splitlines(keepends=True)


def write(board, lines, *, sealed=True):
    """The file with these lines; a stranger can put its digest right too."""
    header = json.loads(lines[0])
    if sealed:
        header["sha256"] = hashlib.sha256(b"".join(lines[1:])).hexdigest()
    board.submissions[0].write_bytes(json.dumps(header).encode() + b"\n" + b"".join(lines[1:]))


def spoil(board, change, *, kind="row", which=lambda fields: True, sealed=True):
    """Change the first line of this kind that ``which`` holds of; its fields are changed in place."""
    lines = lines_of(board)
    for place, line in enumerate(lines[1:], start=1):
        fields = json.loads(line)
        if kind in fields and which(fields):
            change(fields)
            lines[place] = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
            break
    else:
        raise AssertionError("nothing to spoil")
    write(board, lines, sealed=sealed)


def repacked(board, form, pack):
    """Pack the samples of all rows otherwise, as ``form``; a name in the file, and the bytes of samples -> bytes."""
    lines = lines_of(board)
    for place, line in enumerate(lines):
        if line.startswith(b'{"samples"'):
            fields = json.loads(line)
            fields[form] = base64.b64encode(pack(lzma.decompress(base64.b64decode(fields.pop("xz"))))).decode()
            lines[place] = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
    write(board, lines)


def refused(board, *words):
    problems = [str(problem) for problem in check(board)]
    assert any(all(word in problem for word in words) for problem in problems), problems
    return problems


def half(fields):
    return fields["row"]["method"]["name"] == "half" and fields["row"]["task"]["name"] == "fiubench"


def edited_samples(board, change, *, honest=False):
    """Change the records of the method ``half``; ``honest`` puts the row's digest of them right too."""
    lines = lines_of(board)
    its = next(
        json.loads(line)["row"]["row_id"] for line in lines[1:] if b'"row"' in line[:7] and half(json.loads(line))
    )
    place = next(i for i, line in enumerate(lines) if line.startswith(f'{{"samples":"{its}"'.encode()))
    fields = json.loads(lines[place])
    records = [json.loads(line) for line in lzma.decompress(base64.b64decode(fields["xz"])).splitlines()]
    change(records)
    data = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    fields["xz"] = base64.b64encode(lzma.compress(data)).decode()
    lines[place] = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
    if honest:
        for i, line in enumerate(lines[1:], start=1):
            row = json.loads(line)
            if "row" in row and row["row"]["row_id"] == fields["samples"]:
                row["row"]["samples"]["sha256"] = hashlib.sha256(data).hexdigest()
                lines[i] = json.dumps(row, separators=(",", ":")).encode() + b"\n"
    write(board, lines)
