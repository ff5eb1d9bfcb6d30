"""The sandbox's texts say what they are, and its logs can be read by clients which look for progress."""

import re

import pytest

from penstock.providers.sandbox.words import lines, progress, story

PROGRESS = re.compile(r"^\s*(\d+)%\s*\|.+?\|\s*(\d+)/(\d+)")  # as Replicate's clients look for it


def test_a_text_is_about_the_prompt_and_says_that_it_is_a_sample():
    text = "".join(story("a fox in the snow", 1, 1000))
    assert '"a fox in the snow"' in text
    assert "penstock sandbox" in text
    assert "sample" in text
    assert text.endswith(".")


def test_pieces_are_small_and_words_keep_their_space():
    pieces = story("a fox in the snow", 1, 1000)
    assert all(0 < len(piece) <= 9 for piece in pieces)
    assert sum(piece.startswith(" ") for piece in pieces) > len(pieces) / 2
    assert pieces == story("a fox in the snow", 1, 1000)
    assert pieces != story("a fox in the snow", 2, 1000)


@pytest.mark.parametrize("most", [0, 1, 5])
def test_a_text_is_cut_off(most):
    assert story("a fox", 1, most) == story("a fox", 1, 1000)[:most]


@pytest.mark.parametrize("prompt", ["", "   ", "{0} {prompt} {", 'say "hi"', "你好，世界", "x" * 10_000, "\ud800"])
def test_any_prompt_has_an_answer(prompt):
    text = "".join(story(prompt, 1, 1000))
    assert 50 < len(text) < 1500


def test_progress_is_written_as_tqdm_does():
    assert progress(10, 20) == " 50%|█████     | 10/20 [00:01<00:01,  6.1it/s]"
    assert progress(0, 20) == "  0%|          | 0/20 [00:00<?, ?it/s]"
    assert progress(20, 20) == "100%|██████████| 20/20 [00:03<00:00,  6.1it/s]"
    assert progress(1, 8).startswith(" 12%|█▎        | 1/8 ")


def test_a_log_goes_from_nothing_to_all():
    found = [hit for line in lines("image", 28) if (hit := PROGRESS.match(line))]
    assert [int(hit[2]) for hit in found] == list(range(29))
    assert (found[-1][1], found[-1][3]) == ("100", "28")


def test_a_job_of_no_known_kind_has_a_log_too():
    assert lines("anything", 0)[-1] == "Done."
