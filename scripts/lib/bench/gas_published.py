"""What the SSV network publishes of its contract's gas, beside which ours is printed.

Two sources of the repository ssvlabs/ssv-network:

- *measured*: `test/helpers/v1-gas-report.json` at a477e89, the averages of a run of its own tests, of the contract that
  is paid in SSV tokens (its deployed version 1; payments include a token transfer);
- *bound*: `test/helpers/gas-usage.ts` at 0119b5d, the most that its tests expect of the form paid in ETH, rounded up by
  its authors. No measured figures of that form are published.

A call that is not listed is not published.
"""

SIZES = (4, 7, 10, 13)
"""Operators of a cluster."""

MEASURED: dict[str, int | dict[int, int]] = {
    "register operator": 116_346,
    "remove operator": 70_272,
    "declare operator fee": 69_658,
    "cancel declared fee": 40_821,
    "execute operator fee": 51_473,
    "reduce operator fee": 51_142,
    "withdraw operator earnings": 64_712,
    "make 10 operators private": 312_019,
    "make 10 operators public": 112_814,
    "whitelist 10 owners for 10 operators": 380_595,
    "take 10 owners off 10 operators' lists": 144_991,
    "set network fee": 45_024,
    "withdraw network earnings": 62_424,
    "register, new cluster": {4: 223_169, 7: 288_804, 10: 358_919, 13: 429_549},
    "register, known cluster, with payment": {4: 194_304, 7: 272_069, 10: 342_224, 13: 412_875},
    "register, known cluster": {4: 179_849, 7: 250_284, 10: 320_492, 13: 390_939},
    "register 10 in bulk, new cluster": {4: 833_576, 7: 1_141_231, 10: 1_445_085, 13: 1_754_752},
    "register 10 in bulk": {4: 816_931, 7: 1_124_236, 10: 1_427_849, 13: 1_738_195},
    "remove": {4: 103_430, 7: 155_293, 10: 196_720, 13: 238_150},
    "remove 10 in bulk": {4: 190_056, 7: 240_194, 10: 290_843, 13: 341_479},
    "exit": {4: 42_660},
    "exit 10 in bulk": {4: 123_585, 7: 136_504, 10: 149_421, 13: 162_341},
    "deposit": {4: 69_566},
    "withdraw": {4: 94_863},
    "liquidate": {4: 127_276, 7: 170_821, 10: 211_792, 13: 252_763},
    "reactivate": {4: 121_427},
}
"""Measured gas of the contract paid in SSV: one figure, or one by number of operators where those are published."""

BOUND: dict[str, int | dict[int, int]] = {
    "register operator": 200_000,
    "remove operator": 75_000,
    "declare operator fee": 73_500,
    "cancel declared fee": 38_000,
    "execute operator fee": 61_000,
    "reduce operator fee": 60_000,
    "withdraw operator earnings": 120_000,
    "make 10 operators private": 51_000,
    "make 10 operators public": 29_000,
    "whitelist 10 owners for 10 operators": 137_000,
    "take 10 owners off 10 operators' lists": 108_000,
    "set network fee": 72_000,
    "withdraw network earnings": 62_500,
    "register, new cluster": {4: 450_000, 7: 601_000, 10: 791_000, 13: 981_000},
    "register, known cluster, with payment": {4: 250_000, 7: 293_500, 10: 381_000, 13: 468_500},
    "register, known cluster": {4: 250_000, 7: 293_500, 10: 381_000, 13: 468_500},
    "register 10 in bulk, new cluster": {4: 835_500, 7: 1_143_000, 10: 1_447_000, 13: 1_757_000},
    "register 10 in bulk": {4: 818_700, 7: 1_126_500, 10: 1_430_500, 13: 1_740_000},
    "remove": {4: 140_000, 7: 155_500, 10: 197_000, 13: 241_000},
    "remove 10 in bulk": {4: 203_000, 7: 254_500, 10: 306_000, 13: 357_500},
    "exit": {4: 80_000},
    "exit 10 in bulk": {4: 126_200, 7: 139_500, 10: 152_500, 13: 165_500},
    "deposit": {4: 400_000},
    "withdraw": {4: 120_000},
    "liquidate": {4: 155_000, 7: 173_000, 10: 218_000, 13: 265_000},
    "reactivate": {4: 310_000},
}
"""Most gas that the network's tests expect of the form paid in ETH."""
