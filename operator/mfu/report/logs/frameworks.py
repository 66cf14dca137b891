"""The frameworks whose logs are read, and finding out which one wrote a log."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

from mfu.report.logs.gpt_neox import GptNeox
from mfu.report.logs.hugging_face import HuggingFace
from mfu.report.logs.litgpt import LitGpt
from mfu.report.logs.llm_foundry import LlmFoundry
from mfu.report.logs.maxtext import MaxText
from mfu.report.logs.megatron import Megatron
from mfu.report.logs.nanogpt import NanoGpt
from mfu.report.logs.nanotron import Nanotron
from mfu.report.logs.nemo import Nemo
from mfu.report.logs.primus import Primus
from mfu.report.logs.record import Facts, Parser, Record
from mfu.report.logs.torchtitan import TorchTitan

__all__ = ["PARSERS", "Detection", "Framework"]


class Framework(StrEnum):
    GPT_NEOX = "gpt-neox"
    MEGATRON = "megatron"
    PRIMUS = "primus"
    NEMO = "nemo"
    TORCHTITAN = "torchtitan"
    LLM_FOUNDRY = "llm-foundry"
    NANOTRON = "nanotron"
    MAXTEXT = "maxtext"
    NANOGPT = "nanogpt"
    LITGPT = "litgpt"
    HUGGING_FACE = "hugging-face"


PARSERS: Mapping[Framework, Callable[[], Parser]] = MappingProxyType(
    {
        Framework.GPT_NEOX: GptNeox,
        Framework.MEGATRON: Megatron,
        Framework.PRIMUS: Primus,
        Framework.NEMO: Nemo,
        Framework.TORCHTITAN: TorchTitan,
        Framework.LLM_FOUNDRY: LlmFoundry,
        Framework.NANOTRON: Nanotron,
        Framework.MAXTEXT: MaxText,
        Framework.NANOGPT: NanoGpt,
        Framework.LITGPT: LitGpt,
        Framework.HUGGING_FACE: HuggingFace,
    }
)

# Primus and gpt-neox print Megatron's line: Primus' parser reads all three and joins folded lines, so it stands for them.
_ASKED = (
    Framework.PRIMUS,
    Framework.NEMO,
    Framework.TORCHTITAN,
    Framework.LLM_FOUNDRY,
    Framework.NANOTRON,
    Framework.MAXTEXT,
    Framework.NANOGPT,
    Framework.LITGPT,
    Framework.HUGGING_FACE,
)


class Detection:
    """A parser that asks all of them, until one finds a record: that one reads the rest. Facts of all are passed on until then."""

    def __init__(self) -> None:
        self._candidates: Sequence[tuple[Framework, Parser]] = [(framework, PARSERS[framework]()) for framework in _ASKED]
        self.framework: Framework | None = None

    def feed(self, line: str) -> Sequence[Record | Facts]:
        return self._settled([(framework, parser, parser.feed(line)) for framework, parser in self._candidates])

    def flush(self) -> Sequence[Record | Facts]:
        return self._settled([(framework, parser, parser.flush()) for framework, parser in self._candidates])

    def _settled(self, answers: Sequence[tuple[Framework, Parser, Sequence[Record | Facts]]]) -> Sequence[Record | Facts]:
        for framework, parser, found in answers:
            if any(isinstance(each, Record) for each in found):
                self.framework = framework
                self._candidates = [(framework, parser)]
                return found
        return [each for _, _, found in answers for each in found]
