"""The operations a model is made of: the one list that FLOPs, bytes, parameters, GEMM shapes and explanations all come from.

An operation is independent of the batch; a `Pass` says how many tokens go through. One multiply-add is 2 FLOP. Embedding look-ups,
norms, activations, softmax, rotary positions, residuals and biases are not FLOPs of the model (the field's convention); they are bytes,
which is what they cost.

Each operation stands for `count` alike layers, and its methods speak of **one** of them unless they say otherwise.
"""

from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "AttentionCore",
    "Elementwise",
    "ExpertLinear",
    "Gemm",
    "Linear",
    "Logits",
    "Lookup",
    "Module",
    "Operation",
    "Pass",
    "Scan",
    "Split",
]


class Module(StrEnum):
    """Where an operation belongs, for sums by module."""

    EMBEDDING = "embedding"
    ATTENTION = "attention"
    STATE_SPACE = "stateSpace"
    LINEAR_ATTENTION = "linearAttention"
    ROUTER = "router"
    EXPERTS = "experts"
    SHARED_EXPERTS = "sharedExperts"
    MLP = "mlp"
    NORM = "norm"
    HEAD = "head"
    PREDICT_AHEAD = "predictAhead"
    ADAPTER = "adapter"
    VISION = "vision"


class Split(StrEnum):
    """How tensor or expert parallelism divides an operation's weights (Megatron-LM, arXiv:1909.08053)."""

    COLUMN = "column"  # outputs divided
    ROW = "row"  # inputs divided; the result is reduced over the group
    REPLICATED = "replicated"
    HEADS = "heads"  # no weights; heads divided
    EXPERT = "expert"  # whole experts go to ranks, and each may be divided again
    VOCABULARY = "vocabulary"


class Logits(StrEnum):
    """On which positions the head runs: all (training) or the last of each sequence (serving)."""

    ALL = "all"
    LAST = "last"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One forward pass: `batch` sequences of `new_tokens` tokens each, on top of `past_tokens` cached ones."""

    batch: int
    new_tokens: int
    past_tokens: int = 0
    logits: Logits = Logits.ALL

    @property
    def tokens(self) -> int:
        return self.batch * self.new_tokens

    @property
    def is_decode(self) -> bool:
        return self.new_tokens == 1 and self.past_tokens > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gemm:
    """`batch` matrix products of (m × k) by (k × n)."""

    m: int
    n: int
    k: int
    batch: int = 1

    @property
    def flops(self) -> int:
        return 2 * self.batch * self.m * self.n * self.k


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """A linear layer: every token (or the positions the head runs on) times a `inputs` × `outputs` weight."""

    name: str
    module: Module
    inputs: int
    outputs: int
    split: Split
    bias: bool = False
    count: int = 1
    tied: bool = False  # the weight is another operation's: no parameters of its own
    frozen: bool = False  # no weight gradient
    runs_on_encoder: bool = False  # once for each encoder token, cached afterwards (cross attention's keys and values)
    encoder_tokens: int = 0
    per_sequence: bool = False  # on one position of each sequence, whatever `Pass.logits` says (a classifier)

    @property
    def parameters(self) -> int:
        return 0 if self.tied else self.inputs * self.outputs + (self.outputs if self.bias else 0)

    def rows(self, work: Pass) -> int:
        if self.runs_on_encoder:
            return work.batch * self.encoder_tokens if work.past_tokens == 0 else 0
        if self.per_sequence or (self.module is Module.HEAD and work.logits is Logits.LAST):
            return work.batch
        return work.tokens

    def gemm(self, work: Pass) -> Gemm:
        return Gemm(m=self.rows(work), n=self.outputs, k=self.inputs)

    def flops(self, work: Pass) -> int:
        return self.gemm(work).flops


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpertLinear:
    """One matrix of every routed expert: `active` of `experts` see each token, so `tokens × active` rows are spread over the experts."""

    name: str
    inputs: int
    outputs: int
    experts: int
    active: int
    split: Split  # COLUMN or ROW, inside one expert
    bias: bool = False
    count: int = 1
    module: Module = Module.EXPERTS
    frozen: bool = False

    @property
    def parameters(self) -> int:
        return self.experts * (self.inputs * self.outputs + (self.outputs if self.bias else 0))

    @property
    def active_parameters(self) -> int:
        return self.active * (self.inputs * self.outputs + (self.outputs if self.bias else 0))

    def rows(self, work: Pass) -> int:
        return work.tokens * self.active

    def touched(self, tokens: float) -> float:
        """Expected number of distinct experts that `tokens` tokens reach under even routing: E·(1 − (1 − k/E)^T)."""
        miss_ratio: float = 1.0 - self.active / self.experts
        return self.experts * (1.0 - float(miss_ratio**tokens))

    def flops(self, work: Pass) -> int:
        return 2 * self.rows(work) * self.inputs * self.outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionCore:
    """Scores and values of softmax attention: 2 × heads × (score_dim + value_dim) FLOP a (query, key) pair.

    `prefill_*` and `decode_*` differ only for latent attention, which decodes absorbed. `cache_width` is the number of elements one token
    adds to the cache of one layer, and `cache_heads` over how many heads tensor parallelism can divide it (1: replicated on every rank).
    """

    name: str
    heads: int
    score_dim: int
    value_dim: int
    decode_score_dim: int
    decode_value_dim: int
    cache_width: int
    cache_heads: int
    causal: bool = True
    window: int | None = None
    chunk: int | None = None
    top_tokens: int | None = None  # sparse attention: at most this many keys a query
    block: int = 1  # one key stands for this many tokens, and is seen once they are complete
    cross_tokens: int = 0  # keys of an encoder instead of the own sequence
    runs_on_encoder: bool = False  # the encoder's own attention, over `encoder_tokens`, once a sequence
    encoder_tokens: int = 0
    count: int = 1
    module: Module = Module.ATTENTION
    split: Split = Split.HEADS

    @property
    def parameters(self) -> int:
        return 0

    def visible_pairs(self, work: Pass) -> int:
        """(query, key) pairs of one sequence that the mask lets through, exactly."""
        new, past = work.new_tokens, work.past_tokens
        if self.runs_on_encoder:
            return self.full_pairs(work)
        if self.cross_tokens:
            return new * self.cross_tokens
        if not self.causal:
            return new * (new + past)
        if self.block > 1:
            return _blocked(new + past, self.block, self.top_tokens) - _blocked(past, self.block, self.top_tokens)
        if self.chunk is not None:
            return _chunked(new, past, self.chunk)
        reach = self.window if self.top_tokens is None else min(self.top_tokens, self.window or self.top_tokens)
        return _windowed(new, past, reach)

    def full_pairs(self, work: Pass) -> int:
        """Pairs of the whole rectangle of new queries and kept keys, as the PaLM convention counts them.

        A window or chunk limits what the cache keeps, and so the rectangle; the triangle and the window inside it are not taken off.
        """
        if self.runs_on_encoder:
            return self.encoder_tokens**2 if work.past_tokens == 0 else 0
        if self.cross_tokens:
            return work.new_tokens * self.cross_tokens
        if self.block > 1:
            return work.new_tokens * ((work.past_tokens + work.new_tokens) // self.block)
        reach = min(limit for limit in (self.window, self.chunk, work.past_tokens + 1) if limit is not None)
        return work.new_tokens * (min(work.past_tokens, reach - 1) + work.new_tokens)

    def visible_context(self, work: Pass) -> int:
        """Cached tokens that one new token at the end reads."""
        if self.runs_on_encoder or self.cross_tokens:
            return self.encoder_tokens if self.runs_on_encoder else self.cross_tokens
        context = (work.new_tokens + work.past_tokens) // self.block
        if self.chunk is not None:
            return (context - 1) % self.chunk + 1
        reach = min(limit for limit in (self.window, self.top_tokens, context) if limit is not None)
        return min(context, reach)

    def flops_per_pair(self, work: Pass) -> int:
        dims = self.decode_score_dim + self.decode_value_dim if work.is_decode else self.score_dim + self.value_dim
        return 2 * self.heads * dims

    def flops(self, work: Pass) -> int:
        """FLOP by visible pairs."""
        return work.batch * self.visible_pairs(work) * self.flops_per_pair(work)

    def full_flops(self, work: Pass) -> int:
        """FLOP over the full rectangle."""
        return work.batch * self.full_pairs(work) * self.flops_per_pair(work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The core of a recurrence (state-space scan, delta rule), or a convolution: a fixed number of FLOP and state a token."""

    name: str
    flops_per_token: int
    state_elements: int  # kept for each sequence between steps
    io_elements_per_token: int  # read and written for each token
    module: Module
    parameters_each: int = 0  # convolution weights, decay rates, skip weights
    count: int = 1
    split: Split = Split.HEADS
    runs_on_encoder: bool = False
    encoder_tokens: int = 0

    @property
    def parameters(self) -> int:
        return self.parameters_each

    def flops(self, work: Pass) -> int:
        if self.runs_on_encoder:
            return self.flops_per_token * work.batch * self.encoder_tokens if work.past_tokens == 0 else 0
        return self.flops_per_token * work.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Elementwise:
    """Memory-bound work on every token: norms, residuals, activations, rotary positions. No FLOPs; `elements_per_token` move."""

    name: str
    module: Module
    elements_per_token: float
    split: Split  # COLUMN: divided by tensor parallelism always; REPLICATED: only under sequence parallelism
    parameters_each: int = 0
    count: int = 1
    runs_on_encoder: bool = False
    encoder_tokens: int = 0

    @property
    def parameters(self) -> int:
        return self.parameters_each

    def elements(self, work: Pass) -> float:
        """Elements read and written by one layer in this pass."""
        if self.runs_on_encoder:
            return self.elements_per_token * (work.batch * self.encoder_tokens if work.past_tokens == 0 else 0)
        return self.elements_per_token * work.tokens

    def flops(self, work: Pass) -> int:
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """A table read one row a token: the embedding, learned positions."""

    name: str
    rows_in_table: int
    width: int
    module: Module = Module.EMBEDDING
    parameters_each: int = 0
    count: int = 1
    split: Split = Split.VOCABULARY

    @property
    def parameters(self) -> int:
        return self.parameters_each

    def flops(self, work: Pass) -> int:
        return 0


Operation = Linear | ExpertLinear | AttentionCore | Scan | Elementwise | Lookup


def _triangle(n: int) -> int:
    return n * (n + 1) // 2


def _windowed(new: int, past: int, window: int | None) -> int:
    """Pairs of `new` causal queries after `past` cached tokens, each seeing at most `window` keys (itself included)."""
    total = new + past
    if window is None or window >= total:
        return _triangle(total) - _triangle(past)
    seen_by_all = _triangle(window) + (total - window) * window
    seen_by_past = _triangle(past) if past <= window else _triangle(window) + (past - window) * window
    return seen_by_all - seen_by_past


def _blocked(tokens: int, block: int, top: int | None) -> int:
    """Pairs of the first `tokens` causal queries with the complete blocks before them, at most `top` each."""
    if top is not None and tokens // block > top:
        until = (top + 1) * block - 1
        return _blocked(until, block, None) + (tokens - until) * top
    whole, rest = divmod(tokens, block)
    return block * _triangle(whole - 1) + whole * (rest + 1) if whole else 0


def _chunked(new: int, past: int, chunk: int) -> int:
    """Pairs of `new` causal queries after `past` cached tokens when each sees only its own chunk."""

    def up_to(tokens: int) -> int:
        whole, rest = divmod(tokens, chunk)
        return whole * _triangle(chunk) + _triangle(rest)

    return up_to(new + past) - up_to(past)
