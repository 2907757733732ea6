"""Operations: what the people who run the parking may change, recorded with before and after."""
