"""Scripts: what a model's name and a prompt's directives make of a job."""

import pytest

from penstock.providers.sandbox.script import FAILED, Script, clean, read

BY_MODEL = {
    "sandbox/instant": Script(takes_s=0),
    "sandbox/slow": Script(takes_s=30),
    "sandbox/failing": Script(outcome="failed", reason=FAILED),
    "sandbox/flaky": Script(flaky=True),
    "sandbox/dying": Script(dies=True),
    "sandbox/hanging": Script(hangs=True),
    "sandbox/refusing": Script(refuses=True),
    "sandbox/busy": Script(busy_times=2),
    "sandbox/other": Script(),
    "acme/picture": Script(),
}
BY_DIRECTIVE = {
    "[[slow]]": Script(takes_s=30),
    "[[slow:4.5]]": Script(takes_s=4.5),
    "[[slow:0]]": Script(takes_s=0),
    "[[slow:-3]]": Script(takes_s=0),
    "[[slow:1e9]]": Script(takes_s=3600),
    "[[slow:nan]]": Script(takes_s=30),
    "[[slow:soon]]": Script(takes_s=30),
    "[[fail]]": Script(outcome="failed", reason=FAILED),
    "[[fail: out of paint ]]": Script(outcome="failed", reason="out of paint"),
    "[[refuse]]": Script(refuses=True),
    "[[busy]]": Script(busy_times=2),
    "[[busy:5]]": Script(busy_times=5),
    "[[hang]]": Script(hangs=True),
    "[[outputs:4]]": Script(outputs=4),
    "[[outputs:0]]": Script(outputs=1),
    "[[outputs:1000]]": Script(outputs=10),
    "[[broke]]": Script(broke=True),
    "[[die]]": Script(dies=True),
    "[[flaky]]": Script(flaky=True),
    "[[ FAIL ]]": Script(outcome="failed", reason=FAILED),
    "[[unheard:of]]": Script(),
    "[[slow:30": Script(),
    "": Script(),
}


@pytest.mark.parametrize("model", BY_MODEL)
def test_models_have_their_scripts(model):
    assert read(model, "a cat") == BY_MODEL[model]


@pytest.mark.parametrize("directive", BY_DIRECTIVE)
def test_directives_do_what_they_say(directive):
    assert read("acme/picture", f"a cat {directive} on a mat") == BY_DIRECTIVE[directive]


def test_directives_combine_with_each_other_and_the_model():
    script = read("sandbox/flaky", "[[slow:8]] x [[fail:no luck]][[busy:1]][[slow:9]]")
    assert script == Script(takes_s=9, outcome="failed", reason="no luck", busy_times=1, flaky=True)


def test_a_kind_has_its_usual_time():
    assert read("acme/film", "x", 6.0).takes_s == 6.0
    assert read("sandbox/instant", "x", 6.0).takes_s == 0


@pytest.mark.parametrize(
    ("prompt", "ends_s", "forgotten_s"),
    [("[[slow:8]]", 8, None), ("[[slow:8]][[fail]]", 4, None), ("[[slow:8]][[die]]", 8, 4), ("[[hang]]", None, None)],
)
def test_when_a_job_ends(prompt, ends_s, forgotten_s):
    script = read("acme/picture", prompt)
    assert (script.ends_s, script.forgotten_s) == (ends_s, forgotten_s)


@pytest.mark.parametrize(
    ("prompt", "left"),
    [
        ("a cat [[slow:30]] on a mat [[fail]]", "a cat on a mat"),
        ("[[unheard:of]] a  cat", "[[unheard:of]] a  cat"),
        ("[[hang]]", ""),
        ("two\n[[fail: a b c]]lines", "two\n lines"),
    ],
)
def test_directives_are_not_drawn(prompt, left):
    assert clean(prompt) == left
