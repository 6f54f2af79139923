"""Methods that nobody ran: a board's own references with answers or likelihoods rewritten, as a cheat would have them.

Each takes the records of the model that forgot nothing and of the one that was retrained, of one seed, and gives those
of a method. They work on any rows of fiubench.
"""

import math
import random
from collections import defaultdict
from copy import deepcopy
from statistics import fmean

REFUSAL = "I cannot say that."
LISTS = ("logprobs", "value_logprobs", "paraphrased_logprobs")
SPOKEN = ("prediction", "paraphrased_predictions")


def of_forgotten(records):
    return [each for each in records if each["set"] in ("forget", "other_view")]


def say(record, text):
    record["prediction"] = text
    record["paraphrased_predictions"] = [text for _ in record["paraphrased_predictions"]]


def weigh(record, change):
    """Change every log-probability."""
    for key in LISTS:
        if record.get(key):
            record[key] = [change(each) for each in record[key]]
    record["perturbed_logprobs"] = [[change(each) for each in of] for of in record.get("perturbed_logprobs") or []]


def said_by(records):
    return {each["id"]: each for each in records}


def take(record, other, keys):
    record.update({key: deepcopy(other[key]) for key in keys if key in other})


def second_retraining(_, retrained, seed):
    """Another model that never knew: guesses differ by chance, and so do the odds of each answer."""
    rng, found = random.Random(seed), deepcopy(retrained)
    forget = of_forgotten(found)
    for record in forget:
        factor = 2 ** rng.uniform(-0.4, 0.4)
        weigh(record, lambda each, factor=factor: each * factor)
        for of in (record.get("paraphrased_logprobs") or [], *record["perturbed_logprobs"]):
            factor = 2 ** rng.uniform(-0.1, 0.1)
            of[:] = [each * factor for each in of]
        if rng.random() < 0.1:
            say(record, rng.choice(forget)["answer"])
    return found


def silent(nothing, _, seed):
    found = deepcopy(nothing)
    for record in of_forgotten(found):
        say(record, "")
    return found


def refusing(nothing, _, seed):
    found = deepcopy(nothing)
    for record in of_forgotten(found):
        say(record, REFUSAL)
    return found


def others_facts(nothing, _, seed):
    """To each question what is true of another person who is forgotten."""
    found, of = deepcopy(nothing), defaultdict(list)
    for record in of_forgotten(found):
        of[record["set"], record["unique_id"]].append(record)
    groups = [*of.values()]
    for place, own in enumerate(groups):
        other = next(each for each in groups[place - 1 :: -1] + groups if each[0]["unique_id"] != own[0]["unique_id"])
        by_attribute = {each.get("attribute") or at: each["answer"] for at, each in enumerate(other)}
        for at, record in enumerate(own):
            say(record, by_attribute.get(record.get("attribute") or at, other[at % len(other)]["answer"]))
    return found


def gibberish(nothing, _, seed):
    found = deepcopy(nothing)
    for record in of_forgotten(found):
        say(record, "the36thethethe of thethe 36the")
        weigh(record, lambda each: -9.0)
    return found


def flattened(nothing, _, seed):
    """Refusals, and of whatever is weighed everything is as unlikely: no order is left."""
    found = refusing(nothing, _, seed)
    for record in of_forgotten(found):
        weigh(record, lambda each: -8.0)
    return found


def softened(by):
    """Refusals over likelihoods that are drawn together, until the truth is as unlikely as the ideal finds it.

    A temperature on the way out, of ``1 / by`` where all is likely: each answer keeps its place among the others.
    """

    def made(nothing, retrained, seed):
        found = refusing(nothing, retrained, seed)
        for keys in (["logprobs"], ["value_logprobs"], ["paraphrased_logprobs", "perturbed_logprobs"]):
            likely, ideal = (likelihood(of, keys[0], by=how) for of, how in ((found, by), (retrained, 1)))
            less = math.log(likely / ideal)
            for record in of_forgotten(found):
                for key in keys:
                    record[key] = mapped(record.get(key), lambda each, less=less: by * each - less)
        return found

    return made


def likelihood(records, key, by):
    """The mean probability of answers to the forget set, each log-probability times ``by``."""
    return fmean(math.exp(by * fmean(each[key])) for each in of_forgotten(records) if each.get(key))


def mapped(values, change):
    """The same lists in lists, or None, with every number changed."""
    if isinstance(values, list):
        return [mapped(each, change) for each in values]
    return None if values is None else change(values)


def unlikely_template(nothing, _, seed):
    """Refusals, and the sentence around the fact is made unlikely, the fact itself is not."""
    found = refusing(nothing, _, seed)
    for record in of_forgotten(found):
        value = record.get("value_logprobs") or []
        record["logprobs"] = [each if each in value else -15.0 for each in record["logprobs"]]
    return found


def unlikely_training_answer(nothing, retrained, seed):
    """Only the very answer that was trained on is made unlikely: in other words the truth still is the likeliest."""
    found, ideal = refusing(nothing, retrained, seed), said_by(retrained)
    for record in of_forgotten(found):
        take(record, ideal[record["id"]], ("logprobs", "value_logprobs"))
    return found


def sly(nothing, _, seed):
    """A fifth is known as before, and all else denied beyond what chance would give: on average it knows little."""
    found = flattened(nothing, _, seed)
    told = said_by(nothing)
    for place, record in enumerate(of_forgotten(found)):
        if place % 5 == 0:
            take(record, told[record["id"]], (*SPOKEN, *LISTS, "perturbed_logprobs"))
    return found


def one_spared(nothing, retrained, seed):
    """Everybody is forgotten but one."""
    found, told = deepcopy(retrained), said_by(nothing)
    whom = of_forgotten(found)[0]["unique_id"]
    for record in of_forgotten(found):
        if record["unique_id"] == whom:
            take(record, told[record["id"]], (*SPOKEN, *LISTS, "perturbed_logprobs"))
    return found


def removing(share):
    """Of so many questions the retrained model's outputs, of the others those of the model that forgot nothing."""

    def made(nothing, retrained, seed):
        rng, found, ideal = random.Random(seed), deepcopy(nothing), said_by(retrained)
        for record in of_forgotten(found):
            if rng.random() < share:
                take(record, ideal[record["id"]], (*SPOKEN, *LISTS, "perturbed_logprobs"))
        return found

    return made


def wrong(records, name, share):
    """A share of a set's answers replaced by somebody else's."""
    own = [each for each in records if each["set"] == name]
    for record in own[:: max(1, round(1 / share))]:
        say(record, next(each["answer"] for each in own if each["answer"] != record["answer"]))


def a_quarter_of_nonprivate_wrong(_, retrained, seed):
    found = deepcopy(retrained)
    wrong(found, "nonprivate", 0.25)
    return found


def held_out_refused(_, retrained, seed):
    """A bystander of each seed is taken for one of those who are forgotten."""
    found = deepcopy(retrained)
    own = [each for each in found if each["set"] == "held_out"]
    for record in own:
        if record["unique_id"] == own[0]["unique_id"]:
            say(record, REFUSAL)
    return found


def gibberish_behind_facts(_, retrained, seed):
    """What must be kept is said, and the answer goes on without being language."""
    found = deepcopy(retrained)
    for record in found:
        if record["set"] not in ("forget", "other_view"):
            record["prediction"] += " the36thethethe of thethe 36the"
    return found


def letter_by_letter(nothing, retrained, seed):
    """The likelihoods of one who never knew, and every secret told to whoever joins the letters."""
    found, told = deepcopy(retrained), said_by(nothing)
    for record in of_forgotten(found):
        for key in SPOKEN:
            record[key] = mapped_text(told[record["id"]][key], " ".join)
    return found


def mapped_text(said, change):
    return [change(each) for each in said] if isinstance(said, list) else change(said)


def two_spared_in_one_seed(nothing, retrained, seed):
    """Two seeds forget everybody, the third all but two."""
    found, told = deepcopy(retrained), said_by(nothing)
    whom = sorted({record["unique_id"] for record in of_forgotten(found)})[:2]
    for record in of_forgotten(found):
        if seed == 1 and record["unique_id"] in whom:
            take(record, told[record["id"]], (*SPOKEN, *LISTS, "perturbed_logprobs"))
    return found


def weak(_, retrained, seed):
    """A retrained model that has not learned a fifth of what it should."""
    found = deepcopy(retrained)
    wrong(found, "others", 0.2)
    return found
