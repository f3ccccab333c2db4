"""The commands on pictures: what is there already stays, and what cannot be read is said at once."""

import re
import subprocess
import sys

import pytest
import torch
from small import small

from stylerepro.networks import checkpoints
from stylerepro.pictures import images
from stylerepro.transfer import optimisers

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


def test_with_force_a_strip_takes_another_s_place_at_its_own_size_and_the_end_of_l_bfgs_is_told(project, call):
    images.write(torch.full((3, 16, 1200), 0.5), project / "strip.png")
    (project / "made.png").write_bytes(b"old")
    words = ["strip.png", "strip.png", "-o", "made.png", "--size", "32", "-p", "optimiser=lbfgs", *LAYERS]
    code, out, _ = call("transfer", *words, "--force")
    assert code == 0
    assert (project / "made.png").read_bytes().startswith(b"\x89PNG")
    assert re.search(r"made.png: 1200×16 pixels, \d evaluations in .* s; L-BFGS ended there by itself", out)


@pytest.mark.parametrize(
    "words",
    [
        ["transfer", "broken.jpg", "swirls", "-o", "made.png"],
        ["transfer", "swirls", "missing.jpg", "-o", "made.png"],
        ["train", "broken.jpg", "-o", "made.safetensors"],
        ["stylise", "any", "broken.jpg", "missing.jpg", "-o", "made"],
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_a_picture_that_cannot_be_read_is_said_before_pytorch_is_loaded(project, words):
    (project / "broken.jpg").write_text("no picture")
    code = (
        "import sys\nfrom stylerepro.cli import main\n"
        f"sys.argv[1:] = {words}\n"
        "try:\n    main.main()\nfinally:\n    assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == (1 if words[0] == "stylise" else 2)
    assert not done.stderr.count("Traceback")
    for name, said in (("broken", "broken.jpg is not a JPEG, PNG or WebP picture"), ("missing", "'missing.jpg'")):
        assert (said in done.stderr) == (f"{name}.jpg" in words)
    assert not list(project.glob("made*"))


def test_the_others_of_a_batch_are_made_and_a_picture_of_another_format_is_named(project, call):
    checkpoints.save(small("depsep-nn"), project / "net.safetensors", {})
    for name in ("good", "other"):
        images.write(images.read("coffee", 20), project / "in" / f"{name}.png")
    (project / "in" / "scan.tif").write_bytes(b"II*\0")
    words = ["stylise", "net.safetensors", "in", "missing.jpg", "-o", "out"]
    code, out, err = call(*words)
    assert (code, out.count(" pixels in ")) == (1, 2)
    assert "scan.tif is not a JPEG, PNG or WebP picture" in err
    assert "'missing.jpg'" in err
    assert "2 of the inputs could not be restyled; the others are in out" in err
    code, out, err = call(*words)
    assert (code, out, err.count("is there already")) == (1, "", 2)
    assert call(*words, "--force")[1].count(" pixels in ") == 2


def test_an_error_names_the_picture(project, call):
    images.write(images.read("coffee", (1, 1)), project / "dot.png")
    code, _, err = call("transfer", "coffee", "dot.png", "-o", "made.png", "--size", "32", *LAYERS)
    assert code == 2
    assert err.startswith("error: dot.png: A picture of 1 × 1 pixels cannot be enlarged")


def test_several_values_of_two_settings_make_one_sheet_of_all_results(project, call):
    words = ["transfer", "coffee", "swirls", "-o", "sheet.png", "--size", "48", *LAYERS]
    code, out, _ = call(*words, "-p", "style_weight=1,100", "-p", "iterations=1, 2,3")
    assert (code, out) == (0, "sheet.png: 6 results, style_weight, iterations varied\n")
    _, _, height, width = images.read(project / "sheet.png").shape
    assert (width > 5 * 80, height > 2 * 80) == (True, True), "content, style and three results, in two rows"
    code, _, err = call(*words, "-p", "style_weight=1,2", "-p", "iterations=1,2", "-p", "seed=1,2", "--force")
    assert code == 2
    assert "style_weight, iterations, seed have several values each; a sheet shows two such settings" in err
    assert "takes float, not 'much'" in call(*words, "-p", "style_weight=1,much", "--force")[2]


@pytest.mark.parametrize(
    "wrong", ["iterations=3,-1", "style_weight=1,-5", "learning_rate=1,-1", "network=tiny,nosuch", "optimiser=adam,sdg"]
)
def test_a_sheet_s_last_value_is_refused_before_its_first_is_computed(wrong, project, call, monkeypatch):
    asked, plain = [], optimisers.evaluate
    monkeypatch.setattr(optimisers, "evaluate", lambda *a, **k: asked.append(a[1].shape[-2]) or plain(*a, **k))
    words = ["transfer", "coffee", "swirls", "-o", "sheet.png", "--size", "96", *LAYERS, "-p", wrong]
    code, _, err = call(*words)
    assert code != 0
    assert wrong.partition(",")[2].strip("-") in err
    assert set(asked) <= {64}, "only the stamps were tried"
    assert not (project / "sheet.png").exists()


def test_a_sheet_keeps_what_was_made_where_one_transfer_blows_up(project, call):
    words = ["transfer", "coffee", "swirls", "-o", "sheet.png", "--size", "48", *LAYERS]
    words += ["-p", "optimiser=gradient_descent", "-p", "learning_rate=1e-3,1e30", "-p", "iterations=8"]
    code, out, err = call(*words)
    assert (code, out) == (1, "sheet.png: 1 results, learning_rate varied\n")
    assert "error: learning_rate = 1e+30" in err
    assert (project / "sheet.png").is_file()
    code, _, err = call(*words[:3], "-o", "other.png", *words[5:-4], "-p", "learning_rate=1e29,1e30", *words[-2:])
    assert code == 2
    assert "none of the 2 transfers" in err
    assert not (project / "other.png").exists()


def test_strength_goes_from_the_content_to_the_result_and_its_colours_may_stay(project, call):
    words = ["transfer", "coffee", "swirls", "--size", "32", "-p", "iterations=4", "-p", "learning_rate=0.1", *LAYERS]
    made = {"whole": [], "none": ["--strength", "0"], "half": ["--strength", "0.5"], "grey": ["--keep-colours"]}
    for name, options in made.items():
        assert call(*words, "-o", f"{name}.png", *options)[0] == 0
    content = images.read("coffee", 32)
    whole, none, half, grey = (images.read(project / f"{name}.png") for name in made)
    assert (none - content).abs().max() < 0.003
    assert (half - (whole + content) / 2).abs().max() < 0.006
    light = torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]
    inside = (grey.amin(1) > 0.01) & (grey.amax(1) < 0.99)
    assert ((grey - whole) * light).sum(1)[inside].abs().max() < 0.006
    chroma = [picture - (picture * light).sum(1, keepdim=True) for picture in (grey, content)]
    assert (chroma[0] - chroma[1]).abs().amax(1)[inside].max() < 0.006
    assert call(*words, "-o", "more.png", "--strength", "2")[0] == 2
