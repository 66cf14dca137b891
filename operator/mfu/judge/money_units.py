"""What a token, an optimizer step and a useful PFLOP cost: allocated (what is paid) and ideal (at the expected MFU)."""

from dataclasses import dataclass, replace

from mfu.estimate.estimator import estimate as estimated
from mfu.estimate.result import Estimate, ServingRates, TrainingRates
from mfu.estimate.workload import Inference, Phase, Training, Workload
from mfu.judge.assessment import Assessment
from mfu.judge.money import Bill, useful_flops_per_second
from mfu.judge.prices import MICROS
from mfu.missing import Missing, Reason
from mfu.observe.observation import Observation

__all__ = ["Basis", "Split", "UnitPrices", "phase_split", "unit_prices"]

_SECONDS_PER_HOUR = 3600.0
_PETA = 1e15
_NOT_HERE = Missing(reason=Reason.NOT_APPLICABLE, message="this figure has no meaning for this kind of workload")


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Share of a replica's time that the prompt tokens of a request take; the rest goes to its output tokens."""

    input_ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """A unit price in the currency. `allocated`: of what is paid; `ideal`: had the work been done at the expected MFU."""

    allocated: float | Missing
    ideal: float | Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitPrices:
    """Tokens are priced by the million: trained ones, or input, output and both together (blended) of inference.

    A figure without meaning for the workload is Missing(NOT_APPLICABLE).
    """

    training: Basis
    input: Basis
    output: Basis
    blended: Basis
    per_step: Basis
    per_useful_petaflop: Basis


def phase_split(workload: Workload, estimate: Estimate | Missing) -> Split | Missing:
    """How the time of one request divides: what its prompt takes in a replica that does nothing else, over what the whole request takes.

    One more estimate: keep the result with the estimate that it belongs to.
    """
    if not isinstance(workload.job, Inference):
        return _NOT_HERE
    if isinstance(estimate, Missing):
        return estimate
    match workload.job.phase, estimate.rates:
        case Phase.PREFILL, _:
            return Split(input_ratio=1.0)
        case Phase.DECODE, _:
            return Split(input_ratio=0.0)
        case _, ServingRates() as rates if rates.output_tokens_per_second_per_accelerator > 0.0:
            alone = estimated(replace(workload, job=replace(workload.job, phase=Phase.PREFILL)))
            if isinstance(alone, Missing) or not isinstance(alone.rates, ServingRates):
                return alone if isinstance(alone, Missing) else _NOT_HERE
            whole = workload.job.output_tokens / rates.output_tokens_per_second_per_accelerator
            computed = workload.job.input_tokens * (1.0 - workload.job.prefix_hit_ratio)
            speed = alone.rates.total_tokens_per_second_per_accelerator
            prompt = computed / speed if speed > 0.0 else 0.0
            return Split(input_ratio=min(1.0, prompt / whole))
        case _:
            return Missing(reason=Reason.NOT_APPLICABLE, message="no output tokens are expected, so a request has no parts")


def unit_prices(assessment: Assessment, bill: Bill, split: Split | Missing) -> UnitPrices:
    """Prices of the workload's work as it is observed. Nothing observed: Missing with the reason, never the expectation in its place."""
    flops = useful_flops_per_second(assessment, bill.accelerators)
    petaflop = flops if isinstance(flops, Missing) else flops * _SECONDS_PER_HOUR / _PETA
    training = output = incoming = blended = step = _both(_NOT_HERE)
    workload, observation = assessment.workload, assessment.observation
    if isinstance(workload, Missing):
        training = output = incoming = blended = step = _both(workload)
    else:
        tokens = _tokens_per_hour(observation)
        match workload.job:
            case Training():
                training = _basis(bill, 1.0, tokens, 1e6)
                step = _per_step(bill, assessment.estimate, tokens)
            case Inference() as job:
                incoming, output, blended = _serving(bill, job, observation, tokens, split)
    return UnitPrices(
        training=training,
        input=incoming,
        output=output,
        blended=blended,
        per_step=step,
        per_useful_petaflop=_basis(bill, 1.0, petaflop, 1.0),
    )


def _serving(
    bill: Bill, job: Inference, observation: Observation | Missing, tokens: float | Missing, split: Split | Missing
) -> tuple[Basis, Basis, Basis]:
    """Input, output and blended. Observed tokens are generated ones, or prompt tokens of a prefill replica."""
    if isinstance(tokens, Missing):
        return _both(tokens), _both(tokens), _both(tokens)
    if job.phase is Phase.PREFILL:
        prompt = _basis(bill, 1.0, tokens, 1e6)
        return prompt, _both(_NOT_HERE), prompt
    generated = tokens
    if job.phase is Phase.DECODE:
        output = _basis(bill, 1.0, generated, 1e6)
        return _both(_NOT_HERE), output, output
    lengths = observation.evidence if isinstance(observation, Observation) else None
    of_request = (lengths.mean_generation_tokens if lengths else None) or job.output_tokens
    asked = (lengths.mean_prompt_tokens if lengths else None) or job.input_tokens
    prompts = generated * asked / of_request
    blended = _basis(bill, 1.0, generated + prompts, 1e6)
    if isinstance(split, Missing):
        return _both(split), _both(split), blended
    return (
        _basis(bill, split.input_ratio, prompts, 1e6),
        _basis(bill, 1.0 - split.input_ratio, generated, 1e6),
        blended,
    )


def _per_step(bill: Bill, estimate: Estimate | Missing, tokens: float | Missing) -> Basis:
    if isinstance(estimate, Missing):
        return _both(estimate)
    if isinstance(tokens, Missing) or not isinstance(estimate.rates, TrainingRates):
        return _both(tokens if isinstance(tokens, Missing) else _NOT_HERE)
    return _basis(bill, 1.0, tokens / estimate.rates.tokens_per_step if estimate.rates.tokens_per_step else 0.0, 1.0)


def _tokens_per_hour(observation: Observation | Missing) -> float | Missing:
    if isinstance(observation, Missing):
        return observation
    if observation.tokens_per_second is None:
        return Missing(reason=Reason.TELEMETRY_MISSING, message="no application metric counts the workload's tokens")
    return observation.tokens_per_second * _SECONDS_PER_HOUR


def _basis(bill: Bill, part: float, amount: float | Missing, unit: float) -> Basis:
    """`part` of the bill over `amount` an hour, for `unit` of them."""
    return Basis(allocated=_price(bill.revenue_micros, part, amount, unit), ideal=_price(bill.ideal_micros, part, amount, unit))


def _price(micros: int | Missing, part: float, amount: float | Missing, unit: float) -> float | Missing:
    if isinstance(micros, Missing):
        return micros
    if isinstance(amount, Missing):
        return amount
    if amount <= 0.0:
        return Missing(reason=Reason.NOT_APPLICABLE, message="nothing was produced, so it has no unit price")
    return micros / MICROS * part / amount * unit


def _both(reason: Missing) -> Basis:
    return Basis(allocated=reason, ideal=reason)
