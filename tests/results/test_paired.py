from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from resnet_deploy.results import ClassAccuracy, ConfusionChange
from resnet_deploy.results.accuracy import (
    MOST_CHANGES,
    class_accuracies,
    confusion_changes,
    paired_top1,
)

CLASSES = ("cat", "dog", "frog")


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_the_difference_is_that_of_both_top1(pairs):
    right, against = zip(*pairs, strict=True)
    paired = paired_top1(right, against)
    assert abs(paired.difference - (sum(right) - sum(against)) / len(pairs)) < 1e-12
    changed = sum(a != b for a, b in pairs)
    assert paired.newly_right + paired.newly_wrong == changed
    assert paired.significant == (paired.p_value < 0.05)
    assert paired_top1(against, right).p_value == paired.p_value


def test_a_significant_loss():
    paired = paired_top1([False] * 12 + [True] * 88, [True] * 100)
    assert (paired.newly_right, paired.newly_wrong, paired.difference) == (0, 12, -0.12)
    assert paired.significant
    assert paired.interval[1] < 0


def test_class_by_class():
    truth, right, against = [0, 0, 2, 2], [True, False, True, True], [True, True, False, True]
    assert class_accuracies(CLASSES, truth, right, against) == (
        ClassAccuracy(name="cat", samples=2, right=1, against_right=2),
        ClassAccuracy(name="frog", samples=2, right=2, against_right=1),
    )
    cat, frog = class_accuracies(CLASSES, truth, right, None)
    assert (cat.top1, cat.against_top1, cat.difference) == (0.5, None, None)
    assert frog.top1 == 1.0


def test_confusion_changes_most_frequent_first():
    truth, before, after = [0, 0, 1, 1, 2], [0, 0, 1, 2, 2], [1, 1, 0, 2, 2]
    assert confusion_changes(CLASSES, truth, before, after) == (
        ConfusionChange(truth="cat", before="cat", after="dog", samples=2),
        ConfusionChange(truth="dog", before="dog", after="cat", samples=1),
    )


def test_only_the_top_changes_are_kept():
    names = [str(index) for index in range(100)]
    changes = confusion_changes(names, [0] * 99, [0] * 99, range(1, 100))
    assert [change.after for change in changes] == names[1 : MOST_CHANGES + 1]
