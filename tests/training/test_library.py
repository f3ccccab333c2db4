"""Trained networks: trained once, found again, committed in half the bytes; pictures through them by one command."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import psutil
import pytest
import torch
from small import SMALL, same

from stylerepro.cli import own_pictures, restyling
from stylerepro.errors import ImageError, NetworkError, ResultsWarning
from stylerepro.measures import image_metrics
from stylerepro.networks import checkpoints
from stylerepro.networks.feed_forward import StyleNetwork, architecture
from stylerepro.pictures import images
from stylerepro.training import library, train
from stylerepro.training.recipe import Criterion, Recipe

SIZE = 24


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLEREPRO_ROOT", str(tmp_path))
    return tmp_path


def recipe(**changes):
    settings = {"loss_network": "tiny", "content_layers": ["conv2_2"], "style_layers": ["conv1_1"], "size": 16,
                "batch": 2, "steps": 12, "photographs": "embedded", "leave_out": ("chelsea",)}  # fmt: skip
    return Recipe(architecture("johnson-in", **SMALL), **(settings | changes))


def obtain(how, **options):
    return library.obtain("swirls", how, SIZE, **options)


@pytest.fixture
def no_training(monkeypatch):
    """From here on, whoever trains fails."""

    def stop():
        def refuse(*arguments, **settings):
            raise AssertionError("a network was trained that was there already")

        monkeypatch.setattr(library, "train", refuse)

    return stop


def test_a_network_is_trained_once_and_another_recipe_style_or_code_is_another_network(no_training, monkeypatch):
    first = obtain(recipe())
    (kept,) = library.kept()
    assert kept.name.startswith("swirls-johnson-in")
    assert not kept.committed
    assert kept.description.trained["recipe"]["steps"] == 12
    assert [path.suffix for path in sorted(library.own_folder().iterdir())] == [".csv", ".lock", ".safetensors"]
    no_training()
    again = obtain(recipe())
    assert same(first.network, again.network)
    assert list(again.history["total"]) == pytest.approx(list(first.history["total"]))
    # How a batch is divided is no part of what a network is.
    assert same(first.network, obtain(recipe(accumulation=2)).network)
    other = [{"steps": 13}, {"style_weight": 4.0}, {"seed": 1}, {"leave_out": ()}, {"betas": (0.999, 0.99)}]
    for changes in other:
        with pytest.raises(AssertionError, match="was trained that was there already"):
            obtain(recipe(**changes))
    with pytest.raises(AssertionError, match="was trained"):
        library.obtain("swirls:1", recipe(), SIZE)
    monkeypatch.setattr(library, "_code", lambda: ["changed"])
    with pytest.raises(AssertionError, match="was trained"):
        obtain(recipe())


def test_an_interrupted_training_goes_on(monkeypatch):
    whole = obtain(recipe())
    for path in library.own_folder().iterdir():
        path.unlink()
    steps = []

    def kill(progress):
        steps.append(progress.step)
        if progress.step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        obtain(recipe(), callback=kill, save_every=5)
    assert library.kept() == []
    steps.clear()
    done = obtain(recipe(), callback=lambda progress: steps.append(progress.step))
    assert steps == list(range(6, 13))
    assert same(done.network, whole.network)
    assert not list(library.own_folder().glob("*.checkpoint"))


def test_a_committed_network_is_taken_whatever_code_trained_it(no_training, monkeypatch):
    own = obtain(recipe())
    (kept,) = library.kept()
    path = library.commit(kept.name)
    assert path.parent == library.committed_folder()
    assert path.stat().st_size < 0.7 * kept.path.stat().st_size
    for path in library.own_folder().iterdir():
        path.unlink()
    no_training()
    monkeypatch.setattr(library, "_code", lambda: ["changed"])
    committed = obtain(recipe())
    picture = images.read("coffee", 40)
    with torch.no_grad():
        torch.testing.assert_close(committed.network(picture), own.network(picture), rtol=0, atol=5e-3)
    assert list(committed.history["step"]) == [1, 10]
    assert committed.history["total"].iloc[1] == pytest.approx(own.history["total"].iloc[9], rel=1e-3)
    with pytest.raises(AssertionError, match="was trained"):
        obtain(recipe(), committed=False)
    with pytest.raises(AssertionError, match="was trained"):
        obtain(recipe(steps=13))


def test_a_painting_goes_by_its_name_and_any_other_picture_by_its_values(tmp_path, no_training, monkeypatch):
    images.write(images.read("coffee", SIZE), tmp_path / "mine.png")
    obtain(recipe())
    library.obtain(str(tmp_path / "mine.png"), recipe(), SIZE)
    for network in library.kept():
        library.commit(network.name)
    no_training()
    # As on a machine where the last bits come out otherwise.
    monkeypatch.setattr(library, "picture_digest", lambda picture: "another")
    obtain(recipe())
    with pytest.raises(AssertionError, match="was trained"):
        library.obtain(str(tmp_path / "mine.png"), recipe(), SIZE)


def test_a_damaged_network_is_passed_over_and_an_unknown_one_names_the_nearest():
    obtain(recipe())
    (library.own_folder() / "broken.safetensors").write_bytes(b"nothing")
    with pytest.warns(ResultsWarning, match=r"broken\.safetensors cannot be read"):
        (kept,) = library.kept()
    (library.own_folder() / "broken.safetensors").unlink()
    with pytest.raises(NetworkError, match=kept.name):
        library.find(kept.name[:-1] + "x")
    for name in ("nothing.safetensors", "./nothing", "nothing"):
        with pytest.raises(NetworkError, match="nothing"):
            restyling.load(name)


def test_committed_networks_stay_small_and_are_not_replaced_by_one_of_other_settings(monkeypatch):
    obtain(recipe())
    obtain(recipe(betas=(0.999, 0.99)))
    first, second = library.kept()
    with monkeypatch.context() as patch:
        patch.setattr(library, "LIMIT", 1000)
        with pytest.raises(NetworkError, match=r"would take .* more than 0 MB"):
            library.commit(first.name)
    assert not list(library.committed_folder().glob("*"))
    library.commit(first.name)
    library.commit(first.name)
    with pytest.raises(NetworkError, match="trained by other settings"):
        library.commit(second.name)


def test_judging_measures_what_it_says():
    network, how, style = StyleNetwork(architecture("johnson-in", **SMALL)), recipe(), images.read("swirls", 64)
    photographs = {"chelsea": images.read("chelsea", 64), "coffee": images.read("coffee", 60)}
    rows, made = library.judge(network.eval(), style, how, photographs)
    assert list(rows["content"]) == ["chelsea", "coffee"]
    for row in rows.itertuples():
        picture, photograph = made[row.content], photographs[row.content]
        terms = Criterion(style, how)(picture, photograph)
        assert row.content_loss == pytest.approx(float(terms["content"]))
        assert row.style_loss == pytest.approx(float(terms["style"]))
        assert row.perceptual_loss == pytest.approx(2 * float(terms["content"]) + 40 * float(terms["style"]), rel=1e-5)
        assert row.ssim_content == pytest.approx(image_metrics.ssim(picture, photograph))
        assert row.sliced_wasserstein == pytest.approx(image_metrics.sliced_wasserstein(picture, style))
    trained = dataclasses.replace(how, loss_network="vgg19", precision="bf16")  # which decides nothing of the judging
    pd.testing.assert_frame_equal(library.judge(network, style, trained, photographs, "tiny")[0], rows)


# ---- pictures through a network


@pytest.fixture
def network_file(tmp_path):
    return checkpoints.save(StyleNetwork(architecture("depsep-nn", **SMALL)), tmp_path / "net.safetensors", {})


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "in"
    images.write(images.read("coffee", 40), folder / "one.jpg")
    images.write(images.read("rocket", 30), folder / "deeper" / "one.png")
    (folder / "broken.jpg").write_text("no picture")
    return folder


def test_every_picture_of_a_folder_is_restyled_and_what_is_broken_is_named(network_file, pictures, tmp_path):
    out = tmp_path / "out"
    done = list(restyling.restyle(restyling.load(str(network_file)), [str(pictures), "chelsea"], out, 32))
    assert sorted(path.name for path in out.iterdir()) == ["chelsea.png", "one.jpg", "one.png"]
    (failed,) = [restyled for restyled in done if restyled.path is None]
    assert failed.source.endswith("broken.jpg")
    assert "not a JPEG" in failed.error
    network = checkpoints.load(network_file)
    with torch.no_grad():
        expected = network(images.read("chelsea", 32))
    written = images.read(out / "chelsea.png")
    assert written.shape == expected.shape
    assert (written - expected).abs().max() < 1 / 255
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="no picture in"):  # before anything is read
        restyling.restyle(torch.nn.Identity(), [str(tmp_path / "empty")], tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()


def test_two_inputs_of_one_name_both_stay(network_file, tmp_path):
    inputs = [str(tmp_path / place / "same.jpg") for place in ("a", "b")]
    inputs += [str(tmp_path / "c" / name) for name in ("SAME.JPG", "e\u0301.png", "\u00e9.png")]
    for path in inputs:
        images.write(images.read("coffee", 30), path)
    done = list(restyling.restyle(restyling.load(str(network_file)), inputs, tmp_path / "out", None))
    names = ["same.jpg", "same-2.jpg", "SAME-3.jpg", "e\u0301.png", "\u00e9-2.png"]  # on a disk without case, too
    assert [Path(restyled.path).name for restyled in done] == names
    assert done[0].size == images.read(inputs[0]).shape[:1:-1]


def test_nothing_is_written_over_without_force_and_results_are_not_restyled_again(network_file, pictures, tmp_path):
    (pictures / "broken.jpg").unlink()
    network, before = restyling.load(str(network_file)), (pictures / "one.jpg").read_bytes()
    with pytest.raises(ImageError, match="holds the pictures: give another folder, or --force"):
        restyling.restyle(network, [str(pictures)], pictures)
    (alone,) = restyling.restyle(network, [str(pictures / "one.jpg")], pictures)
    assert "one.jpg is there already. Give another name, or --force" in alone.error
    assert (pictures / "one.jpg").read_bytes() == before
    made = [[Path(done.path or "").name for done in restyling.restyle(network, [str(pictures)], pictures / "new", 32)]
            for _ in range(2)]  # fmt: skip
    assert made == [["one.png", "one.jpg"], ["", ""]]
    (alone,) = restyling.restyle(network, [str(pictures / "one.jpg")], pictures, 32, force=True)
    assert alone.path == pictures / "one.jpg"
    assert (pictures / "one.jpg").read_bytes() != before


def test_whatever_is_wrong_with_one_picture_the_others_go_on(tmp_path):
    inputs = [str(tmp_path / f"{size}.png") for size in (20, 21, 22, 23)]
    for size, path in enumerate(inputs, 20):
        images.write(images.read("coffee", size), path)

    def network(picture):
        raised = {20: MemoryError(), 21: RuntimeError("DefaultCPUAllocator: can't allocate memory\nmore"),
                  22: KeyError("odd")}  # fmt: skip
        if error := raised.get(picture.shape[2]):
            raise error
        return picture

    *failed, last = restyling.restyle(network, inputs, tmp_path / "out", None)
    assert last.path == tmp_path / "out" / "23.png"
    for path, restyled, reason in zip(inputs, failed, ("fit into memory", "fit into memory", "failed"), strict=False):
        assert restyled.error.startswith(f"{path}: ")
        assert reason in restyled.error
        assert "\n" not in restyled.error


def test_the_command_restyles_at_a_size_commits_and_lists(network_file, tmp_path, monkeypatch, call):
    assert call("stylise", str(network_file), "coffee", "-o", str(tmp_path / "new"), "--size", "32")[0] == 0
    assert images.read(tmp_path / "new/coffee.png").shape[-2:] == (32, 48)
    monkeypatch.setenv("COLUMNS", "200")
    columns = ["step", *train.TERMS, "total"]
    history = pd.DataFrame([[1.0] * len(columns)], columns=columns)
    mine = train.Trained(StyleNetwork("johnson-in"), Recipe("johnson-in"), history, {}, True)
    mine.save(library.own_folder() / "mine.safetensors", "swirls", settings={})
    code, out, _ = call("networks", "--commit", "mine")
    assert code == 0
    assert "committed" in out
    assert "johnson-in" in out


def training(out):
    settings = ("architecture=depsep-nn", "loss_network=tiny", "content_layers=conv2_2",
                "style_layers=conv1_1,conv2_1", "size=16", "batch=1", "steps=2")  # fmt: skip
    words = ["train", "swirls", "-o", str(out), "--style-size", str(SIZE)]
    return words + [word for setting in settings for word in ("-p", setting)]


def test_a_training_that_blew_up_is_not_saved(tmp_path, call):
    words = [*training(tmp_path / "mine.safetensors"), "-p", "steps=15"]
    code, _, err = call(*words, "-p", "learning_rate=1e4")
    assert (code, "the training blew up, from a loss of" in err) == (2, True)
    assert not list(tmp_path.glob("mine.*")), "what is left would be gone on from"
    assert call(*words)[0] == 0


def test_the_command_trains_goes_on_and_names_what_is_wrong(tmp_path, monkeypatch, call):
    out = tmp_path / "mine.safetensors"
    words = training(out)
    code, told, _ = call(*words)
    assert (code, "depsep-nn, 2 steps" in told) == (0, True)
    about = checkpoints.describe(out)
    assert about.architecture == architecture("depsep-nn")
    assert about.trained["style"] == "swirls"
    assert about.trained["recipe"]["style_layers"] == ["conv1_1", "conv2_1"]
    assert not out.with_suffix(".checkpoint").exists()

    def stop(*arguments, checkpoint, save_every, **settings):
        checkpoint.write_text("as far as it came")
        raise KeyboardInterrupt(*[f"interrupted at step {save_every} of 100"] * (save_every < 100))

    monkeypatch.setattr(train, "train", stop)
    before = out.read_bytes()
    code, told, _ = call(*words)
    assert (code, "is there already: depsep-nn, 2 steps; --force" in told) == (0, True)
    code, _, err = call(*words, "-p", "seed=1")
    assert (code, "is there already. Give another name, or --force" in err) == (2, True)
    assert out.read_bytes() == before
    code, _, err = call(*words, "--force", "--save-every", "80")
    assert (code, err) == (130, "interrupted at step 80 of 100; the same command goes on from there\n")
    assert "since the last checkpoint is lost; the same command goes on" in call(*words, "--force")[2]
    assert out.with_suffix(".checkpoint").exists()
    for wrong, message in (("step=2", "Did you mean 'steps'"), ("steps=many", "takes int, not 'many'")):
        assert message in call(*words, "-p", wrong)[2]
    assert "ends in .safetensors" in call("train", "swirls", "-o", str(tmp_path / "mine.pt"))[2]


def test_the_command_writes_an_onnx_file_beside_the_network_and_over_none(tmp_path, monkeypatch, call):
    out, graph = tmp_path / "mine.safetensors", tmp_path / "mine.onnx"
    assert call(*training(out), "--onnx")[0] == 0
    picture = torch.rand(1, 3, 33, 46)
    with torch.no_grad():
        wanted = checkpoints.load(out)(picture)
    assert torch.allclose(checkpoints.OnnxNetwork(graph)(picture), wanted, atol=1e-4)
    made = out.read_bytes()
    first = graph.rename(tmp_path / "first.onnx")
    monkeypatch.setattr(checkpoints, "export_onnx", lambda network, path: first.rename(path))  # which takes its time
    assert "mine.onnx: the same, as an ONNX graph" in call(*training(out), "--onnx")[1], "nothing is trained for it"
    assert (graph.is_file(), out.read_bytes()) == (True, made)
    assert "mine.onnx is there already\n" in call(*training(out), "--onnx")[1]
    out.unlink()
    code, _, err = call(*training(out), "--onnx")
    assert (code, "mine.onnx is there already. Give another name, or --force" in err) == (2, True)
    assert not out.exists(), "it is said before the training"


def test_a_training_in_a_log_writes_a_line_a_minute(monkeypatch, tmp_path, call):
    ticks = iter(range(0, 1000, 25))
    monkeypatch.setattr(own_pictures, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    code, _, err = call(*training(tmp_path / "mine.safetensors"), "-p", "steps=8")
    assert code == 0
    steps, ends = zip(*(line.split(": loss ") for line in err.splitlines()), strict=True)
    assert steps == ("step 1 of 8", "step 4 of 8", "step 7 of 8"), "one for each minute of 25 s a step"
    assert [end.partition(", ")[2] for end in ends] == ["", "about 1 min 40 s left", "about 25 s left"]


def test_every_setting_of_a_recipe_can_be_typed_but_the_conventions_own_object():
    known = own_pictures.settings(Recipe)
    assert {field.name for field in dataclasses.fields(Recipe)} == set(known)
    types = {"steps": "int", "learning_rate": "float", "betas": "list[float]", "style_layers": "list[str]"}
    assert {name: known[name].type for name in types} == types
    assert known["betas"].default == [0.9, 0.999]


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_DATA"), reason="Linux alone can be told how much a process may take")
def test_a_picture_beyond_the_free_memory_is_an_error_and_does_not_end_the_process(tmp_path, monkeypatch):
    images.write(images.read("coffee", 20), tmp_path / "a.png")
    images.write(images.read("coffee", 30), tmp_path / "b.png")
    monkeypatch.setattr(restyling.psutil, "virtual_memory", lambda: SimpleNamespace(available=3 * 10**8))
    before = psutil.Process().rlimit(psutil.RLIMIT_DATA)

    def network(picture):
        return picture if picture.shape[2] == 30 else torch.ones(10**9)

    both = [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    failed, made = restyling.restyle(network, both, tmp_path / "out", None)
    assert failed.error.startswith(f"{tmp_path / 'a.png'}: it does not fit into memory")
    assert made.path == tmp_path / "out" / "b.png"
    assert psutil.Process().rlimit(psutil.RLIMIT_DATA) == before
