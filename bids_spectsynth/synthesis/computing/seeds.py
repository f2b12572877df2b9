"""Seeds of random numbers."""

import hashlib

import torch


def derived_seed(*parts: object) -> int:
    """A 63-bit seed that depends on all parts, the same on every machine."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seed_dropout(device: torch.device, seed: int) -> None:
    """Seed the random numbers of one device; ``torch.manual_seed`` spends milliseconds on those that are unused."""
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
