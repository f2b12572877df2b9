"""What is registered on other floors and shown by the help; imports nothing heavy."""


def registered_losses() -> dict[str, str]:
    """Terms of the loss that ``--loss`` knows, each with its title and usual weight.

    Returns
    -------
    dict of str to str
        By name, in the order of the registry.
    """
    return {"adversarial": "BCE, 1", "l1": "L1, 100", "ssim": "SSIM, 1"}
