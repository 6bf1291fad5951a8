"""The table of timm's networks: the page shows the list in data/, and that is what is found."""

from functools import partial

import pytest
import timm
from timm.layers import HybridEmbed
from timm.models.vision_transformer import VisionTransformer

from invlib.models.hooked import HookedModel
from invlib.models.loading import load_model
from tests.timm_models import PAGE, check, look, read, smallest, table


def test_the_page_shows_the_list():
    rows = read()
    assert table(rows) in PAGE.read_text(encoding="utf-8")
    assert [row["model"] for row in rows] == timm.list_models()
    assert len(smallest(rows)) >= 60  # of which features and logits are held to timm's own


@pytest.mark.parametrize(
    "name",
    ["test_convnext", "vit_tiny_patch16_224", "vit_base_mci_224", "resnet18", "pit_ti_224"]
    + ["coat_tiny"],
)
def test_a_row_is_what_is_found(name):
    (row,) = [row for row in read() if row["model"] == name]
    assert look(name) == row
    assert bool(row["refused"]) == (name == "coat_tiny")


def test_a_plain_vit_with_convolutions_before_its_patches_is_cut_by_hooks(monkeypatch):
    """``vit_base_mci_224`` is a VisionTransformer, but its embedding is no patch convolution."""
    monkeypatch.setattr(timm, "create_model", partial(timm.create_model, depth=2))
    assert check("vit_base_mci_224", img_size=64) == (2, 2)  # features and logits are timm's own
    model = load_model("vit_base_mci_224", img_size=64)
    assert isinstance(model, HookedModel) and type(model.net) is VisionTransformer
    assert isinstance(model.net.patch_embed, HybridEmbed) and len(model.stages) == 3


def test_load_model_gives_the_reason():
    (row,) = [row for row in read() if row["model"] == "crossvit_9_240"]
    with pytest.raises(ValueError) as error:
        load_model("crossvit_9_240")
    assert str(error.value) == row["refused"]
