"""The sentence and the numbers that a report opens with stand for differences alone."""

from flowsim.views.lead import MOST, Difference, sentence, strip


def difference(analysis="a", label="MSE", network="b", *, better=False, effect=9.2, p=0.01):
    return Difference(analysis, label, network, better, True, effect, 4.0, 21.0, p)


def test_no_difference_is_said_to_be_none():
    assert sentence([], "a", ["b", "c"], 7) == (
        "No network differs from a, the reference, beyond the luck of seeds, in any of 7 quantities."
    )
    assert sentence([], "a", [], 0) == ""
    assert strip([]) == []


def test_networks_alike_share_a_part_of_the_sentence():
    found = [difference(network="b"), difference(network="c"), difference(network="d", better=True)]
    text = sentence(found, "a", ["b", "c", "d", "e"], 3)
    assert text == (
        "Compared with a, the reference, b and c are worse in 1 and d is better in 1 of 3 quantities; "
        "e cannot be told from it, beyond the luck of seeds."
    )


def test_the_strip_has_one_number_of_each_analysis_and_four_at_most():
    found = [difference("x", "MSE", p=0.04), difference("x", "SSIM", p=0.001)]
    found += [difference(f"other {i}") for i in range(MOST)]
    shown = strip(found)
    assert [one.analysis for one in shown] == ["x", "other 0", "other 1", "other 2"]
    assert shown[0].label == "SSIM"
    assert shown[0].value == "\N{MULTIPLICATION SIGN}\N{NO-BREAK SPACE}9.2"
    assert shown[0].interval == "4.0 to 21"
