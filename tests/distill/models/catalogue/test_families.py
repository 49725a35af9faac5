"""Each model of the zoo: its parameters as it is, everything else on a slim copy."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from segkd_distill.models.catalogue.families import ATTNFD, CIRKD, OPEN_MMLAB, QUICKSTART, TORCHVISION
from segkd_distill.models.zoo import MODELS
from tests.distill.models.base import HEIGHT_PX, WIDTH_PX, BaseModelTester, SlimModelTester, check_export, count


class Original(NamedTuple):
    """A model, and what the original has for so many classes.

    Attributes:
        name: a key of ``MODELS``.
        classes: of the original.
        parameters: with the auxiliary head.
        long: a bigger brother, whose slim copy hardly differs: tested in the long run.
    """

    name: str
    classes: int
    parameters: int
    long: bool = False


ORIGINALS = (
    Original("pspnet-r18", 150, 12_815_500),
    Original("pspnet-r50", 150, 49_076_364, long=True),
    Original("pspnet-r101", 150, 68_068_492, long=True),
    Original("pspnet-mv2", 150, 13_721_132),
    Original("hrnet-w18s", 150, 3_974_810),
    Original("hrnet-w48", 150, 65_953_110, long=True),
    Original("deeplabv3-r18", 150, 14_011_788),
    Original("deeplabv3-r101", 150, 87_206_028, long=True),
    Original("deeplabv3plus-r18", 150, 12_494_376),
    Original("deeplabv3plus-r101", 150, 62_682_876, long=True),
    Original("deeplabv3plus-mv2", 150, 15_345_244),
    Original("isanet-r18", 150, 12_459_148),
    Original("isanet-r101", 150, 56_800_396, long=True),
    Original("cirkd-deeplabv3-r18", 19, 13_607_974),
    Original("cirkd-deeplabv3-r101", 19, 61_118_950, long=True),
    Original("cirkd-deeplabv3-mv2", 19, 3_233_171),
    Original("cirkd-pspnet-r18", 19, 12_919_334),
    Original("cirkd-pspnet-r101", 19, 68_072_166, long=True),
    Original("cirkdv2-deeplabv3-r18", 19, 22_762_918, long=True),
    Original("cirkdv2-deeplabv3-r101", 19, 79_084_262, long=True),
    Original("torchvision-deeplabv3-r50", 21, 42_004_074, long=True),
    Original("torchvision-deeplabv3-r101", 21, 60_996_202, long=True),
    Original("torchvision-fcn-r50", 21, 35_322_218, long=True),
    Original("torchvision-fcn-r101", 21, 54_314_346, long=True),
    Original("attnfd-deeplabv3plus-r18", 21, 16_608_181),
    Original("attnfd-deeplabv3plus-r101", 21, 59_344_309, long=True),
    Original("attnfd-deeplabv3plus-mv2", 21, 5_816_053),
)
SMALL = [original.name for original in ORIGINALS if not original.long]


class TestNamedModel(SlimModelTester):
    @pytest.fixture(
        autouse=True,
        params=[pytest.param(row.name, marks=[pytest.mark.long] if row.long else []) for row in ORIGINALS],
    )
    def named(self, request: pytest.FixtureRequest) -> None:
        self.name = request.param


class TestQuickstartTeacher(BaseModelTester):
    config = MODELS["quickstart-teacher"]


class TestQuickstartMobileNet(BaseModelTester):
    config = MODELS["quickstart-mv2"]


class TestQuickstartResNet(BaseModelTester):
    config = MODELS["quickstart-r18"]


@pytest.mark.parametrize("original", ORIGINALS, ids=lambda original: original.name)
def test_parameters_are_those_of_the_original(original: Original) -> None:
    assert count(original.name, original.classes) == original.parameters


@pytest.mark.long
@pytest.mark.parametrize("name", SMALL)
def test_exported_graph_gives_the_same(name: str) -> None:
    tester = SlimModelTester()
    tester.name = name
    check_export(tester.trained(), (HEIGHT_PX, WIDTH_PX))


def test_every_model_has_its_row() -> None:
    tabled = [original.name for original in ORIGINALS]
    assert sorted(tabled) == sorted(config.name for config in (*OPEN_MMLAB, *CIRKD, *TORCHVISION, *ATTNFD))
    assert [config.name for config in QUICKSTART] == ["quickstart-teacher", "quickstart-mv2", "quickstart-r18"]
