"""The whole suite on a machine without network, mirror or cache: what a newcomer's first command finds."""

from stylerepro.runs import experiments, record, results


def test_every_experiment_completes_without_a_network(offline):
    root, done, _ = offline
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    ran = {about["experiment"]: about for _, about in record.current_runs(root / "results" / "runs", "smoke")}
    assert set(ran) == {experiment.name for experiment in experiments.discover()}
    assert {network for about in ran.values() for network in about["networks"]} == {"compact", "vgg16-caffe"}


def test_no_chapter_asks_for_a_download_unless_it_is_told_to(offline):
    """The one on the loss networks looks whether the real one is at hand; all others rest on the packaged one alone.

    Costs are those of other architectures too, whose time does not depend on their weights.
    """
    root, _, tried = offline
    assert tried == set()
    tables = results.tables_of(root / "results" / "runs", "smoke")
    for name, table in tables.items():
        if name == "compact_network":
            assert set(table["teacher"]) == {"compact"}
        elif "network" in table:
            table = table[table["measured"] != "cost"] if "measured" in table else table
            assert set(table["network"].dropna()) == {"compact"}
    assert len(tables["tv_sweep"]) > 0
