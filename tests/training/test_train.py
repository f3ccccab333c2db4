"""Training: the document's loss, a bare loop's arithmetic, resuming bit for bit, processes that share a batch."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from stylerepro.errors import AssetError, NetworkError, TransferError
from stylerepro.networks import checkpoints
from stylerepro.networks.feed_forward import StyleNetwork, architecture
from stylerepro.networks.loss_network import LossNetwork
from stylerepro.pictures import assets, images
from stylerepro.training.photographs import Photographs, ahead
from stylerepro.training.recipe import Criterion, Recipe
from stylerepro.training.train import Snapshots, train
from stylerepro.transfer import losses
from stylerepro.transfer.objective import conventions

GENERATOR = torch.Generator().manual_seed(8)
STYLE = torch.rand(1, 3, 20, 24, generator=GENERATOR)
LAYERS = {"content_layers": ["conv2_2"], "style_layers": ["conv1_1", "conv2_1"]}
SMALL = {"widths": (4, 4, 6), "residual_blocks": 1}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five photographs, in the layout of COCO."""
    root = tmp_path_factory.mktemp("pictures")
    for number in range(5):
        picture = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(number))
        large = torch.nn.functional.interpolate(picture, (30 + number, 36), mode="bilinear")
        images.write(large, root / "train2014" / f"COCO_train2014_{number:012d}.jpg")
    return root


@pytest.fixture
def recipe(folder):
    def make(name="johnson-in", **changes):
        tiny = {"loss_network": "tiny", "photographs": str(folder), "size": 16, "batch": 4, "steps": 6, **LAYERS}
        reading = conventions("johnson", tv_reduction="mean")
        settings = {"tv_weight": 0.5, "convention": reading, "learning_rate": 2e-3}
        return Recipe(architecture(name, **SMALL), **(tiny | settings | changes))

    return make


def go(recipe, **options):
    return train(STYLE, recipe, **({"device": "cpu"} | options))


def same(one, other):
    return all(torch.equal(value, other.state_dict()[key]) for key, value in one.state_dict().items())


# ---- the loss


def test_the_loss_is_the_documents(recipe):
    """λ_c·‖φ(ŷ) − φ(y)‖²/(CHW) + λ_s·Σ_j ‖G_j(ŷ) − G_j(y_s)‖²_F/2 + λ_TV·TV, written out with Gram/(CHW)."""
    how = recipe(content_weight=2.0, style_weight=40.0, tv_weight=200.0, convention="johnson")
    made, photographs = torch.rand(2, 2, 3, 16, 20, generator=GENERATOR)
    found = Criterion(STYLE, how)(made, photographs)
    network = LossNetwork("tiny", ["relu2_2", "relu1_1", "relu2_1"])
    ours, theirs, wanted = network(made), network(photographs), network(STYLE)

    def gram(features):
        flat = features.flatten(2)
        return flat @ flat.mT / flat[0].numel()

    content = (ours["relu2_2"] - theirs["relu2_2"]).square().flatten(1).mean(1)
    style = sum((gram(ours[name]) - gram(wanted[name])).square().sum((1, 2)) / 2 for name in ("relu1_1", "relu2_1"))
    tv = losses.total_variation(made)
    for name, expected in (("content", content), ("style", style), ("tv", tv)):
        torch.testing.assert_close(found[name], expected, rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(found["total"], 2 * content + 40 * style + 200 * tv, rtol=1e-5, atol=0)


def test_photographs_are_targets_without_a_gradient(recipe):
    made = torch.rand(1, 3, 16, 16, requires_grad=True)
    photographs = torch.rand(1, 3, 16, 16, requires_grad=True)
    Criterion(STYLE, recipe())(made, photographs)["total"].sum().backward()
    assert made.grad is not None
    assert photographs.grad is None


def test_a_term_alone_needs_no_layers_of_the_others(recipe):
    only = recipe(content_layers=[], content_weight=0.0)
    made, photographs = torch.rand(2, 1, 3, 16, 16)
    found = Criterion(STYLE, only)(made, photographs)
    assert float(found["content"]) == 0
    assert float(found["style"]) > 0


# ---- the loop


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_training_is_the_bare_loop(optimiser, recipe):
    """The same batches, loss and optimiser in ten lines."""
    how = recipe(optimiser=optimiser, betas=(0.999, 0.99), rate="cosine", steps=4)
    trained = go(how)
    network, criterion = StyleNetwork(how.architecture, how.seed), Criterion(STYLE, how)
    photographs = Photographs(how.photographs, size=16, seed=how.seed)
    kind = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimiser]
    method = kind(network.parameters(), lr=2e-3, **({"betas": (0.999, 0.99)} if optimiser == "adam" else {}))
    totals = []
    for step, rate in enumerate([2e-3, 2e-3 * (2 + 2**0.5) / 4, 1e-3, 2e-3 * (2 - 2**0.5) / 4]):
        batch = photographs.draw(range(4 * step, 4 * step + 4))
        method.param_groups[0]["lr"] = rate
        method.zero_grad()
        loss = criterion(network(batch), batch)["total"].mean()
        loss.backward()
        method.step()
        totals.append(loss.item())
        assert trained.history["learning_rate"][step] == pytest.approx(rate)
    assert list(trained.history["total"]) == pytest.approx(totals, rel=1e-4)


def test_training_lowers_the_loss_and_keeps_books(recipe):
    how = recipe("depsep-nn", steps=40)
    trained = go(how)
    history = trained.history
    assert list(history["step"]) == list(range(1, 41))
    assert history["total"].tail(5).mean() < 0.8 * history["total"].head(5).mean()
    weighted = 2 * history["content"] + 40 * history["style"] + 0.5 * history["tv"]
    assert list(weighted) == pytest.approx(list(history["total"]), rel=1e-5)
    assert (history["seconds"] > 0).all()
    assert trained.finished
    assert trained.skipped == {}
    assert not trained.network.training
    picture, criterion = torch.rand(1, 3, 17, 30), Criterion(STYLE, how)
    before, after = (
        criterion(network.eval()(picture), picture)["total"]
        for network in (StyleNetwork(how.architecture), trained.network)
    )
    assert after < before


@pytest.mark.parametrize("name", ["johnson-in", "johnson"])
def test_killed_and_resumed_gives_the_same_bits(name, recipe, tmp_path):
    """Killed in the middle of a step; what goes on knows nothing but the file."""
    file, how = tmp_path / "training.pt", recipe(name)
    whole = go(how)

    def kill(progress):
        if progress.step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(how, checkpoint=file, save_every=3, callback=kill)
    assert [one.name for one in tmp_path.iterdir()] == ["training.pt"]
    torch.manual_seed(123)  # a fresh process has other random states
    resumed = go(how, checkpoint=file)
    assert same(whole.network, resumed.network)
    assert list(resumed.history["total"]) == list(whole.history["total"])
    again = go(how, checkpoint=file)  # nothing is left to do
    assert same(whole.network, again.network)
    longer = go(replace(how, steps=8), checkpoint=file)
    assert len(longer.history) == 8
    assert same(longer.network, go(replace(how, steps=8)).network)


def test_training_stops_where_told_and_goes_on(recipe, tmp_path):
    file = tmp_path / "training.pt"
    assert not go(recipe(), checkpoint=file, until=2).finished
    rest = go(recipe(), checkpoint=file)
    assert rest.finished
    assert same(rest.network, go(recipe()).network)


def test_parts_of_a_batch_give_the_same_losses(recipe):
    whole, parts = go(recipe()), go(recipe(accumulation=2))
    assert list(parts.history["total"]) == pytest.approx(list(whole.history["total"]), rel=1e-3)


def test_bfloat16_follows_float32(recipe):
    coarse = go(recipe(precision="bf16"))
    assert {one.dtype for one in coarse.network.parameters()} == {torch.float32}
    fine = go(recipe())
    # Behind a few steps the two part ways: these networks are random and their losses steep.
    assert list(coarse.history["total"][:2]) == pytest.approx(list(fine.history["total"][:2]), rel=0.03)
    assert coarse.history["total"].iloc[-1] < coarse.history["total"][0] / 2


SCRIPT = """
import json, sys, torch
from stylerepro.networks.feed_forward import architecture
from stylerepro.training.recipe import Recipe
from stylerepro.training.train import train
torch.set_num_threads(1)
given = json.loads(sys.argv[1])
given["architecture"] = architecture(given.pop("name"), **given.pop("changes"))
trained = train(torch.tensor(given.pop("style")), Recipe(**given), checkpoint=sys.argv[2], device="cpu")
sys.stdout.write(f"{list(trained.skipped)}\\n")
"""


def test_two_processes_give_the_losses_of_one(recipe, folder, tmp_path):
    """The first step's loss to 1e-5, relative; later ones to 1e-2, since sums in another order part ways slowly."""
    shutil.copytree(folder, tmp_path / "pictures")
    (tmp_path / "pictures" / "spoilt.jpg").write_bytes(b"spoilt")
    how = recipe(convention="johnson", photographs=str(tmp_path / "pictures"), steps=5)
    (tmp_path / "script.py").write_text(SCRIPT)
    given = {"name": "johnson-in", "changes": SMALL, "style": STYLE.tolist(), "loss_network": "tiny", **LAYERS}
    names = ("convention", "photographs", "size", "batch", "steps", "tv_weight", "learning_rate")
    given |= {name: getattr(how, name) for name in names} | {"convention": "johnson"}
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "--num_machines",
              "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"]  # fmt: skip
    file = tmp_path / "two.pt"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [*launch, str(tmp_path / "script.py"), json.dumps(given), str(file)],
        capture_output=True, text=True, check=False, timeout=300, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['spoilt.jpg']\n"  # of the main process; the others are not shown
    one, both = go(how), torch.load(file, weights_only=True)
    totals = both["history"][:, 3].tolist()
    assert totals[0] == pytest.approx(one.history["total"][0], rel=1e-5)
    assert totals == pytest.approx(list(one.history["total"]), rel=1e-2)
    # The file of two processes is one that a single process goes on from.
    assert len(go(replace(how, steps=6), checkpoint=file).history) == 6


# ---- checkpoints


def test_a_checkpoint_of_another_training_is_refused(recipe, tmp_path):
    file = tmp_path / "training.pt"
    go(recipe(), checkpoint=file, until=1)
    with pytest.raises(TransferError, match=r"other settings: style_weight \(40\.0 there, 4\.0 now\)"):
        go(recipe(style_weight=4.0), checkpoint=file)
    with pytest.raises(TransferError, match="style picture"):
        train(1 - STYLE, recipe(), checkpoint=file, device="cpu")
    go(recipe(accumulation=2), checkpoint=file, until=2)  # only the order of sums


def test_damaged_and_foreign_checkpoints_are_refused(recipe, tmp_path):
    file = tmp_path / "training.pt"
    go(recipe(), checkpoint=file, until=1)
    whole = file.read_bytes()
    for content in (whole[:-50], b"", b"no checkpoint"):
        file.write_bytes(content)
        with pytest.raises(TransferError, match=r"training\.pt cannot be read as a checkpoint"):
            go(recipe(), checkpoint=file)
    torch.save({"weights": torch.zeros(1)}, file)
    with pytest.raises(TransferError, match="not a checkpoint of a training"):
        go(recipe(), checkpoint=file)


def test_code_in_a_checkpoint_does_not_run(recipe, tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    torch.save({"format": "stylerepro.training.train/1", "trap": Trap()}, tmp_path / "training.pt")
    with pytest.raises(TransferError, match="cannot be read as a checkpoint"):
        go(recipe(), checkpoint=tmp_path / "training.pt")
    assert not (tmp_path / "sprung").exists()


def test_a_lost_loss_says_where_and_spoils_no_checkpoint(recipe, tmp_path):
    file, how = tmp_path / "training.pt", recipe(optimiser="sgd", learning_rate=1e30)
    with pytest.raises(TransferError, match=r"at step \d of 6: content .*learning rate 1e\+30") as caught:
        go(how, checkpoint=file, save_every=1)
    error = caught.value
    assert len(error.history) == error.step + 1
    kept = torch.load(file, weights_only=True)
    assert kept["step"] == error.step
    assert bool(torch.isfinite(kept["history"][:, 3]).all())


# ---- what is watched and kept


def test_the_callback_sees_each_step_and_changes_nothing(recipe):
    picture, seen = torch.rand(1, 3, 19, 21), []
    snapshots = Snapshots(picture, every=2)

    def watch(progress):
        seen.append((progress.step, progress.steps, progress.losses["total"]))
        snapshots(progress)

    trained = go(recipe("johnson"), callback=watch)
    assert [(step, steps) for step, steps, _ in seen] == [(step, 6) for step in range(1, 7)]
    assert [total for *_, total in seen] == list(trained.history["total"])
    assert list(snapshots.kept) == [2, 4, 6]
    assert same(trained.network, go(recipe("johnson")).network)
    with torch.no_grad():
        torch.testing.assert_close(snapshots.kept[6], trained.network(picture), rtol=0, atol=1e-5)


def test_a_trained_network_tells_what_it_was_trained_on(recipe, tmp_path):
    trained = go(recipe("depsep"), until=2)
    path = trained.save(tmp_path / "net.safetensors", "swirls:3", half=True)
    found = checkpoints.describe(path)
    assert found.architecture == trained.recipe.architecture
    assert found.trained["style"] == "swirls:3"
    assert found.trained["step"] == 2
    assert found.trained["recipe"]["style_weight"] == 40
    assert "/" not in found.trained["recipe"]["photographs"]  # no traces of a machine
    assert found.trained["recipe"]["convention"]["gram"] == "all"


def test_the_bar_shows_up_only_when_asked(recipe, capsys):
    go(recipe(), until=1)
    assert "training" not in capsys.readouterr().err
    go(recipe(), until=1, progress=True)
    assert "training" in capsys.readouterr().err


# ---- photographs


def test_samples_are_functions_of_seed_and_number(folder):
    one, other = (Photographs(folder, size=12, seed=3) for _ in range(2))
    backwards = torch.cat([other.draw([number]) for number in range(13, -1, -1)]).flip(0)
    assert torch.equal(one.draw(range(14)), backwards)
    assert not torch.equal(one.draw([0]), Photographs(folder, size=12, seed=4).draw([0]))
    assert one.draw([0]).shape == (1, 3, 12, 12)
    assert 0 <= one.draw(range(14)).min() <= one.draw(range(14)).max() <= 1


def test_each_picture_comes_once_a_round(folder):
    photographs = Photographs(folder, size=8)
    rounds = [[photographs.name(5 * turn + place) for place in range(5)] for turn in range(3)]
    assert all(len(set(one)) == 5 for one in rounds)
    assert len({tuple(one) for one in rounds}) > 1
    assert rounds[0][0].startswith("train2014/COCO_train2014_0000")
    without = Photographs(folder, size=8, leave_out=[f"COCO_train2014_{2:012d}"])
    assert len(without) == 4
    assert without.identity != photographs.identity


def test_stretching_takes_the_whole_picture(folder):
    photographs = Photographs(folder, size=10, crop="stretch")
    whole = images.read(folder / photographs.name(0))
    expected = torch.nn.functional.interpolate(whole, (10, 10), mode="bilinear", antialias=True)
    torch.testing.assert_close(photographs.draw([0]), expected, rtol=0, atol=1e-3)


def test_unreadable_files_are_skipped_counted_and_named(folder, recipe, tmp_path):
    for place, path in enumerate(assets.photo_files(folder)):
        target = tmp_path / "mixed" / f"deep{place}" / path.name
        target.parent.mkdir(parents=True)
        target.write_bytes(path.read_bytes() if place % 2 else b"spoilt")
    trained = go(recipe(photographs=str(tmp_path / "mixed")))
    assert list(trained.skipped) == [f"deep{place}/COCO_train2014_{place:012d}.jpg" for place in (0, 2, 4)]
    assert "not a JPEG" in next(iter(trained.skipped.values()))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"spoilt")
    with pytest.raises(AssetError, match="None of the 1 pictures"):
        Photographs(tmp_path / "bad").draw([0])
    with pytest.raises(AssetError, match="no folder of photographs"):
        go(recipe(photographs=str(tmp_path / "missing")))


def test_embedded_pictures_need_no_download(monkeypatch, tmp_path):
    monkeypatch.delenv(assets.MIRROR_VARIABLE, raising=False)
    monkeypatch.setenv("STYLEREPRO_CACHE", str(tmp_path))
    photographs = Photographs("auto", size=32, leave_out=["coffee"])
    assert (photographs.source, len(photographs)) == ("embedded", 7)
    assert photographs.draw([0]).shape == (1, 3, 32, 32)


def test_the_thread_ahead_keeps_the_order_and_hands_errors_on():
    assert list(ahead(lambda number: number**2, range(5))) == [0, 1, 4, 9, 16]
    assert list(ahead(lambda number: number, range(1))) == [0]
    assert list(ahead(lambda number: number, range(0))) == []
    series = ahead(lambda number: 1 // (2 - number), range(5))
    assert [next(series), next(series)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(series)


# ---- settings


def test_the_defaults_are_the_documents():
    recipe = Recipe()
    assert (recipe.content_weight, recipe.style_weight, recipe.tv_weight) == (2, 40, 200)
    assert (recipe.size, recipe.batch, recipe.learning_rate, recipe.optimiser) == (256, 8, 1e-3, "adam")
    assert recipe.steps == -(-2 * 82_783 // 8)
    assert recipe.layer_weights["content"] == {"relu4_2": 1.0}
    assert set(recipe.layer_weights["style"].values()) == {0.2}
    how = conventions(recipe.convention)
    assert (how.content, how.style, how.gram, how.style_factor) == ("mean", "squared", "all", False)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"optimiser": "lbfgs"}, "adam, sgd"),
        ({"rate": "step"}, "cosine"),
        ({"precision": "fp16"}, "bf16"),
        ({"crop": "centre"}, "stretch"),
        ({"steps": 0}, "steps must be at least 1"),
        ({"tv_weight": -1.0}, "tv_weight"),
        ({"learning_rate": float("nan")}, "above 0"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"convention": "jonson"}, "johnson"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, named):
    with pytest.raises(TransferError, match=named):
        Recipe(**settings)


def test_calls_that_do_not_fit_are_named(recipe):
    with pytest.raises(NetworkError, match="Did you mean 'johnson'"):
        Recipe("jonson")
    with pytest.raises(TransferError, match="multiple of 3"):
        go(recipe(accumulation=3))
    with pytest.raises(TransferError, match=r"\(1, 3, H, W\)"):
        train(STYLE[0], recipe(), device="cpu")
    with pytest.raises(TransferError, match="'auto' or 'cpu'"):
        go(recipe(), device="tpu")


def test_what_is_read_ahead_takes_one_thread_and_leaves_the_others_alone():
    """A second team of threads would take the cores from the step that computes."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert list(ahead(lambda number: torch.get_num_threads(), range(3))) == [1, 1, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
