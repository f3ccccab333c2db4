"""Training: a bare loop's arithmetic, resuming bit for bit, processes that share a batch, checkpoints."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from small import SMALL, same

from stylerepro.errors import TransferError
from stylerepro.networks import checkpoints
from stylerepro.networks.feed_forward import StyleNetwork
from stylerepro.training.photographs import Photographs
from stylerepro.training.recipe import Criterion
from stylerepro.training.train import Snapshots, train

GENERATOR = torch.Generator().manual_seed(8)
STYLE = torch.rand(1, 3, 20, 24, generator=GENERATOR)


def go(recipe, **options):
    return train(STYLE, recipe, **({"device": "cpu"} | options))


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
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]
    torch.manual_seed(123)  # a fresh process has other random states
    resumed = go(how, checkpoint=file)
    assert same(whole.network, resumed.network)
    assert list(resumed.history["total"]) == list(whole.history["total"])
    again = go(how, checkpoint=file)  # nothing is left to do
    assert same(whole.network, again.network)
    longer = go(replace(how, steps=8), checkpoint=file)
    assert len(longer.history) == 8
    assert same(longer.network, go(replace(how, steps=8)).network)


@pytest.mark.parametrize("times", [1, 2])
def test_interrupted_it_keeps_what_was_learned_and_the_second_time_it_ends_at_once(times, recipe, tmp_path):
    # A shell's background processes ignore the signal, and so would the tests there.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    file, how, before = tmp_path / "training.pt", recipe(), signal.getsignal(signal.SIGINT)

    def press(progress):
        if progress.step == 5:
            for _ in range(times):
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt) as interrupted:
        go(how, checkpoint=file, callback=press)
    assert signal.getsignal(signal.SIGINT) is before
    said = [f"interrupted at step 5 of {how.steps}; kept in {file}"] if times == 1 else []
    assert list(interrupted.value.args) == said
    assert file.exists() == (times == 1)
    steps = []
    resumed = go(how, checkpoint=file, callback=lambda progress: steps.append(progress.step))
    assert steps[0] == (6 if times == 1 else 1)
    assert same(resumed.network, go(how).network)


def test_a_training_that_stopped_in_parts_or_in_bfloat16_is_the_same_training(recipe, tmp_path):
    file, whole = tmp_path / "training.pt", go(recipe())
    assert not go(recipe(), checkpoint=file, until=2).finished
    rest = go(recipe(), checkpoint=file)
    assert rest.finished
    assert same(rest.network, whole.network)
    parts, coarse = go(recipe(accumulation=2)), go(recipe(precision="bf16"))
    assert list(parts.history["total"]) == pytest.approx(list(whole.history["total"]), rel=1e-3)
    assert {weights.dtype for weights in coarse.network.parameters()} == {torch.float32}
    # Behind a few steps the two part ways: these networks are random and their losses steep.
    assert list(coarse.history["total"][:2]) == pytest.approx(list(whole.history["total"][:2]), rel=0.03)
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
    given = {"name": "johnson-in", "changes": SMALL, "style": STYLE.tolist(), "loss_network": "tiny"}
    names = ("content_layers", "style_layers", "photographs", "size", "batch", "steps", "tv_weight", "learning_rate")
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
    alone, totals = go(how).history["total"], torch.load(file, weights_only=True)["history"][:, 3].tolist()
    assert totals[0] == pytest.approx(alone[0], rel=1e-5)
    assert totals == pytest.approx(list(alone), rel=1e-2)
    # The file of two processes is one that a single process goes on from.
    longer = go(replace(how, steps=6), checkpoint=file)
    assert (len(longer.history), list(longer.skipped)) == (6, ["spoilt.jpg"])


# ---- checkpoints


def test_a_checkpoint_of_another_training_is_refused(recipe, tmp_path):
    file = tmp_path / "training.pt"
    go(recipe(), checkpoint=file, until=1)
    with pytest.raises(TransferError, match=r"other settings: style_weight \(40\.0 there, 4\.0 now\)"):
        go(recipe(style_weight=4.0), checkpoint=file)
    with pytest.raises(TransferError, match="style picture"):
        train(1 - STYLE, recipe(), checkpoint=file, device="cpu")
    go(recipe(accumulation=2), checkpoint=file, until=2)  # only the order of sums


def test_damaged_and_foreign_checkpoints_are_refused_and_their_code_does_not_run(recipe, tmp_path):
    class Trap:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "sprung"),))

    file = tmp_path / "training.pt"
    go(recipe(), checkpoint=file, until=1)
    whole = file.read_bytes()
    torch.save({"format": "stylerepro.training.train/1", "trap": Trap()}, file)
    for content in (file.read_bytes(), whole[:-50], b"", b"no checkpoint", b"as far as it came"):
        file.write_bytes(content)
        with pytest.raises(TransferError, match=r"training\.pt cannot be read as a checkpoint"):
            go(recipe(), checkpoint=file)
    assert not (tmp_path / "sprung").exists()
    torch.save({"weights": torch.zeros(1)}, file)
    with pytest.raises(TransferError, match="not a checkpoint of a training"):
        go(recipe(), checkpoint=file)


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
    description = checkpoints.describe(path)
    assert description.architecture == trained.recipe.architecture
    assert (description.trained["style"], description.trained["step"]) == ("swirls:3", 2)
    told = description.trained["recipe"]
    assert (told["style_weight"], told["convention"]["gram"]) == (40, "all")
    assert "/" not in told["photographs"]  # no traces of a machine


def test_the_bar_shows_up_only_when_asked(recipe, capsys):
    for asked in (False, True):
        go(recipe(), until=1, progress=asked)
        assert ("training" in capsys.readouterr().err) == asked


@pytest.mark.parametrize(
    ("style", "changes", "device", "named"),
    [
        (STYLE, {"accumulation": 3}, "cpu", "multiple of 3"),
        (STYLE[0], {}, "cpu", r"\(1, 3, H, W\)"),
        (STYLE, {}, "tpu", "'auto' or 'cpu'"),
    ],
)
def test_calls_that_do_not_fit_are_named(recipe, style, changes, device, named):
    with pytest.raises(TransferError, match=named):
        train(style, recipe(**changes), device=device)
