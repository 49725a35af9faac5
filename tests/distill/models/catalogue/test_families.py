"""Each model of the zoo: its parameters as it is, everything else on a slim copy.

Bigger brothers, whose slim copies hardly differ, are tested in the long run.
"""

from __future__ import annotations

import pytest

from segkd_distill.models.catalogue.families import ATTNFD, CIRKD, OPEN_MMLAB, QUICKSTART, TORCHVISION
from segkd_distill.models.zoo import MODELS
from tests.distill.models.base import HEIGHT_PX, WIDTH_PX, BaseModelTester, NamedModelTester, check_export


class TestPSPNetR18(NamedModelTester):
    name = "pspnet-r18"
    parameters = (150, 12_815_500)


@pytest.mark.long
class TestPSPNetR50(NamedModelTester):
    name = "pspnet-r50"
    parameters = (150, 49_076_364)


@pytest.mark.long
class TestPSPNetR101(NamedModelTester):
    name = "pspnet-r101"
    parameters = (150, 68_068_492)


class TestPSPNetMobileNet(NamedModelTester):
    name = "pspnet-mv2"
    parameters = (150, 13_721_132)


class TestHRNetW18Small(NamedModelTester):
    name = "hrnet-w18s"
    parameters = (150, 3_974_810)


@pytest.mark.long
class TestHRNetW48(NamedModelTester):
    name = "hrnet-w48"
    parameters = (150, 65_953_110)


class TestDeepLabV3R18(NamedModelTester):
    name = "deeplabv3-r18"
    parameters = (150, 14_011_788)


@pytest.mark.long
class TestDeepLabV3R101(NamedModelTester):
    name = "deeplabv3-r101"
    parameters = (150, 87_206_028)


class TestDeepLabV3PlusR18(NamedModelTester):
    name = "deeplabv3plus-r18"
    parameters = (150, 12_494_376)


@pytest.mark.long
class TestDeepLabV3PlusR101(NamedModelTester):
    name = "deeplabv3plus-r101"
    parameters = (150, 62_682_876)


class TestDeepLabV3PlusMobileNet(NamedModelTester):
    name = "deeplabv3plus-mv2"
    parameters = (150, 15_345_244)


class TestISANetR18(NamedModelTester):
    name = "isanet-r18"
    parameters = (150, 12_459_148)


@pytest.mark.long
class TestISANetR101(NamedModelTester):
    name = "isanet-r101"
    parameters = (150, 56_800_396)


class TestCIRKDDeepLabV3R18(NamedModelTester):
    name = "cirkd-deeplabv3-r18"
    parameters = (19, 13_607_974)


@pytest.mark.long
class TestCIRKDDeepLabV3R101(NamedModelTester):
    name = "cirkd-deeplabv3-r101"
    parameters = (19, 61_118_950)


class TestCIRKDDeepLabV3MobileNet(NamedModelTester):
    name = "cirkd-deeplabv3-mv2"
    parameters = (19, 3_233_171)


class TestCIRKDPSPNetR18(NamedModelTester):
    name = "cirkd-pspnet-r18"
    parameters = (19, 12_919_334)


@pytest.mark.long
class TestCIRKDPSPNetR101(NamedModelTester):
    name = "cirkd-pspnet-r101"
    parameters = (19, 68_072_166)


@pytest.mark.long
class TestCIRKDv2DeepLabV3R18(NamedModelTester):
    name = "cirkdv2-deeplabv3-r18"
    parameters = (19, 22_762_918)


@pytest.mark.long
class TestCIRKDv2DeepLabV3R101(NamedModelTester):
    name = "cirkdv2-deeplabv3-r101"
    parameters = (19, 79_084_262)


@pytest.mark.long
class TestTorchvisionDeepLabV3R50(NamedModelTester):
    name = "torchvision-deeplabv3-r50"
    parameters = (21, 42_004_074)


@pytest.mark.long
class TestTorchvisionDeepLabV3R101(NamedModelTester):
    name = "torchvision-deeplabv3-r101"
    parameters = (21, 60_996_202)


@pytest.mark.long
class TestTorchvisionFCNR50(NamedModelTester):
    name = "torchvision-fcn-r50"
    parameters = (21, 35_322_218)  # as torchvision publishes


class TestAttnFDR18(NamedModelTester):
    name = "attnfd-deeplabv3plus-r18"
    parameters = (21, 16_608_181)


@pytest.mark.long
class TestAttnFDR101(NamedModelTester):
    name = "attnfd-deeplabv3plus-r101"
    parameters = (21, 59_344_309)


class TestAttnFDMobileNet(NamedModelTester):
    name = "attnfd-deeplabv3plus-mv2"
    parameters = (21, 5_816_053)


class TestQuickstartTeacher(BaseModelTester):
    config = MODELS["quickstart-teacher"]


class TestQuickstartMobileNet(BaseModelTester):
    config = MODELS["quickstart-mv2"]


class TestQuickstartResNet(BaseModelTester):
    config = MODELS["quickstart-r18"]


@pytest.mark.parametrize("tester", NamedModelTester.__subclasses__(), ids=lambda tester: tester.name)
def test_parameters_are_those_of_the_original(tester: type[NamedModelTester]) -> None:
    tester.check_parameters()


@pytest.mark.long
@pytest.mark.parametrize(
    "tester",
    [tester for tester in NamedModelTester.__subclasses__() if not hasattr(tester, "pytestmark")],
    ids=lambda tester: tester.name,
)
def test_exported_graph_gives_the_same(tester: type[NamedModelTester]) -> None:
    check_export(tester().trained(), (HEIGHT_PX, WIDTH_PX))


def test_every_model_has_its_class() -> None:
    tested = {cls.name for cls in NamedModelTester.__subclasses__()}
    assert tested == {config.name for config in (*OPEN_MMLAB, *CIRKD, *TORCHVISION, *ATTNFD)}
    assert [config.name for config in QUICKSTART] == ["quickstart-teacher", "quickstart-mv2", "quickstart-r18"]
