// SPDX-License-Identifier: Apache-2.0
// A plan as text.

import Base
import Testing

@testable import Shell

private let answer = """
    {"query":"sum(rate(up[5m]))","kind":"vector","plan":{"operator":"aggregate sum",
    "text":"sum(rate(up[5m]))","series":1,"samples":0,"steps":241,"ownNanos":250000,
    "totalNanos":13500000,"children":[{"operator":"rate","text":"rate(up[5m])","series":1200,
    "samples":0,"steps":241,"ownNanos":9250000,"totalNanos":13250000,
    "facts":["step-invariant: computed once for 241 steps"],"children":[
    {"operator":"select range 5m","text":"up[5m]","series":1200,"samples":312000,"steps":241,
    "ownNanos":4000000,"totalNanos":4000000,"selections":[{"matchers":"{__name__=\\"up\\"}",
    "startMillis":1,"endMillis":2,"series":1200}],"children":[]}]}]},
    "totals":{"series":1,"samples":312000,"peakBytes":65536,"nanos":14000000}}
    """

@Test func aPlanIsAnIndentedTreeWithAlignedNumbers() throws {
    let table = planTable(
        try JSONValue(parsing: Array(answer.utf8)), .table, unicode: false)
    #expect(
        table.rendered(.table, .plain) == """
            OPERATOR             SERIES  SAMPLES  STEPS    TIME  OWN TIME  DETAIL
            aggregate sum             1             241  13.5ms     250us  \

              rate                 1200             241  13.3ms    9.25ms  \
            step-invariant: computed once for 241 steps
                select range 5m    1200   312000    241     4ms       4ms  {__name__="up"}
            whole query               1   312000           14ms            \
            at most 65536 bytes held

            """)
}

@Test func aPlanInAPipeHasTheExpressions() throws {
    let table = planTable(try JSONValue(parsing: Array(answer.utf8)), .tsv, unicode: true)
    let rows = table.rendered(.tsv, .plain).split(separator: "\n")
    #expect(rows[0].split(separator: "\t").suffix(2) == ["expression", "detail"])
    #expect(rows[2].contains("\trate(up[5m])\tstep-invariant"))
    #expect(rows.count == 5)
}
