"""Inputs made from valid ones, by a seeded generator."""

import json
from random import Random
from typing import Any

INTERESTING = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    12,
    13,
    14,
    32,
    56,
    96,
    112,
    255,
    256,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
"""Numbers that lengths, offsets and counts break at."""

ODD = (
    *("null", "true", "false", "0", "1", "-1", "9223372036854775808", "18446744073709551615", "18446744073709551616"),
    *("1" + "0" * 40, "0.5", "-0.0", "1e308", "1e999", "Infinity", "NaN", "[]", "[[]]", "{}", '{"": {}}'),
    *('""', '"0"', '"1"', '"-1"', '"0x"', '"0x0"', '"18446744073709551616"', '"\u0663"', '"\\ud800"'),
    *(f'"0x{"00" * 32}"', f'"0x{"ff" * 48}"', f'"{"x" * 300}"', f"[{','.join(['{}'] * 20)}]"),
)
"""JSON values that readers stumble over."""


def mutate(rng: Random, samples: tuple[bytes, ...]) -> bytes:
    """One input: a sample with one to four changes."""
    random = rng.random
    raw = bytearray(samples[int(random() * len(samples))])
    for _ in range(1 + int(random() * random() * 4)):
        kind = int(random() * 9)
        size = len(raw)
        at = int(random() * size) if size else 0
        if kind <= 1 and size:
            raw[at] ^= 1 << int(random() * 8)
        elif kind == 2 and size:
            raw[at] = int(random() * 256)
        elif kind == 3:
            # Offsets and counts stand at multiples of four.
            number = INTERESTING[int(random() * len(INTERESTING))] if random() < 0.6 else int(random() * (size + 8))
            raw[at & ~3 : (at & ~3) + 4] = number.to_bytes(4, "little")
        elif kind == 4:
            del raw[at:]
        elif kind == 5:
            raw += rng.randbytes(1 + int(random() * 40))
        elif kind == 6:
            del raw[at : at + 1 + int(random() * 16)]
        elif kind == 7:
            raw[at:at] = raw[at : at + 1 + int(random() * 64)]
        else:
            other = samples[int(random() * len(samples))]
            raw[at:] = other[int(random() * (len(other) + 1)) :]
    return bytes(raw)


def mutate_json(rng: Random, samples: tuple[bytes, ...]) -> bytes:
    """One JSON text: mostly a sample with one to three of its values replaced, lost or moved; else changed as bytes."""
    if rng.random() < 0.15:
        return mutate(rng, samples)
    tree = json.loads(samples[int(rng.random() * len(samples))])
    for _ in range(1 + int(rng.random() * rng.random() * 4)):
        tree = _replace_one(rng, tree)
    return json.dumps(tree).encode("utf-8", "surrogatepass")


def _replace_one(rng: Random, tree: Any) -> Any:
    places = list(_places(tree))
    if not places:
        return json.loads(rng.choice(ODD))
    parent, key = places[int(rng.random() * len(places))]
    kind = rng.random()
    if kind < 0.6:
        parent[key] = json.loads(rng.choice(ODD))
    elif kind < 0.75:
        other, place = places[int(rng.random() * len(places))]
        parent[key] = json.loads(json.dumps(other[place]))
    elif kind < 0.85:
        del parent[key]
    elif isinstance(parent, list):
        parent.append(parent[key])
    elif isinstance(parent[key], str) and parent[key]:
        text = parent[key]
        at = int(rng.random() * len(text))
        parent[key] = text[:at] + rng.choice("0xgA-. ") + text[at + int(rng.random() * 2) :]
    else:
        parent[str(rng.random())] = parent[key]
    return tree


def _places(tree: Any) -> Any:
    """Every place in the tree: the list or object, and the index or key in it."""
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from _places(tree[key])
