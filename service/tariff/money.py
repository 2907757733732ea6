"""Pure: an amount of money as a person reads it."""

SYMBOLS = {"CNY": "¥", "EUR": "€", "GBP": "£"}


def shown(amount_fen: int, currency: str = "CNY") -> str:
    """`1234` as `¥12.34`; a currency without a symbol is named: `SGD 12.34`."""
    symbol = SYMBOLS.get(currency, f"{currency} ")
    sign = "-" if amount_fen < 0 else ""
    return f"{sign}{symbol}{abs(amount_fen) // 100}.{abs(amount_fen) % 100:02d}"
