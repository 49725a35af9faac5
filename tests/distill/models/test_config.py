from __future__ import annotations

import pytest

from segkd.errors import SegkdError
from segkd_distill.models.config import ModelConfig
from segkd_distill.models.zoo import MODELS


def test_configurations_are_checked() -> None:
    values = MODELS["pspnet-r18"].to_dict()
    with pytest.raises(SegkdError, match="unknown key of a model's configuration 'heads'; did you mean 'head'"):
        ModelConfig.from_dict({**values, "heads": "psp"})
    del values["head"]
    with pytest.raises(SegkdError, match="a model's configuration needs the key 'head'"):
        ModelConfig.from_dict(values)


def test_a_run_of_before_an_option_existed_has_its_default() -> None:
    values = MODELS["pspnet-r18"].to_dict()
    del values["channel_dropout"]
    assert ModelConfig.from_dict(values) == MODELS["pspnet-r18"]


def test_lists_of_json_become_tuples_at_any_depth() -> None:
    values = {"name": "x", "backbone": "b", "head": "h", "backbone_options": {"stages": [[1, 2]]}}
    config = ModelConfig.from_dict(values)
    assert config.backbone_options == {"stages": ((1, 2),)}
