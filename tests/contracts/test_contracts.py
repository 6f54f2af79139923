import pytest
from pydantic import ValidationError

from unlearnbench import Method, Params, Task
from unlearnbench.errors import PluginError, UsageError


class Forgetful(Method):
    name = "forgetful"

    class Params(Params):
        steps: int = 3

    def unlearn(self, model, sets, run):
        return None


class Questions(Task):
    name = "questions"

    def load(self, source, forget, seed=0):
        return None

    def evaluate(self, model, data, run):
        raise NotImplementedError


def test_parameters_are_checked_and_fixed():
    params = Forgetful(Forgetful.Params()).params
    assert params.steps == 3
    with pytest.raises(ValidationError, match="steps"):
        Forgetful.Params(steps="many")
    with pytest.raises(ValidationError, match="stops"):
        Forgetful.Params(stops=4)
    with pytest.raises(ValidationError, match="frozen"):
        params.steps = 4


def test_without_further_ado_a_method_has_no_parameters_and_starts_from_the_base():
    assert (Method.start, Method.version, Method.reference) == ("base", "1", "")
    assert Method.Params.model_fields == {}
    assert Task.Options.model_fields == {}


def test_a_method_must_unlearn_and_a_task_evaluate():
    with pytest.raises(TypeError, match="unlearn"):
        type("Empty", (Method,), {})(Params())
    with pytest.raises(TypeError, match="evaluate"):
        type("Empty", (Task,), {})(Params())


def test_what_a_method_changed_is_read_back_as_weights_or_an_adapter_unless_it_says_otherwise():
    from unlearnbench.engine.handed import edit_class_of
    from unlearnbench.models.contract.edits import Trained

    assert Forgetful.edit_class() is None
    assert edit_class_of(Forgetful) is Trained


def test_a_task_without_a_forget_set_says_so():
    assert not Questions.provides_sets
    with pytest.raises(UsageError, match="task 'questions' has no forget set"):
        Questions(Questions.Options()).sets(None)


def test_a_task_whose_load_takes_no_seed_is_told_that_it_must():
    with pytest.raises(PluginError, match=r"task Old: load takes the seed .*load\(self, source, forget, seed=0\)"):
        type("Old", (Questions,), {"load": lambda self, source, forget: None})
