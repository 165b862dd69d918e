"""The published weights: the right file only, kept without a pickle."""

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from tests.servers.files import FileHost
from training.cli import main
from training.datasets.download import RemoteFile
from training.errors import PretrainedError
from training.pretrained import PUBLISHED, convert, download, load_pretrained


def test_the_published_file_becomes_safetensors(pretrained_file, tmp_path):
    out = tmp_path / "new" / "mn04.safetensors"

    result = CliRunner().invoke(
        main, ["pretrained", "--weights", str(pretrained_file), "--out", str(out)]
    )

    assert result.exit_code == 0, result.output
    weights = load_file(out)
    network = load_pretrained(out)
    assert all(torch.equal(weights[name], value) for name, value in network.state_dict().items())
    assert not network.training


def test_another_file_is_refused(tmp_path):
    wrong = tmp_path / "mn04_as_mAP_432.pt"
    wrong.write_bytes(b"something else")

    with pytest.raises(PretrainedError, match="14 bytes instead of 4,066,513"):
        convert(wrong, tmp_path / "out")
    wrong.write_bytes(bytes(4_066_513))
    with pytest.raises(PretrainedError, match="does not match its checksum"):
        convert(wrong, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_host_may_send_it(tmp_path):
    with FileHost({"/release": b"weights"}) as host:
        published = RemoteFile("mn04.pt", f"{host.url}/release", "", 7)
        assert download(tmp_path, published).read_bytes() == b"weights"


def test_its_checksum_is_pinned():
    assert PUBLISHED.url.startswith("https://github.com/fschmid56/EfficientAT/releases/")
    assert PUBLISHED.checksum.startswith("sha256:899a8c62")


@pytest.mark.parametrize("options", [[], ["--fetch", "--weights", __file__]])
def test_the_command_takes_a_file_or_fetches_one(options, tmp_path):
    result = CliRunner().invoke(main, ["pretrained", *options, "--out", str(tmp_path / "out")])

    assert result.exit_code == 2
    assert "--weights FILE or --fetch" in result.output


def test_weights_that_are_missing_or_damaged_are_named(tmp_path):
    with pytest.raises(PretrainedError, match="--fetch"):
        load_pretrained(tmp_path / "mn04.safetensors")
    (tmp_path / "mn04.safetensors").write_bytes(b"{}")
    with pytest.raises(PretrainedError, match="damaged"):
        load_pretrained(tmp_path / "mn04.safetensors")
