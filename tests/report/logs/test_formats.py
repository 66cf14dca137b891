"""Every framework's lines, with what real logs do to them: colours, ranks, torn and glued lines, pairs, suffixes. The samples are ours."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from mfu.report.logs.frameworks import PARSERS, Detection, Framework
from mfu.report.logs.record import Facts, Parser, Record
from mfu.report.logs.text import clean, number, timestamp


def read(parser: Parser, text: str) -> list[Record | Facts]:
    found: list[Record | Facts] = []
    for line in text.splitlines():
        found += parser.feed(clean(line))
    return [*found, *parser.flush()]


def records(framework: Framework, text: str) -> list[Record]:
    return [each for each in read(PARSERS[framework](), text) if isinstance(each, Record)]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234", 1234.0),
        ("11.5K", 11500.0),
        ("85.8G", 85.8e9),
        ("634 K", 634e3),
        ("1460.8/1450.4", 1460.8),
        ("615.5 (avg 610.0)", 615.5),
        ("8.6E-06", 8.6e-6),
        ("-100.00%", -100.0),
        ("150.3TFLOPS", 150.3e12),
        ("0.2PFLOPS", 0.2e15),
        ("  7", 7.0),
        ("12.5iteration", None),
        ("1e999", None),
        ("nan", None),
        ("", None),
    ],
)
def test_numbers_are_read_as_loggers_write_them(text: str, value: float | None) -> None:
    assert number(text) == (None if value is None else pytest.approx(value))


def test_colours_and_control_characters_are_no_text() -> None:
    assert clean("\x1b[1;32mstep: 3\x1b[0m\x1b]0;title\x07 \x00tps") == "step: 3 tps"


def test_times_of_lines_differ_by_what_went_by() -> None:
    first, second = timestamp("[t] 2026-02-24 23:59:59,500 - x"), timestamp("2026-02-25T00:00:01.000 y")
    assert first is not None and second is not None and second - first == 1.5
    assert timestamp("2026-13-99 10:00:00 no such day") is None and timestamp("no time") is None


MEGATRON = (
    " [2026-04-06 02:59:36] iteration       43/     100 | consumed samples:         5504 | elapsed time per iteration (ms): 5444.9 |"
    " throughput per GPU (TFLOP/s/GPU): 239.5 | learning rate: 8.6E-06 | global batch size:   128 | lm loss: 1.8E+00 |"
    " number of nan iterations:   0 |"
)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(MEGATRON, id="as written"),
        pytest.param(f"7: {MEGATRON}Number of parameters in billions:  6.98", id="a rank before it and another's text glued to its end"),
        pytest.param(f"[Rank 3] memory (MB) | allocated: 17.4 | reserved: 18.9{MEGATRON}", id="glued to another's line"),
        pytest.param(f"\x1b[33m{MEGATRON}\x1b[0m", id="coloured"),
        pytest.param(MEGATRON.replace("lm loss", "lm-loss").replace(" [2026-04-06 02:59:36]", ""), id="older spelling, no time"),
    ],
)
@pytest.mark.parametrize("framework", [Framework.MEGATRON, Framework.PRIMUS])
def test_megatrons_line_is_found(line: str, framework: Framework) -> None:
    (found,) = records(framework, line)
    assert (found.step, found.step_seconds, found.sequences, found.consumed_sequences) == (43, pytest.approx(5.4449), 128, 5504)
    assert found.flops_per_second_per_accelerator == pytest.approx(239.5e12)


def test_two_megatron_lines_glued_together_are_two_records() -> None:
    found = records(Framework.MEGATRON, MEGATRON + MEGATRON.replace("iteration       43", "iteration       44").replace("5444.9", "5000.0"))
    assert [(each.step, each.step_seconds) for each in found] == [(43, pytest.approx(5.4449)), (44, 5.0)]


def test_a_torn_megatron_line_without_its_time_is_no_record() -> None:
    assert records(Framework.MEGATRON, MEGATRON[:100]) == []


@pytest.mark.parametrize(
    "line",
    [
        "time (ms) | forward-compute: 144.4 | batch-generator: 2.62",
        " validation loss at iteration 7000 | lm loss value: 7.1E+00 | lm loss PPL: 1.3E+03 |",
        "[Rank 0] (after 20 iterations) memory (MB) | allocated: 19539.3 | max allocated: 22112.8",
    ],
)
def test_megatrons_other_lines_are_no_records(line: str) -> None:
    assert records(Framework.MEGATRON, line) == []


def test_megatrons_arguments_tell_the_job() -> None:
    text = "  seq_length ...................................... 4096\n  world_size ...................................... 64\n"
    told = [each for each in read(PARSERS[Framework.MEGATRON](), text) if isinstance(each, Facts)]
    assert told == [Facts(sequence_length=4096), Facts(accelerators=64)]


def test_megatron_deepspeeds_own_fields_are_read() -> None:
    line = (
        " iteration 5/ 10 | consumed samples: 7680 | consumed tokens: 15728640 | elapsed time per iteration (ms): 344656.1 |"
        " global batch size: 1536 | actual seqlen: 2048 | samples per second: 4.457 |"
        " tokens per gpu per second (tgs): 142.6 | TFLOPs: 153.4 |"
    )
    (found,) = records(Framework.MEGATRON, line)
    assert (found.consumed_tokens, found.sequence_length, found.tokens_per_second_per_accelerator) == (15728640, 2048, 142.6)
    assert found.flops_per_second_per_accelerator == pytest.approx(153.4e12)


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param("throughput per GPU (TFLOP/s/GPU): 346.5 | tokens per GPU (tokens/s/GPU): 20502.5", id="first iterations"),
        pytest.param("throughput per GPU (TFLOP/s/GPU): 346.5/340.8 | tokens/s/GPU inst/harmonic mean: 20502.5/20151.0", id="pairs"),
        pytest.param("compute per GPU (TFLOP/s/GPU): 346.5 (avg 340.8) | tokens/s/GPU inst/harmonic mean: 20502.5/20151.0", id="avg"),
    ],
)
def test_primus_three_spellings_give_the_instantaneous_value(fields: str) -> None:
    line = f"[rank-7/8] iteration 4/ 20 | elapsed time per iteration (ms): 654.5/735.1 | {fields} | global batch size: 16 | lm loss: 1.1 |"
    (found,) = records(Framework.PRIMUS, line)
    assert (found.step_seconds, found.tokens_per_second_per_accelerator) == (pytest.approx(0.6545), 20502.5)
    assert found.flops_per_second_per_accelerator == pytest.approx(346.5e12)


def test_a_record_that_was_folded_is_put_together() -> None:
    text = (
        " iteration  12/ 99 | elapsed time per iteration (ms): 1460.5/1450.4 |\n"
        "   TFLOP/s/GPU: 633.5 | tokens per GPU (tokens/s/GPU): 1807.5 |\n"
    )
    (found,) = records(Framework.PRIMUS, text)
    assert (found.step, found.tokens_per_second_per_accelerator) == (12, 1807.5)


def test_a_record_whose_second_line_never_comes_is_not_lost() -> None:
    (found,) = records(Framework.PRIMUS, " iteration  12/ 99 | elapsed time per iteration (ms): 1460.5 |")
    assert found.step_seconds == pytest.approx(1.4605)


@pytest.mark.parametrize("front", ["", "10.0.0.1: ", "[2026-09-24 10:00:00] node-1: "], ids=["plain", "launcher", "time and node"])
def test_gpt_neox_gives_the_batch_by_its_speed(front: str) -> None:
    line = (
        f"{front} samples/sec: 51.2 | iteration       10/  320000 | elapsed time per iteration (ms): 20000.0 | learning rate: 6.0E-05 |"
        " approx flops per GPU: 55.5TFLOPS | lm_loss: 1.0E+01 | number of nan iterations:   0 |"
    )
    (found,) = records(Framework.GPT_NEOX, line)
    assert (found.step, found.sequences) == (10, 1024)
    assert found.flops_per_second_per_accelerator == pytest.approx(55.5e12)


def test_micro_steps_are_no_steps() -> None:
    line = "[2026-06-03 00:08:34,517] [INFO] [Rank 0] time (ms) | forward_microstep: 4958.39 | backward_microstep: 4665.83"
    assert records(Framework.GPT_NEOX, line) == []


NEMO = {"global_step": 47, "consumed_samples": 98304, "train_step_timing in s": 25.125, "lr": 3.6e-05}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "0: Training epoch 0, iteration 47/99 | lr: 3.6e-05 | global_batch_size: 2048 | global_step: 47 | reduced_train_loss: 7.8 |"
            " train_step_timing in s: 25.125 | consumed_samples: 98304",
            id="NeMo 2",
        ),
        pytest.param(
            "Epoch 0:  47%|████ | 47/99 [20:20<..., global_step=47.00, consumed_samples=98304.0, train_step_timing in s=25.125]",
            id="progress bar",
        ),
        pytest.param("DLLL " + json.dumps({"type": "LOG", "step": 47, "data": NEMO}), id="DLLogger, one line"),
        pytest.param("DLLL " + json.dumps({"type": "LOG", "step": 47, "data": NEMO}, indent=2), id="DLLogger, many lines"),
        pytest.param(
            'DLLL {"torn": {\nDLLL ' + json.dumps({"data": NEMO}) + "\nDLLL " + json.dumps({"data": NEMO}), id="after a torn object"
        ),
    ],
)
def test_nemos_forms_say_the_same(text: str) -> None:
    found = records(Framework.NEMO, text)[-1]
    assert (found.step, found.step_seconds, found.consumed_sequences) == (48, 25.125, 98304)


def test_nemos_automodel_gives_tokens_of_the_job_and_of_one_gpu() -> None:
    line = (
        "INFO step 3 | epoch 0 | loss 0.7123 | grad_norm 1.2000 | lr 1.00e-05 | mem 33.22 GiB |"
        " tps 3456.50(432.00/gpu) | num_label_tokens 8192"
    )
    (found,) = records(Framework.NEMO, line)
    assert (found.step, found.tokens_per_second, found.tokens_per_second_per_accelerator) == (4, 3456.5, 432.0)


TITAN = (
    "[titan] 2026-02-24 19:46:17,508 - root - INFO - {}step:  4  {}loss:  7.6  grad_norm: 26.6  memory: 66.9GiB(37.5%)"
    "  {}tps: 10,050  {}mfu: 14.00%"
)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(TITAN.format("", "", "", "tflops: 314.5  "), id="plain"),
        pytest.param(
            "2: " + TITAN.format("\x1b[36m", "\x1b[32m", "\x1b[34m", "\x1b[35m") + "\x1b[39m", id="coloured, behind a rank, no tflops"
        ),
    ],
)
def test_torchtitans_line_is_read(line: str) -> None:
    (found,) = records(Framework.TORCHTITAN, line)
    assert (found.step, found.tokens_per_second_per_accelerator, found.mfu_ratio) == (4, 10050.0, pytest.approx(0.14))
    assert found.step_seconds is None and found.at_seconds is not None


def test_glued_and_torn_torchtitan_lines_give_whole_records_only() -> None:
    whole = TITAN.format("", "", "", "")
    torn, following = whole[:90], whole.replace("step:  4", "step:  5").replace("10,050", "9,000")
    assert [each.step for each in records(Framework.TORCHTITAN, whole + following)] == [4, 5]
    assert [(each.step, each.tokens_per_second_per_accelerator) for each in records(Framework.TORCHTITAN, torn + following)] == [
        (5, 9000.0)
    ]


def test_torchtitans_start_tells_the_job() -> None:
    line = (
        "[titan] 2026 - INFO - Training starts at step 1, with local batch size 1, global batch size 8, sequence length 8192, total steps 9"
    )
    assert read(PARSERS[Framework.TORCHTITAN](), line) == [Facts(sequences=8, sequence_length=8192)]


COMPOSER = """[batch={batch}/20]:
{tab}Train time/batch: {batch}
{tab}Train time/token: 4096
{tab}Train throughput/batches_per_sec: 0.5000
{tab}Train throughput/tokens_per_sec: 20082.5000
{tab}Train throughput/device/tokens_per_sec: 1255.2500
{tab}Train throughput/device/mfu: 0.4500
{tab}Train time/train: 0.5249
[Eval batch=3/3] Eval metrics/eval/LanguageCrossEntropy: 0.01
"""


@pytest.mark.parametrize("tab", ["\t ", "         ", "0:       "], ids=["tab", "blanks", "behind a rank"])
def test_composers_blocks_are_records(tab: str) -> None:
    text = "[batch=1/20]:\n\t Train loss/train/total: 10.9\n" + COMPOSER.format(batch=5, tab=tab) + COMPOSER.format(batch=6, tab=tab)
    found = records(Framework.LLM_FOUNDRY, text)
    assert [each.step for each in found] == [5, 6]
    assert (found[0].step_seconds, found[0].tokens_per_second, found[0].tokens_per_second_per_accelerator) == (2.0, 20082.5, 1255.25)
    assert found[0].mfu_ratio == pytest.approx(0.45)


def test_nanotrons_rounded_numbers_are_numbers() -> None:
    line = (
        "10/17/2026 16:31:56 [INFO|DP=0|PP=0|TP=0|host-1]: iteration: 327281 / 378950 | consumed_tokens: 85.8G |"
        " elapsed_time_per_iteration_ms: 11.5K | tokens_per_sec: 22.8K | tokens_per_sec_per_gpu: 11.4K | global_batch_size: 64 |"
        " lm_loss: 2.38 | model_tflops_per_gpu: 38.5 | hardware_tflops_per_gpu: 38.5"
    )
    torn = "36.9 | hardware_tflops_per_gpu: 36.9 | grad_norm: 1.27"
    (found,) = records(Framework.NANOTRON, f"{line}\n{torn}")
    assert (found.step, found.step_seconds, found.tokens_per_second, found.sequences) == (327281, 11.5, 22800.0, 64)
    assert found.tokens_per_second_per_accelerator == 11400.0


@pytest.mark.parametrize(("step", "flops"), [(1, None), (11, 1520.5e12)], ids=["timed wrongly", "timed rightly"])
def test_maxtexts_first_steps_have_no_speed(step: int, flops: float | None) -> None:
    line = f"completed step: {step}, seconds: 28.25, TFLOP/s/device: 1520.5, Tokens/s/device: 579.5, total_weights: 4194304, loss: 0.000"
    (found,) = records(Framework.MAXTEXT, line)
    assert (found.step, found.step_seconds, found.tokens_per_second_per_accelerator) == (step + 1, 28.25, 579.5)
    assert found.flops_per_second_per_accelerator == flops


@pytest.mark.parametrize(
    ("tail", "mfu"),
    [(", mfu -100.00%", None), (", mfu 16.50%", 0.165), ("", None)],
    ids=["not yet known", "known", "an old release"],
)
def test_nanogpts_mfu_is_unknown_until_it_is_known(tail: str, mfu: float | None) -> None:
    (found,) = records(Framework.NANOGPT, f"iter 10: loss 3.2202, time 893.76ms{tail}")
    assert (found.step, found.step_seconds, found.mfu_ratio) == (10, pytest.approx(0.89376), None if mfu is None else pytest.approx(mfu))


def test_litgpts_micro_batches_make_up_a_step() -> None:
    text = (
        "Epoch 1 | iter 1 step 0 | loss train: 1.6, val: n/a | iter time: 800.00 ms\n"
        "Epoch 1 | iter 2 step 1 | loss train: 1.6, val: n/a | iter time: 500.00 ms (step)\n"
        "Epoch 1 | iter 2 step 1 | loss train: 1.6, val: n/a | iter time: 510.00 ms (step)\n"
        "Epoch 1 | iter 3 step 1 | loss train: 1.6, val: n/a | iter time: 300.00 ms\n"
        "Epoch 1 | iter 4 step 2 | loss train: 1.6, val: n/a | iter time: 600.00 ms (step)\n"
    )
    assert [(each.step, each.step_seconds) for each in records(Framework.LITGPT, text)] == [
        (1, pytest.approx(1.3)),
        (2, pytest.approx(0.9)),
    ]


def test_the_trainers_summary_gives_rates_and_its_step_lines_nothing() -> None:
    assert records(Framework.HUGGING_FACE, "{'loss': 1.2607, 'learning_rate': 6.3e-06, 'epoch': 0.03}     ") == []
    text = "    'train_samples_per_second': 0.25, \n    'train_steps_per_second': 0.05, \n    'train_tokens_per_second': 428.5, \n"
    found = records(Framework.HUGGING_FACE, text)[-1]
    assert (found.step, found.step_seconds, found.sequences_per_second, found.tokens_per_second) == (None, 20.0, 0.25, 428.5)


SAMPLES: Sequence[tuple[Framework, str]] = (
    (Framework.PRIMUS, MEGATRON),
    (Framework.NEMO, "DLLL " + json.dumps({"data": NEMO})),
    (Framework.TORCHTITAN, TITAN.format("", "", "", "")),
    (Framework.LLM_FOUNDRY, COMPOSER.format(batch=5, tab="\t")),
    (Framework.MAXTEXT, "completed step: 3, seconds: 1.0, TFLOP/s/device: 5.0, Tokens/s/device: 9.0, loss: 0.0"),
    (Framework.NANOGPT, "iter 10: loss 3.2202, time 893.76ms"),
    (Framework.LITGPT, "Epoch 1 | iter 2 step 1 | loss train: 1.6, val: n/a | iter time: 500.00 ms (step)"),
    (Framework.HUGGING_FACE, "{'train_runtime': 871.7, 'train_samples_per_second': 1.1}"),
)


@pytest.mark.parametrize(("framework", "text"), SAMPLES, ids=[framework for framework, _ in SAMPLES])
def test_the_framework_is_found_out_by_its_lines(framework: Framework, text: str) -> None:
    detection = Detection()
    found = read(detection, f"some line\n{text}\nanother")
    assert detection.framework is framework and any(isinstance(each, Record) for each in found)


def test_no_framework_is_found_in_other_text() -> None:
    detection = Detection()
    assert read(detection, "Loading checkpoint shards: 100%\nstep one: read the manual\niteration complete\n{'loss': 1.0}") == []
    assert detection.framework is None


@pytest.mark.parametrize("framework", list(Framework))
@pytest.mark.parametrize("text", ["", "|", "{", "DLLL {", "iteration 1/ 2 |", "[batch=1/2]:", "step: 1 tps: x", "\x00\x1b[", "iter : loss"])
def test_no_line_breaks_a_parser(framework: Framework, text: str) -> None:
    assert records(framework, text) == []
