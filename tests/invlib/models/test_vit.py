"""Vision transformers: every layer is timm's own, at any resolution, and pixels come back."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from invlib.models.loading import load_model


def images(n, size):
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vit_base_patch32_clip_224"]
)
def test_every_layer_and_the_logits_are_timms_own(name):
    model = load_model(name, img_size=64, num_classes=7, seed=3).double()
    for key in ("mean", "std"):  # each family's own: CLIP's differ from those of the others
        expected = torch.tensor(model.net.pretrained_cfg[key]).double()
        torch.testing.assert_close(getattr(model.net, f"input_{key}").flatten(), expected)
    x = images(2, 64).double()
    normalised = (x - model.net.input_mean) / model.net.input_std
    blocks = model.net.forward_intermediates(
        normalised, norm=False, output_fmt="NLC", intermediates_only=True, return_prefix_tokens=True
    )
    with torch.no_grad():
        torch.testing.assert_close(model(x), model.net(normalised), rtol=1e-5, atol=1e-5)
        features = model.features(x)
        assert len(features) == len(blocks) + 1 == len(model.layers)
        for k, (patches, prefix) in enumerate(blocks, start=1):
            expected = torch.cat([prefix, patches], dim=1)
            torch.testing.assert_close(features[k], expected, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(model.prefix(x, k), expected, rtol=1e-5, atol=1e-5)
        embedded = model.net.norm_pre(model.net._pos_embed(model.net.patch_embed(normalised)))
        torch.testing.assert_close(features[0], embedded, rtol=1e-5, atol=1e-5)


def test_position_embeddings_are_resampled_as_timm_does(tmp_path):
    native = load_model("vit_tiny_patch16_224")
    save_file(native.net.state_dict(), tmp_path / "w.safetensors")
    small = load_model("vit_tiny_patch16_224", weights=tmp_path / "w.safetensors", img_size=96)
    net = timm.create_model("vit_tiny_patch16_224")
    net.load_state_dict(native.net.state_dict())
    net.set_input_size(img_size=(96, 96))
    assert torch.equal(small.net.pos_embed, net.pos_embed)
    assert small.prefix(images(1, 96), 12).shape == (1, 37, 192)


def test_reconstruction_puts_each_token_at_its_patch():
    model = load_model("vit_pico_patch8_32").with_head("reconstruction")
    head = model.net.head
    tokens = torch.zeros(1, 16, 32)
    tokens[0, 6] = 1.0  # row 1, column 2 of the 4×4 grid
    torch.nn.init.zeros_(head.proj.bias)
    picture = head(tokens)
    assert picture[0, :, 8:16, 16:24].abs().min() > 0
    picture[0, :, 8:16, 16:24] = 0
    assert not picture.any()


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"built for \(32, 32\)"):
        load_model("vit_pico_patch8_32")(images(1, 40))
