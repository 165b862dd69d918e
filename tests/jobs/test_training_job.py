"""Training as a job: the model is registered where the team finds it."""

import pytest

from jobs.cli import main
from jobs.modal_training import on_volume
from jobs.training import with_defaults
from tests.helpers.commands import command_runner, run_module
from tests.helpers.synthetic_clips import make_clips
from tests.servers.hopsworks import HopsworksServer
from training.cli import main as training

SMALL = ("--epochs", 2, "--channels", "4,4,8,8", "--hidden", 8, "--min-recordings", 4)


@pytest.fixture
def train(tmp_path):
    """Runs `python -m jobs train clips` on made-up clips, with more settings by name."""

    def run(*arguments, **settings):
        data = make_clips(tmp_path / "clips", recordings=10)
        places = ("--data", data, "--out", tmp_path / "bundle", "--run", tmp_path / "run")
        environment = {f"EARMARK_HOPSWORKS_{name}": value for name, value in settings.items()}
        environment |= {"OMP_NUM_THREADS": "1", "EARMARK_WORKSPACE": tmp_path / "w"}
        options = (*places, "--name", "tiny", *SMALL, *arguments)
        return run_module("jobs", "train", "clips", *options, **environment)

    return run


def test_a_trained_model_is_registered_with_its_scores(train):
    with HopsworksServer() as server:
        result = train(
            HOST=server.host,
            PORT=server.port,
            PROJECT=server.project,
            API_KEY=server.key,
            CERTIFICATE=server.certificate,
        )
        assert result.returncode == 0, result.stderr
        assert "Registered tiny v1." in result.stderr
        (model,) = server.store.models.values()
        assert {"pr_auc_macro", "roc_auc_macro"} <= model["metrics"].keys()
        assert server.errors == []


def test_a_shared_folder_that_does_not_open_is_said_before_anything_is_trained(train, tmp_path):
    result = train(HOST="localhost", PORT=1, PROJECT="demo", API_KEY="x")
    assert result.returncode == 1
    assert "cannot be reached" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture
def earmark(tmp_path, monkeypatch, capsys):
    """Runs a command of the jobs in this process, with a workspace that does not exist yet."""
    return command_runner(main, monkeypatch, capsys, EARMARK_WORKSPACE=tmp_path / "w")


def test_help_is_that_of_the_training_and_needs_no_workspace(earmark, tmp_path):
    result = earmark("train", "--help")
    assert result.returncode == 0, result.stderr
    assert "clips" in result.stdout
    assert not (tmp_path / "w").exists()


def test_wrong_arguments_are_those_of_the_training(earmark, tmp_path):
    result = earmark("train", "clips", "--data", tmp_path, "--epochs", "0")
    assert result.returncode == 2
    assert "Invalid value for '--epochs'" in result.stderr


def parsed(arguments):
    """Return the values that the training would see."""
    name, *options = arguments
    return training.commands[name].make_context(name, options, resilient_parsing=True).params


def test_on_modal_checkpoints_and_bundle_go_to_the_volume():
    values = parsed(on_volume(["clips", "--data", "/data/clips"]))
    assert str(values["run"]).startswith("/data/runs/clips-")
    assert str(values["out"]).startswith("/data/bundles/clips-")


def run_folder(*arguments):
    return parsed(on_volume(["clips", "--data", "/data/clips", *arguments]))["run"]


def test_the_same_arguments_go_on_in_the_same_folder_and_others_begin_in_another():
    assert run_folder() == run_folder()
    assert run_folder("--recipe", "prototype") != run_folder()
    assert run_folder("--epochs", "80") != run_folder("--epochs", "60")


def test_a_named_bundle_does_not_change_where_the_checkpoints_are():
    assert run_folder("--out", "/data/mine") == run_folder("--out=/data/other") == run_folder()


@pytest.mark.parametrize("name", ["--run", "--out"])
@pytest.mark.parametrize("form", ["{name} /data/mine", "{name}=/data/mine"])
def test_what_the_user_names_wins_over_the_volumes_defaults(name, form):
    arguments = ["clips", *form.format(name=name).split(), "--data", "/data/clips"]
    assert str(parsed(on_volume(arguments))[name.removeprefix("--")]) == "/data/mine"


def test_defaults_are_put_before_the_users_arguments():
    complete = with_defaults(["clips", "--out", "mine"], {"--out": "default"})
    assert complete == ["clips", "--out", "default", "--out", "mine"]
