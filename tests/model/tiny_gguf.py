#!/usr/bin/env python3
"""A language model with random weights, small enough to be made by a test.

usage: tiny_gguf.py FILE

Writes a GGUF file that llama.cpp reads: a llama of one block, whose vocabulary are bytes and a few
words. It says nothing that makes sense, and the same each time.
"""

import random
import struct
import sys

UINT32, FLOAT32, STRING, ARRAY, INT32 = 4, 6, 8, 9, 5
WIDTH, HEADS, FORWARD, CONTEXT = 64, 4, 128, 512
TOKENS = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)] + [
    "\u2581", "\u2581the", "\u2581door", "\u2581is", "\u2581open", "e", "t", "a", "o"]
TYPES = [2, 3, 3] + [6] * 256 + [1] * (len(TOKENS) - 259)  # unknown, control, byte, normal
ALIGNMENT = 32


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def array(kind, form, values):
    items = b"".join(text(v) if kind == STRING else struct.pack(form, v) for v in values)
    return struct.pack("<IQ", kind, len(values)) + items


def uint32(name, value):
    return text(name) + struct.pack("<II", UINT32, value)


METADATA = [
    text("general.architecture") + struct.pack("<I", STRING) + text("llama"),
    text("general.name") + struct.pack("<I", STRING) + text("tiny and random"),
    uint32("llama.context_length", CONTEXT),
    uint32("llama.embedding_length", WIDTH),
    uint32("llama.block_count", 1),
    uint32("llama.feed_forward_length", FORWARD),
    uint32("llama.attention.head_count", HEADS),
    uint32("llama.attention.head_count_kv", HEADS),
    uint32("llama.rope.dimension_count", WIDTH // HEADS),
    text("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", FLOAT32, 1e-5),
    text("tokenizer.ggml.model") + struct.pack("<I", STRING) + text("llama"),
    text("tokenizer.ggml.tokens") + struct.pack("<I", ARRAY) + array(STRING, "", TOKENS),
    text("tokenizer.ggml.scores") + struct.pack("<I", ARRAY)
    + array(FLOAT32, "<f", [-float(i) for i in range(len(TOKENS))]),
    text("tokenizer.ggml.token_type") + struct.pack("<I", ARRAY) + array(INT32, "<i", TYPES),
    uint32("tokenizer.ggml.bos_token_id", 1),
    uint32("tokenizer.ggml.eos_token_id", 2),
    uint32("tokenizer.ggml.unknown_token_id", 0),
]
TENSORS = {
    "token_embd.weight": (WIDTH, len(TOKENS)), "output_norm.weight": (WIDTH,),
    "output.weight": (WIDTH, len(TOKENS)),
    "blk.0.attn_norm.weight": (WIDTH,), "blk.0.ffn_norm.weight": (WIDTH,),
    "blk.0.attn_q.weight": (WIDTH, WIDTH), "blk.0.attn_k.weight": (WIDTH, WIDTH),
    "blk.0.attn_v.weight": (WIDTH, WIDTH), "blk.0.attn_output.weight": (WIDTH, WIDTH),
    "blk.0.ffn_gate.weight": (WIDTH, FORWARD), "blk.0.ffn_up.weight": (WIDTH, FORWARD),
    "blk.0.ffn_down.weight": (FORWARD, WIDTH),
}

chance = random.Random(7)
heads, data = b"", bytearray()
for name, shape in TENSORS.items():
    count = 1
    for size in shape:
        count *= size
    heads += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
    values = [1.0] * count if "norm" in name else [chance.gauss(0, 0.05) for _ in range(count)]
    data += struct.pack(f"<{count}f", *values)
    data += bytes(-len(data) % ALIGNMENT)
head = struct.pack("<4sIQQ", b"GGUF", 3, len(TENSORS), len(METADATA)) + b"".join(METADATA) + heads
with open(sys.argv[1], "wb") as file:
    file.write(head + bytes(-len(head) % ALIGNMENT) + data)
