import hashlib
import json
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from unlearnbench.engine import keys
from unlearnbench.engine.keys import canonical, digest, weights_digest
from unlearnbench.errors import ModelError, StoreError
from unlearnbench.training.params import FinetuneParams

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


class Colour(StrEnum):
    RED = "red"


class Adapter(BaseModel):
    rank: int = 8


class WideAdapter(Adapter):
    alpha: float = 0.5


class Params(BaseModel):
    adapter: Adapter = Adapter()
    workers: int = Field(default=4, exclude=True)


@dataclass(frozen=True)
class Point:
    x: int
    colour: Colour


@given(values)
def test_json_values_keep_their_meaning(value):
    assert json.loads(canonical(value)) == value
    assert digest(value) == hashlib.sha256(canonical(value).encode()).hexdigest()


@given(st.dictionaries(st.text(), scalars, min_size=2))
def test_the_order_of_a_dict_does_not_matter(value):
    assert canonical(dict(reversed(value.items()))) == canonical(value)


@given(st.lists(st.integers() | st.text(), unique=True))
def test_the_order_of_a_set_does_not_matter(value):
    assert canonical(set(value)) == canonical(frozenset(reversed(value)))


@given(values, values)
def test_different_values_have_different_keys(one, other):
    assert (canonical(one) == canonical(other)) == (
        json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    )


def test_models_dataclasses_and_enums_are_their_fields():
    assert (
        canonical([Params(), Point(1, Colour.RED), (1, 2)]) == '[{"adapter":{"rank":8}},{"colour":"red","x":1},[1,2]]'
    )


def test_the_fields_of_a_subclass_count_and_excluded_ones_do_not():
    assert digest(Params(adapter=WideAdapter(alpha=1))) != digest(Params(adapter=WideAdapter(alpha=2)))
    assert digest(Params(workers=1)) == digest(Params(workers=8))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"data": [{"root": Path("/data")}]}, r"key\.data\[0\]\.root: the path /data .* digest of its content"),
        ({"lr": float("inf")}, r"key\.lr: inf cannot be part of a key"),
        ({1: "a"}, r"key: 1 cannot name a part of a key"),
        (b"x", "key: a bytes cannot be part of a key"),
        (Adapter, "cannot be part of a key"),
    ],
)
def test_what_has_no_canonical_form_is_refused(value, message):
    with pytest.raises(StoreError, match=message):
        canonical(value)


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model-1.safetensors").write_bytes(b"one")
    (folder / "model-2.safetensors").write_bytes(b"two")
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    return folder


@pytest.fixture
def settled(monkeypatch):
    """Files need not be old before their digests are remembered."""
    monkeypatch.setattr(keys, "_SETTLED", -60.0)


def test_weights_count_by_name_and_content_alone(model, tmp_path):
    cache = tmp_path / "cache"
    before = weights_digest(model, cache)
    (model / "config.json").write_text("{}")
    (model / "model-1.safetensors").touch()
    assert weights_digest(model.rename(tmp_path / "elsewhere"), cache) == before
    model = tmp_path / "elsewhere"
    (model / "model-1.safetensors").write_bytes(b"One")
    changed = weights_digest(model, cache)
    (model / "model-1.safetensors").rename(model / "model-3.safetensors")
    assert len({before, changed, weights_digest(model, cache)}) == 3


def test_a_change_in_place_is_noticed_even_if_the_time_is_set_back(model, tmp_path, settled):
    cache = tmp_path / "cache"
    path = model / "model-1.safetensors"
    before = weights_digest(model, cache)
    stamp = path.stat()
    path.write_bytes(b"eno")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert weights_digest(model, cache) != before


def test_weights_are_read_once(model, tmp_path, settled, monkeypatch):
    first = weights_digest(model, tmp_path / "cache")
    monkeypatch.setattr(keys, "sha256_of", None)
    assert weights_digest(model, tmp_path / "cache") == first


def test_a_file_written_just_now_is_not_remembered(model, tmp_path):
    weights_digest(model, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_torn_memory_is_not_believed(model, tmp_path, settled):
    cache = tmp_path / "cache"
    first = weights_digest(model, cache)
    for memo in cache.iterdir():
        memo.write_text("")
    assert weights_digest(model, cache) == first


def test_a_folder_without_weights_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"holds no \*\.safetensors"):
        weights_digest(tmp_path, tmp_path)


def test_a_field_that_hides_its_default_is_part_of_a_key_only_where_it_is_set() -> None:
    """So a parameter that comes later leaves every key as it was."""
    assert "weights" not in canonical(FinetuneParams())
    assert '"weights":["vision"]' in canonical(FinetuneParams(weights=("vision",)))
