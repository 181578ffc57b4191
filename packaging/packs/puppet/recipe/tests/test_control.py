"""The ControlNet: silent before its training, of the shape that the farm loads.

Needs requirements.txt; skipped where only requirements-test.txt is installed.
"""
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from diffusers import ControlNetModel

from puppet import control, export
from puppet.generator import Model


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Model(300).eval().requires_grad_(False)


def predict(model, net):
    torch.manual_seed(1)
    z, ids = torch.randn(2, 12, 14, 24), torch.randint(0, 298, (2, 40))
    t, embedding, picture = torch.tensor([100, 900]), torch.randn(2, 512), torch.rand(2, 3, 112, 192)
    ask = control.Steered(model, net, picture) if net else model
    with torch.no_grad():
        return ask(z, t, ids, embedding, torch.ones(2))


def test_a_new_net_changes_nothing_and_a_trained_one_does(model):
    torch.nn.init.normal_(model.unet.conv_out.weight, std=0.1)
    net = control.new(model.unet).eval()
    assert torch.equal(predict(model, net), predict(model, None))
    torch.nn.init.normal_(net.controlnet_mid_block.weight, std=0.5)
    assert (predict(model, net) - predict(model, None)).abs().max() > 1e-3


def test_a_new_net_starts_as_the_generators_way_down(model):
    net = control.new(model.unet)
    for name in ("conv_in.weight", "down_blocks.1.resnets.0.conv1.weight", "mid_block.resnets.0.conv2.weight"):
        assert torch.equal(net.state_dict()[name], model.unet.state_dict()[name])


def test_what_is_exported_opens_in_diffusers(model, tmp_path):
    net = control.new(model.unet)
    torch.save(net.state_dict(), tmp_path / "ema.pt")
    export.write_control(tmp_path, tmp_path / "ema.pt")
    found = ControlNetModel.from_pretrained(tmp_path / "controlnet", variant="fp16")
    assert torch.allclose(found.conv_in.weight.float(), net.conv_in.weight, atol=1e-3)
    assert str(tmp_path) not in (tmp_path / "controlnet/config.json").read_text()
