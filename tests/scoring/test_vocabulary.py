"""The objects that a text names: whole words, synonyms, plurals, compound names, by the words of each dataset."""

import pytest

from rollout3d.scoring.vocabulary import vocabulary


def named(text, dataset="scannet", more=()):
    return [(each.category or each.name, text[each.start : each.end]) for each in vocabulary(dataset, more).find(text)]


def categories(text, dataset="scannet", more=()):
    return [each.category for each in vocabulary(dataset, more).find(text)]


def test_a_compound_is_not_the_thing_that_its_last_word_says():
    found = vocabulary("scannet").find("The coffee table stands by the table.")
    assert [(each.name, each.category) for each in found] == [("coffee table", None), ("table", "table")]
    assert categories("a coffee-table, the Coffee  Table") == [None, None]
    assert categories("the door frame, the window sill, a picture frame") == [None, None, None]
    assert categories("the coffee table", more=("coffee table",)) == ["coffee table"], "a scene's own category"


def test_names_are_whole_words():
    assert named("A windowsill, a mousetrap, the bedroom and a tablet; chairlift, clockwise.") == []
    assert named("(chair) chair's chair, 'chair' chair-table") == [("chair", "chair")] * 5 + [("table", "table")]


def test_plurals_mean_their_singular_and_singulars_a_plural_name():
    text = "chairs, bookshelves, mattresses, computer mice, table(s), two TVs, boxes"
    assert categories(text) == ["chair", "bookshelf", "mattress", "computer mouse", "table", "tv", None]
    assert categories("a shoe beside the slippers and a headphone", "scannetpp") == ["shoes", "slippers", "headphones"]


@pytest.mark.parametrize(
    ("dataset", "meant"),
    [
        ("scannet", ["trash bin", "washing machine", None, "sofa", "radiator"]),
        ("scannetpp", ["trash can", None, None, "sofa", "heater"]),
        ("arkitscenes", [None, "washer", "stove", "sofa", None]),
    ],
)
def test_a_name_means_the_category_that_the_dataset_has_for_it(dataset, meant):
    assert categories("the garbage can, the washer, the stove, the couch and a radiator", dataset) == meant


def test_raw_labels_of_a_datasets_list_mean_its_category():
    assert categories("office chair, ceiling lamp, mouse", "scannetpp") == ["chair", "ceiling light", "computer mouse"]
    assert categories("the tv_monitor", "arkitscenes") == ["tv"]
    assert categories("the cabinet and the sink", "arkitscenes") == [None, None], "labels without a category"


def test_words_that_stand_for_no_thing_are_none():
    assert named("At 3 o'clock, or 4 o’clock, I pan left, counter-clockwise; in the picture the clock.") == [
        ("clock", "clock")
    ]


def test_of_a_dataset_without_a_list_the_scenes_give_the_categories():
    assert categories("A lathe, two lathes and a sofa", "workshop", ("lathe",)) == ["lathe", "lathe", None]


def test_characters_count_as_code_points():
    text = "😀 é the sofa"
    assert named(text) == [("sofa", "sofa")]
    assert vocabulary("scannet").find(text)[0].start == text.index("sofa")
