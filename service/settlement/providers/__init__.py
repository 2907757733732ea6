"""Who collects, by the name that the configuration gives: one module and one line each.

A city's brain (which deducts for the lot, facts: uploadFee, applyPayment, payResult), WeChat Pay
vehicle parking and Alipay parking each become one more module here: they implement `Provider`.
"""

from collections.abc import Callable
from pathlib import Path

from service.settlement.providers.protocol import Provider
from service.settlement.providers.sandbox import open_sandbox

# (state directory, the address of our webhook) to a client; opening one may block.
REGISTRY: dict[str, Callable[[Path, str], Provider]] = {
    "sandbox": open_sandbox,
}
