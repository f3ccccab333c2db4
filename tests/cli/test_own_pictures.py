"""The commands on pictures: what is there already stays, and what cannot be read is said at once."""

import pytest

LAYERS = ["-p", "network=tiny", "-p", "content_layers=conv2_1", "-p", "style_layers=conv1_1,conv2_1"]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["transfer", "coffee", "swirls", "-o", "kept.png"],
        ["train", "swirls", "-o", "kept.safetensors"],
        ["sweep", "toy", "-p", "size=5", "-o", "kept.csv"],
        ["collect", "-o", "kept.csv"],
        ["claims", "-o", "kept.csv"],
        ["book", "-o", "kept"],
    ],
    ids=lambda words: words[0],
)
def test_no_command_writes_over_what_is_there_without_force(project, call, words):
    kept = project / words[-1]
    if not kept.suffix:
        kept.mkdir()
        kept /= "index.html"
    kept.write_bytes(b"precious")
    code, _, err = call(*words)
    assert code == 2
    assert f"{words[-1]} is there already. Give another name, or --force to write over it." in err
    assert kept.read_bytes() == b"precious"


def test_with_force_a_picture_takes_the_place_of_another(project, call):
    (project / "made.png").write_bytes(b"old")
    words = ["transfer", "coffee", "swirls", "-o", "made.png", "--size", "32", "-p", "iterations=2", *LAYERS]
    assert call(*words, "--force")[0] == 0
    assert (project / "made.png").read_bytes().startswith(b"\x89PNG")
