"""PyTorch's side of jmh/check-gpu: times the same operations on the first GPU.

    python3 gpu_peer.py OPERATIONS.json ANSWER.json

OPERATIONS has rounds, seconds (of a round) and operations: name, kind, dtype, sizes. ANSWER gets
state, seconds by name (the median round's) and failures by name. Operations of a kind that is not
known here are passed over. Weights of bf16 steps stay f32, under autocast.
"""

import functools
import json
import math
import statistics
import sys
import time

import torch
import torch.multiprocessing
import torch.nn.functional as functional
from torch import nn

GPU = "cuda"
MOST = 10_000


def timed(operation, rounds, seconds, wait=torch.cuda.synchronize, agree=lambda count: count):
    """The median time of one operation, waiting only at the ends of a round."""

    def one_round(repeats):
        wait()
        start = time.perf_counter()
        for _ in range(repeats):
            operation()
        wait()
        return (time.perf_counter() - start) / repeats

    operation()
    repeats = agree(int(min(max(seconds / max(one_round(1), 1e-9), 1), MOST)))
    return statistics.median(one_round(repeats) for _ in range(rounds))


def stored(dtype):
    return torch.bfloat16 if dtype == "bf16" else torch.float32


def normal(*sizes, dtype):
    return torch.randn(*sizes, device=GPU, dtype=stored(dtype))


# ---- products and attention


def gemm(dtype, n):
    a, b, c = normal(n, n, dtype=dtype), normal(n, n, dtype=dtype), normal(n, n, dtype=dtype)
    return lambda: torch.mm(a, b, out=c)


def heads(dtype, batch, heads, sequence, head_size):
    # Memory is [batch, sequence, heads, head_size], as in Heddle.
    return normal(batch, sequence, heads, head_size, dtype=dtype).transpose(1, 2)


def attention(dtype, causal, **sizes):
    q, k, v = (heads(dtype, **sizes) for _ in range(3))

    def run():
        with torch.no_grad():
            functional.scaled_dot_product_attention(q, k, v, is_causal=bool(causal))

    return run


def attention_backward(dtype, causal, **sizes):
    q, k, v = (heads(dtype, **sizes).requires_grad_() for _ in range(3))
    out = functional.scaled_dot_product_attention(q, k, v, is_causal=bool(causal))
    dout = torch.randn_like(out)
    return lambda: torch.autograd.grad(out, (q, k, v), dout, retain_graph=True)


# ---- memory-bound operations


def copy(dtype, rows, columns):
    x, y = normal(rows, columns, dtype=dtype), normal(rows, columns, dtype=dtype)
    return lambda: y.copy_(x)


def add(dtype, rows, columns):
    x, y = normal(rows, columns, dtype=dtype), normal(rows, columns, dtype=dtype)
    out = torch.empty_like(x)
    return lambda: torch.add(x, y, out=out)


def forward(function):
    def made(dtype, rows, columns):
        x = normal(rows, columns, dtype=dtype)
        weight, bias = normal(columns, dtype=dtype), normal(columns, dtype=dtype)

        def run():
            with torch.no_grad():
                function(x, weight, bias)

        return run

    return made


def backward(function):
    def made(dtype, rows, columns):
        x = normal(rows, columns, dtype=dtype).requires_grad_()
        weight = normal(columns, dtype=dtype).requires_grad_()
        bias = normal(columns, dtype=dtype).requires_grad_()
        out = function(x, weight, bias)
        dout = torch.randn_like(out)
        inputs = (x, weight, bias)
        return lambda: torch.autograd.grad(
            out, inputs, dout, retain_graph=True, allow_unused=True
        )

    return made


def gelu(x, weight, bias):
    return functional.gelu(x)


def softmax(x, weight, bias):
    return functional.softmax(x, -1)


def layer_norm(x, weight, bias):
    return functional.layer_norm(x, (x.shape[-1],), weight, bias, 1e-5)


def rms_norm(x, weight, bias):
    return functional.rms_norm(x, (x.shape[-1],), weight, 1e-5)


@functools.cache
def classes(rows, columns):
    return torch.arange(rows, device=GPU) % columns


def cross_entropy(x, weight, bias):
    return functional.cross_entropy(x, classes(*x.shape), reduction="sum")


def adamw(dtype, rows, columns):
    if dtype == "bf16":
        raise ValueError("PyTorch's AdamW has no f32 master of a bf16 weight")
    weight = nn.Parameter(normal(rows, columns, dtype=dtype))
    weight.grad = normal(rows, columns, dtype=dtype)
    return torch.optim.AdamW([weight], lr=1e-4, weight_decay=0.01, fused=True).step


# ---- training steps


class Block(nn.Module):
    def __init__(self, size, heads, causal):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.qkv, self.output = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.up, self.down = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

    def forward(self, x):
        batch, sequence, size = x.shape
        qkv = self.qkv(self.norm1(x)).view(batch, sequence, 3, self.heads, size // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        x = x + self.output(mixed.transpose(1, 2).reshape(batch, sequence, size))
        return x + self.down(functional.gelu(self.up(self.norm2(x))))


def blocks(count, size, heads, causal):
    return nn.Sequential(*(Block(size, heads, causal) for _ in range(count)))


class Transformer(nn.Module):
    def __init__(self, causal, layers, hidden_size, heads, sequence, classes, patch_size):
        super().__init__()
        self.causal = causal
        self.enter = (
            nn.Embedding(classes, hidden_size) if causal else nn.Linear(patch_size, hidden_size)
        )
        self.position = nn.Parameter(0.02 * torch.randn(sequence, hidden_size))
        self.blocks = blocks(layers, hidden_size, heads, causal)
        self.norm = nn.LayerNorm(hidden_size)
        self.head = nn.Linear(hidden_size, classes, bias=False)

    def forward(self, x):
        x = self.norm(self.blocks(self.enter(x) + self.position))
        return self.head(x if self.causal else x.mean(1)).flatten(0, -2)


class Captioner(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        vision, size = sizes["vision_size"], sizes["hidden_size"]
        self.patches = sizes["patches"]
        self.patch = nn.Linear(sizes["patch_size"], vision)
        self.vision_position = nn.Parameter(0.02 * torch.randn(self.patches, vision))
        self.vision = blocks(sizes["layers"], vision, sizes["vision_heads"], False)
        self.vision_norm = nn.LayerNorm(vision)
        self.up = nn.Linear(vision, sizes["projector_size"])
        self.down = nn.Linear(sizes["projector_size"], size)
        self.token = nn.Embedding(sizes["vocabulary"], size)
        self.position = nn.Parameter(0.02 * torch.randn(self.patches + sizes["text"], size))
        self.blocks = blocks(sizes["layers"], size, sizes["heads"], True)
        self.norm = nn.LayerNorm(size)
        self.head = nn.Linear(size, sizes["vocabulary"], bias=False)

    def forward(self, patches, tokens):
        seen = self.vision_norm(self.vision(self.patch(patches) + self.vision_position))
        seen = self.down(functional.gelu(self.up(seen)))
        x = self.blocks(torch.cat((seen, self.token(tokens)), 1) + self.position)
        return self.head(self.norm(x)[:, self.patches :]).flatten(0, 1)


def trained(model, inputs, targets, dtype):
    model = model.to(GPU)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, weight_decay=0.01, fused=True)

    def step():
        with torch.autocast(GPU, torch.bfloat16, enabled=dtype == "bf16"):
            loss = functional.cross_entropy(model(*inputs), targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def words(bound, *sizes):
    return torch.randint(bound, sizes, device=GPU)


def gpt_step(dtype, batch, **sizes):
    model = Transformer(True, **sizes)
    tokens = words(sizes["classes"], batch, sizes["sequence"])
    return trained(model, (tokens,), words(sizes["classes"], tokens.numel()), dtype)


def vit_step(dtype, batch, **sizes):
    model = Transformer(False, **sizes)
    patches = normal(batch, sizes["sequence"], sizes["patch_size"], dtype="f32")
    return trained(model, (patches,), words(sizes["classes"], batch), dtype)


def caption_step(dtype, batch, **sizes):
    patches = normal(batch, sizes["patches"], sizes["patch_size"], dtype="f32")
    tokens = words(sizes["vocabulary"], batch, sizes["text"])
    targets = words(sizes["vocabulary"], tokens.numel())
    return trained(Captioner(sizes), (patches, tokens), targets, dtype)


KINDS = {
    "gemm": gemm,
    "attention": attention,
    "attention_backward": attention_backward,
    "copy": copy,
    "add": add,
    "gelu": forward(gelu),
    "gelu_backward": backward(gelu),
    "softmax": forward(softmax),
    "layer_norm": forward(layer_norm),
    "layer_norm_backward": backward(layer_norm),
    "rms_norm": forward(rms_norm),
    "rms_norm_backward": backward(rms_norm),
    "cross_entropy": forward(cross_entropy),
    "cross_entropy_backward": backward(cross_entropy),
    "adamw": adamw,
    "gpt_step": gpt_step,
    "vit_step": vit_step,
    "caption_step": caption_step,
}


# ---- between GPUs


def peer_copy(bytes):
    source = torch.zeros(bytes // 4, device="cuda:0")
    target = torch.zeros(bytes // 4, device="cuda:1")

    def wait():
        torch.cuda.synchronize(0)
        torch.cuda.synchronize(1)

    return lambda: target.copy_(source), wait


def collective(kind, bytes, ranks):
    count = bytes // 4 // ranks * ranks
    whole = torch.zeros(count, device=GPU)
    part = torch.zeros(count // ranks, device=GPU)
    distributed = torch.distributed
    return {
        "all_reduce": lambda: distributed.all_reduce(whole),
        "all_gather": lambda: distributed.all_gather_into_tensor(whole, part),
        "reduce_scatter": lambda: distributed.reduce_scatter_tensor(part, whole),
    }[kind]


def collectives(rank, ranks, store, request, answers):
    torch.cuda.set_device(rank)
    torch.distributed.init_process_group(
        "nccl", init_method="file://" + store, rank=rank, world_size=ranks
    )

    def wait():
        torch.cuda.synchronize()
        torch.distributed.barrier()
        torch.cuda.synchronize()

    def agree(count):
        least = torch.tensor(count, device=GPU)
        torch.distributed.all_reduce(least, torch.distributed.ReduceOp.MIN)
        return int(least.item())

    for operation in request["operations"]:
        if operation["kind"] in ("all_reduce", "all_gather", "reduce_scatter"):
            run = collective(operation["kind"], **operation["sizes"])
            taken = timed(run, request["rounds"], request["seconds"], wait, agree)
            if rank == 0:
                answers[operation["name"]] = taken
    torch.distributed.destroy_process_group()


def between_gpus(request, answer_path, seconds, failures):
    operations = [o for o in request["operations"] if o["section"] == "links"]
    for operation in operations:
        if operation["kind"] == "peer_copy":
            run, wait = peer_copy(**operation["sizes"])
            seconds[operation["name"]] = timed(run, request["rounds"], request["seconds"], wait)
    ranks = max((o["sizes"].get("ranks", 0) for o in operations), default=0)
    if ranks < 2:
        return
    try:
        with torch.multiprocessing.Manager() as manager:
            answers = manager.dict()
            torch.multiprocessing.spawn(
                collectives, (ranks, answer_path + ".store", request, answers), nprocs=ranks
            )
            seconds.update(answers)
    except Exception as failure:  # A machine where they fail has the other figures all the same.
        failures["collectives"] = str(failure).strip().splitlines()[-1]


def main():
    request_path, answer_path = sys.argv[1:]
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    seconds, failures = {}, {}
    for operation in request["operations"]:
        kind = KINDS.get(operation["kind"])
        if kind is None:
            continue
        tf32 = operation["dtype"] == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        try:
            run = kind(operation["dtype"], **operation["sizes"])
            taken = timed(run, request["rounds"], request["seconds"])
            if math.isfinite(taken):
                seconds[operation["name"]] = taken
        except Exception as failure:  # One that this PyTorch cannot do; its name is told.
            failures[operation["name"]] = f"{type(failure).__name__}: {failure}"
        torch.cuda.empty_cache()
    between_gpus(request, answer_path, seconds, failures)
    answer = {
        "state": f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}",
        "seconds": seconds,
        "failures": failures,
    }
    with open(answer_path, "w", encoding="utf-8") as file:
        json.dump(answer, file)


if __name__ == "__main__":
    main()
