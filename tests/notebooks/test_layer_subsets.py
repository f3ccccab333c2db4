"""Document 001's layers: what must hold of the smoke run's table."""

import pytest

from stylerepro.ledger.rules import matches


@pytest.fixture
def quality(table):
    return table[(table["measured"] == "quality") & ~table["subset"].isin(["photographs", "colours"])]


def select(table, **where):
    for column, value in where.items():
        table = table[matches(table[column], value)]
    return table


def test_every_subset_has_a_row_a_pair_and_checkpoint(quality, given):
    pairs = len(given["contents"]) * len(given["styles"])
    wanted = {"document", "all", "gatys", *given["threes"], *given["singles"]}
    rows = select(quality, loss="squared", content_target="style", a=1.0, b=1000.0, budget="iterations")
    assert set(rows["subset"]) == wanted
    three = rows[rows["subset"] == "document"]
    assert set(three["layers"] + "; " + three["depth"]) == {"conv1_2, conv3_3, conv5_1 for conv5_3; conv5_1"}
    assert (rows.groupby(["subset", "iterations"]).size() == pairs).all()
    assert len(rows) == len(wanted) * len(given["iterations"]) * pairs
    assert not quality.duplicated(
        ["content", "style", "subset", "loss", "content_target", "a", "b", "iterations", "budget"]
    ).any()


def test_equal_time_gives_no_subset_fewer_steps_than_all_layers(quality, given):
    rows = select(quality, budget="time")
    assert set(rows["subset"]) == set(given["timed_subsets"])
    last = given["iterations"][-1]
    assert set(rows["iterations"]) == {last}
    assert rows["steps"].between(last, last * given["most_steps"]).all()
    same = select(quality, subset="all", b=1000.0, iterations=last)
    assert same.groupby("budget")["full_style_loss"].mean().nunique() == 1


def test_squares_fall_and_what_is_a_share_is_one(quality, given):
    rows = select(quality, loss="squared")
    assert (rows["loss_fall"].dropna() > 0).all()
    assert (quality["loss_fall"].dropna() >= -1).all()
    assert quality["falling_share"].dropna().between(0, 1).all()
    assert set(quality[quality["loss_fall"].notna()]["loss"]) == {"squared", "absolute", "signed"}
    for point in ("start", "middle", "end"):
        shares = quality[f"content_share_{point}"] + quality[f"style_share_{point}"]
        assert shares.dropna().to_numpy() == pytest.approx(1)
    # The start is 1, and a few steps towards the style cannot be far above it.
    near = select(rows, subset=["document", "all"], b=1000.0)
    assert near["full_style_loss"].between(0, 1).all()
    assert near["sliced_wasserstein"].between(0, 1.01).all()


def test_settings_of_one_ratio_are_one_run(quality):
    rows = select(quality, subset="document", loss="squared", content_target="style", budget="iterations")
    one, same = (select(rows, a=a, b=b).reset_index(drop=True) for a, b in ((1.0, 0.1), (100.0, 10.0)))
    assert len(one)
    assert (one["full_style_loss"] == same["full_style_loss"]).all()
    assert (one["step_size"] / same["step_size"]).to_numpy() == pytest.approx(100)


def test_a_photograph_as_style_is_compared_with_its_colours(table, given):
    rows = select(table, subset=["photographs", "colours"]).set_index(["content", "style", "subset"])["local_shape"]
    assert set(rows.index.get_level_values("style")) == set(given["photographs"])
    assert rows.unstack().notna().all().all()


def test_a_larger_weight_takes_a_larger_share_of_the_gradient(quality):
    rows = select(quality, subset="document", loss="squared", content_target="style", a=1.0, budget="iterations")
    shares = rows.groupby("b")["style_share_start"].mean()
    assert len(shares) >= 2
    assert shares.is_monotonic_increasing


def test_costs_are_vgg16s_and_belong_to_no_picture(table, given):
    rows = select(table, measured="cost")
    assert set(rows["network"]) == {"vgg16"}
    for column in ("content", "style", "loss", "content_target", "a", "b", "full_style_loss"):
        assert rows[column].isna().all()
    assert len(rows) == len(given["cost_sizes"]) * len(given["cost_subsets"])
    document, every = (select(rows, subset=name).set_index("size") for name in ("document", "all"))
    assert (document["multiply_adds"] < every["multiply_adds"]).all()
    # Without the losses of the layers left out, the pass itself is whole.
    assert (document["multiply_adds"] > 0.5 * every["multiply_adds"]).all()
    assert (rows["seconds_iteration"] > 0).all()
    assert set(document["depth"]) == {"conv5_3"}
